//! The body of a response to the client: an engine's frames, possibly rewritten, or bytes of our own.
//!
//! Frames pass through as the same [`Bytes`] the engine's connection read. Dropping the body drops the engine's
//! connection behind it, which makes the engine abort the request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use llmd_common::proxy::body::{ResponseStream, StreamError};

use crate::metrics::PdRequest;
use crate::usage::Rewriter;

/// What the client is sent.
#[derive(Debug)]
pub struct ResponseBody {
    source: Source,
    /// The prefill/decode request that ends with this body.
    request: Option<PdRequest>,
}

#[derive(Debug)]
enum Source {
    Full(Full<Bytes>),
    Engine(ResponseStream),
    Rewritten(Box<Rewritten>),
}

impl ResponseBody {
    /// Bytes that are here already.
    #[must_use]
    pub fn full(bytes: Bytes) -> Self {
        Self { source: Source::Full(Full::new(bytes)), request: None }
    }

    /// An engine's body as it is.
    #[must_use]
    pub const fn engine(body: ResponseStream) -> Self {
        Self { source: Source::Engine(body), request: None }
    }

    /// An engine's body through a rewriter.
    #[must_use]
    pub fn rewritten(body: ResponseStream, rewriter: Rewriter) -> Self {
        let rewritten = Rewritten { body, rewriter, trailers: None, is_ended: false };
        Self { source: Source::Rewritten(Box::new(rewritten)), request: None }
    }

    /// Lets `request` see the first frame and the end.
    #[must_use]
    pub fn of(mut self, mut request: PdRequest) -> Self {
        if self.is_end_stream() {
            // Nobody polls an empty body, so its end is told here.
            request.ended();
        }
        self.request = Some(request);
        self
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(match &mut self.source {
            Source::Full(it) => Pin::new(it).poll_frame(cx).map_err(|never| match never {}),
            Source::Engine(it) => Pin::new(it).poll_frame(cx),
            Source::Rewritten(it) => Pin::new(it.as_mut()).poll_frame(cx),
        });
        let is_last = self.is_end_stream();
        if let Some(request) = &mut self.request {
            match &frame {
                Some(Ok(_)) => request.frame_sent(),
                Some(Err(_)) => request.broke_off(),
                None => request.ended(),
            }
            if is_last {
                request.ended();
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Full(it) => it.is_end_stream(),
            Source::Engine(it) => it.is_end_stream(),
            Source::Rewritten(it) => it.is_ended && it.trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Full(it) => it.size_hint(),
            Source::Engine(it) => it.size_hint(),
            Source::Rewritten(_) => SizeHint::default(),
        }
    }
}

#[derive(Debug)]
struct Rewritten {
    body: ResponseStream,
    rewriter: Rewriter,
    /// Trailers that came while the rewriter still held bytes.
    trailers: Option<Frame<Bytes>>,
    is_ended: bool,
}

impl Rewritten {
    /// The next frame; frames of which the rewriter holds everything back are not shown.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        loop {
            if self.is_ended {
                return Poll::Ready(self.trailers.take().map(Ok));
            }
            let out = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => self.rewriter.push(chunk),
                    Err(trailers) => {
                        self.trailers = Some(trailers);
                        self.is_ended = true;
                        self.rewriter.finish()
                    }
                },
                None => {
                    self.is_ended = true;
                    self.rewriter.finish()
                }
            };
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out))));
            }
        }
    }
}
