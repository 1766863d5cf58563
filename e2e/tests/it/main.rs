//! End-to-end stories: real processes, real sockets, the demo model's exact answers.

mod bad_input;
mod faults;
mod lifecycle;
mod openai_client;
mod request_path;
