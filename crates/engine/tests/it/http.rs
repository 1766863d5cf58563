//! The HTTP contract, against a real server with the demo model, over real connections.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test that cannot go on has failed the test"
)]

mod answers;
mod data_parallel;
mod errors;
mod hostile;
mod lifecycle;
mod process;
mod server;
mod streams;
mod transfer;
