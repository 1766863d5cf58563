//! Request bodies read whole, response bodies passed on as they come; both with deadlines.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

#[cfg(test)]
mod tests;

/// Time for a client to send a body that is buffered.
const READ_TIMEOUT: Duration = Duration::from_secs(300);
/// What of a refused body is still read, so that a client which sends first and reads then gets to read why.
const LINGER_BYTES: usize = 256 << 20;
const LINGER: Duration = Duration::from_secs(5);

/// Why a request body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is larger than the proxy buffers.
    #[error("the request body is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The client took too long over it.
    #[error("the request body did not arrive within {} s", READ_TIMEOUT.as_secs())]
    Slow,
    /// It broke off, or is no HTTP.
    #[error("cannot read the request body")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
}

/// Buffers a request body of at most `limit` bytes. A body that announces more is refused at once.
///
/// # Errors
/// [`ReadError`]. After [`ReadError::TooLarge`] the rest is read and forgotten in the background, within bounds.
pub async fn read(mut body: Incoming, limit: usize) -> Result<Bytes, ReadError> {
    if body.size_hint().lower() > limit as u64 {
        linger(body);
        return Err(ReadError::TooLarge { limit });
    }
    let collected = tokio::time::timeout(READ_TIMEOUT, Limited::new(&mut body, limit).collect());
    match collected.await.map_err(|_| ReadError::Slow)? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            linger(body);
            Err(ReadError::TooLarge { limit })
        }
        Err(error) => Err(ReadError::Broken(error)),
    }
}

/// Reads what is left of a refused body. Closing the connection on a client that is still sending would make its
/// system throw the answer away unread.
fn linger(body: Incoming) {
    let rest = async move {
        let mut rest = Limited::new(body, LINGER_BYTES);
        while let Some(Ok(_)) = rest.frame().await {}
    };
    tokio::spawn(tokio::time::timeout(LINGER, rest));
}

/// Why a response body ended early.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The server behind broke off.
    #[error("the response broke off")]
    Broken(#[source] hyper::Error),
    /// The server behind fell silent.
    #[error("nothing more of the response came within {} s", limit.as_secs_f64())]
    Silent {
        /// The limit.
        limit: Duration,
    },
}

/// A response body from the server behind, frame by frame and uncopied. Fails when nothing comes for a while.
/// Dropping it before its end closes the connection that it comes from.
#[derive(Debug)]
pub struct ResponseStream {
    body: Incoming,
    silence: Option<Silence>,
}

/// Watches for silence. The timer is not set anew with every frame but only when it fires too early.
#[derive(Debug)]
struct Silence {
    limit: Duration,
    last_frame: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl ResponseStream {
    /// Passes `body` on, with at most `limit` between two frames.
    #[must_use]
    pub fn new(body: Incoming, limit: Option<Duration>) -> Self {
        let silence = limit.map(|limit| Silence { limit, last_frame: Instant::now(), timer: None });
        Self { body, silence }
    }
}

impl Silence {
    /// Ready when the limit has passed since the last frame.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<StreamError> {
        let deadline = self.last_frame + self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= deadline {
                return Poll::Ready(StreamError::Silent { limit: self.limit });
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl Body for ResponseStream {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match (&mut self.silence, polled) {
            (Some(silence), Poll::Pending) => silence.poll(cx).map(|error| Some(Err(error))),
            (Some(silence), Poll::Ready(frame)) => {
                silence.last_frame = Instant::now();
                Poll::Ready(frame.map(|it| it.map_err(StreamError::Broken)))
            }
            (None, polled) => polled.map(|it| it.map(|frame| frame.map_err(StreamError::Broken))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
