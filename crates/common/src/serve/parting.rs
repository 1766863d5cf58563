//! How a connection of a process that leaves ends without breaking off its client's next request.
//!
//! HTTP/2 takes its leave by itself (RFC 9113 §6.8). In HTTP/1.1 the head of an answer says that it is the last
//! one (RFC 9112 §9.6); a server that closes without having said so may meet a request that is already on its way.
//! So every answer that begins while the process leaves says so, and a connection whose client has not been told
//! stays open for a moment after its last answer, such as a stream that began long before.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::Service;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Peer;
use crate::shutdown::SETTLE;

/// For the next request of a client that has just been connected or answered.
const LINGER: Duration = Duration::from_millis(250);
const _: () = assert!(LINGER.as_millis() < SETTLE.as_millis(), "a drain without a deadline waits for them");

/// What goes on on one connection. Clones are of the same connection.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<watch::Sender<State>>);

#[derive(Debug, Clone, Copy)]
struct State {
    /// Requests whose answers have not been handed over to the connection whole.
    n_open: usize,
    /// When it was opened, or when the last answer was whole.
    quiet_since: Instant,
    is_http2: bool,
}

impl Activity {
    /// That of a connection which has just been opened.
    pub(super) fn new() -> Self {
        let state = State { n_open: 0, quiet_since: Instant::now(), is_http2: false };
        Self(Arc::new(watch::Sender::new(state)))
    }

    /// Waits until taking leave breaks off no request that one would expect.
    pub(super) async fn may_end(&self) {
        let mut states = self.0.subscribe();
        loop {
            let State { n_open, quiet_since, is_http2 } = *states.borrow_and_update();
            if is_http2 {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(quiet_since + LINGER), if n_open == 0 => return,
                _ = states.changed() => {}
            }
        }
    }

    fn request(&self, version: Version) -> Open {
        self.0.send_modify(|it| {
            it.n_open += 1;
            it.is_http2 = version == Version::HTTP_2;
        });
        Open(self.clone())
    }
}

/// A request whose answer is not whole; dropped when it is, or when the client has gone.
#[derive(Debug)]
struct Open(Activity);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.send_modify(|it| {
            it.n_open -= 1;
            it.quiet_since = Instant::now();
        });
    }
}

/// The service of one connection: says who asks, keeps the connection's activity, and tells clients when the
/// process leaves.
#[derive(Debug)]
pub(super) struct Attended<S> {
    pub(super) service: S,
    pub(super) peer: Peer,
    pub(super) activity: Activity,
    pub(super) leaving: CancellationToken,
}

impl<S, B> Service<Request<Incoming>> for Attended<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Answer<B>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let version = request.version();
        let open = self.activity.request(version);
        request.extensions_mut().insert(self.peer);
        let (response, leaving) = (self.service.call(request), self.leaving.clone());
        Box::pin(async move {
            let mut response = response.await?;
            if leaving.is_cancelled() && version < Version::HTTP_2 {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Answer { body, _open: open }))
        })
    }
}

/// The body of an answer, during which its request is open.
#[derive(Debug)]
pub(super) struct Answer<B> {
    body: B,
    _open: Open,
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
