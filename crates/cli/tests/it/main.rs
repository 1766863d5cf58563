//! The supervisor and the commands around it, with real processes.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on has failed the test")]

mod child;
mod commands;
mod presets;
mod supervisor;
