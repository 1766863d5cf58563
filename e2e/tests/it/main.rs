//! End-to-end stories: real processes, real sockets, the demo model's exact answers.

#![expect(clippy::print_stdout, reason = "stories report what they saw")]

mod bad_input;
mod charts;
mod cluster;
mod data_parallel;
mod faults;
mod kubernetes;
mod lifecycle;
mod manifest;
mod observability;
mod openai_client;
mod operator;
mod request_path;
mod streams;
mod transfer;
