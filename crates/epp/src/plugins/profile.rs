//! Profile handlers.

pub mod data_parallel_profile_handler;
pub mod disagg_profile_handler;
pub mod single_profile_handler;
