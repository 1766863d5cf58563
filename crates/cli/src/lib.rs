//! The `llmd` command: the whole stack on one machine, and tools to look at it and talk to it.
//!
//! It knows the services by their flags, ports and wire formats alone and links none of their code.

pub mod args;
pub mod bench;
pub mod chat;
pub mod child;
pub mod client;
pub mod down;
pub mod logs;
pub mod openai;
pub mod state;
pub mod status;
pub mod up;
