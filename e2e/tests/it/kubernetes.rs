//! The controller against a real API server, with pods that run in name on a fake node.

mod single_node;
mod story;
