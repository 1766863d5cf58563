//! The `llmd` command: the whole stack on one machine, and tools to look at it and talk to it.
//!
//! It knows the services by their flags, ports and wire formats alone. Of their code it links only the
//! controller's pure part, so that `llmd render` prints the very bytes that the controller applies.

pub mod args;
pub mod bench;
pub mod chat;
pub mod child;
pub mod client;
pub mod down;
pub mod explain;
pub mod logs;
pub mod manifest;
pub mod openai;
pub mod render;
pub mod state;
pub mod status;
pub mod up;
