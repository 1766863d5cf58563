//! A model server in name: it answers every request with its own address, so that a client sees who served it.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinHandle};

const METRICS: &str =
    "vllm:num_requests_waiting 0\nvllm:num_requests_running 0\nvllm:kv_cache_usage_perc 0\n";

/// A running server. Dropping it closes its port.
pub(super) struct Engine {
    address: SocketAddr,
    task: AbortHandle,
}

impl Engine {
    /// Serves at `address`; port 0 is any free one.
    pub(super) async fn start(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let accepting: JoinHandle<()> = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service_fn(move |request| async move { answer(address, &request) });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self { address, task: accepting.abort_handle() })
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer<B>(address: SocketAddr, request: &Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = if request.uri().path() == "/metrics" { METRICS.to_owned() } else { address.to_string() };
    Ok(Response::new(Full::new(text.into())))
}
