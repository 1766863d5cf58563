//! The endpoint picker over real sockets: gRPC streams, HTTP clients, its own process and, where there is
//! one, a real Envoy. Behind it stand small model servers that answer as real ones do.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod engine;
mod envoy;
mod ext_proc;
mod grpc;
mod http_client;
mod process;
mod proxy;
mod stack;

use std::future::Future;
use std::time::Duration;

/// Longest time that anything expected may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for `future`, or fails the test with `what` was missing.
async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("no {what} within {PATIENCE:?}"),
    }
}

/// Waits until `holds` is true.
async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    within(what, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
