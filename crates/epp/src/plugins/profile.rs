//! Profile handlers.

pub mod disagg_profile_handler;
pub mod single_profile_handler;
