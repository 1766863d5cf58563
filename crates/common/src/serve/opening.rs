//! A deadline for the first bytes of a connection.
//!
//! A server of both HTTP/1.1 and HTTP/2 reads up to the length of HTTP/2's preface before it knows which of the
//! two it serves, and no timer of either runs until then. Without this one, clients that connect and say nothing
//! would hold their connections for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// What every HTTP/2 client sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection whose reads fail with a timeout when its protocol is not known in time.
#[derive(Debug)]
pub(super) struct Opening<I> {
    io: I,
    /// `None` once the protocol is known.
    wait: Option<Wait>,
}

#[derive(Debug)]
struct Wait {
    deadline: Pin<Box<Sleep>>,
    /// What of the preface has not come yet.
    missing: &'static [u8],
}

impl<I> Opening<I> {
    pub(super) fn new(io: I, limit: Duration) -> Self {
        let deadline = Box::pin(tokio::time::sleep(limit));
        Self { io, wait: Some(Wait { deadline, missing: PREFACE }) }
    }

    /// Stops the clock at the whole preface, or at the first byte that is not of it.
    fn saw(&mut self, bytes: &[u8]) {
        if let Some(wait) = &mut self.wait {
            match wait.missing.strip_prefix(bytes) {
                Some(missing) if !missing.is_empty() && !bytes.is_empty() => wait.missing = missing,
                _ => self.wait = None,
            }
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Opening<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let n_before = buf.filled().len();
        if let Some(wait) = &mut self.wait
            && wait.deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.saw(&buf.filled()[n_before..]);
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Opening<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
