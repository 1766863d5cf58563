//! The HTTP contract, against a real server with the demo model, over real connections.

mod answers;
mod errors;
mod hostile;
mod lifecycle;
mod process;
mod server;
mod streams;
mod transfer;
