//! The sidecar over real sockets, between a raw client and engines that record what reached them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod allowlist;
mod disagg;
mod failures;
mod harness;
mod lifecycle;
mod proxying;
mod streaming;
mod tls;
