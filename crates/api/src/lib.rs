//! Wire types of the llm-d ecosystem, as plain data.
//!
//! Everything here crosses a process boundary: header names, metric names, JSON bodies, configuration
//! files. Names and shapes are fixed by the upstream projects (vLLM 0.23–0.33, llm-d router 0.10, Gateway
//! API Inference Extension 1.x), so a change here is a change of protocol.
//!
//! Not here: I/O, clients, servers, or any behaviour beyond validating the data itself.

pub mod admin;
pub mod autoscaling;
pub mod crd;
pub mod gateway;
pub mod headers;
pub mod inference;
pub mod kv_transfer;
pub mod lws;
pub mod meta;
pub mod metric_names;
pub mod names;
pub mod openai;
pub mod pod_merge;
pub mod serving;
pub mod vllm;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
