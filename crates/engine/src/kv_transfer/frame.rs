//! Frames of the native transport, `llmd-kv/1`.
//!
//! A frame is `[u32 BE payload length][u8 kind][payload]`. Control payloads are JSON objects of [`Message`];
//! page payloads are `[u32 BE layer][u32 BE block]` followed by K then V of that layer and block. One fetch runs on a
//! connection at a time, so frames need no request id. Lengths are checked before anything is read, so a hostile peer
//! cannot make this side allocate.
//!
//! Not here: what the messages mean (`producer`, `consumer`).

use std::io;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::PullError;

/// Bytes before a payload.
pub(super) const HEADER_BYTES: usize = 5;
/// Bytes of a page payload before its elements.
pub(super) const PAGE_HEADER_BYTES: usize = 8;
/// Largest control payload: hashes of a million-token prompt in blocks of 16 fit.
pub(super) const MAX_CONTROL_BYTES: usize = 8 << 20;

const KIND_CONTROL: u8 = 1;
const KIND_PAGE: u8 = 2;

/// Control messages. The connecting side sends `Hello` first and is answered by `Hello` or `Refused`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Message {
    /// Who is speaking and what its cache looks like.
    Hello { proto: String, engine_id: String, fingerprint: String },
    /// Asks for blocks `first_block..first_block + hashes.len()` of the offer guarded by `cap`.
    Fetch { cap: String, first_block: usize, hashes: Vec<String> },
    /// Pages follow, layer by layer and within a layer block by block, then `Done`.
    Granted { n_blocks: usize, page_bytes: usize },
    /// The fetch or the handshake is refused for the reason of a [`PullError`].
    Refused { reason: String, detail: String },
    /// All pages were sent.
    Done,
    /// Extends the lease of the offer guarded by `cap`; answered by `Ok` or `Refused`.
    Renew { cap: String },
    /// Ends the lease; answered by `Ok`, also when it is gone already.
    Release { cap: String },
    /// Done as asked.
    Ok,
}

/// What a frame header announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// A control message of this many bytes.
    Control { len: usize },
    /// A page slice whose elements take this many bytes.
    Page { len: usize },
}

/// Reads the meaning of a header. `max_page_bytes` is the largest slice this side expects.
pub(super) fn parse_header(bytes: [u8; HEADER_BYTES], max_page_bytes: usize) -> Result<Header, PullError> {
    let [a, b, c, d, kind] = bytes;
    let len = u32::from_be_bytes([a, b, c, d]) as usize;
    match kind {
        KIND_CONTROL if len <= MAX_CONTROL_BYTES => Ok(Header::Control { len }),
        KIND_PAGE if len >= PAGE_HEADER_BYTES && len - PAGE_HEADER_BYTES <= max_page_bytes => {
            Ok(Header::Page { len: len - PAGE_HEADER_BYTES })
        }
        _ => Err(PullError::Protocol),
    }
}

/// Header and page header of a slice of `len` bytes.
pub(super) fn page_prefix(
    layer: u32,
    block: u32,
    len: usize,
) -> io::Result<[u8; HEADER_BYTES + PAGE_HEADER_BYTES]> {
    let mut prefix = [0; HEADER_BYTES + PAGE_HEADER_BYTES];
    prefix[..4].copy_from_slice(&payload_len(PAGE_HEADER_BYTES + len)?);
    prefix[4] = KIND_PAGE;
    prefix[5..9].copy_from_slice(&layer.to_be_bytes());
    prefix[9..].copy_from_slice(&block.to_be_bytes());
    Ok(prefix)
}

fn payload_len(len: usize) -> io::Result<[u8; 4]> {
    let len =
        u32::try_from(len).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "frame above 4 GiB"))?;
    Ok(len.to_be_bytes())
}

/// Sends one control message.
pub(super) async fn send<W: AsyncWrite + Unpin>(writer: &mut W, message: &Message) -> io::Result<()> {
    let payload = serde_json::to_vec(message)?;
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
    frame.extend_from_slice(&payload_len(payload.len())?);
    frame.push(KIND_CONTROL);
    frame.extend_from_slice(&payload);
    writer.write_all(&frame).await?;
    writer.flush().await
}

/// Reads a frame header. `None` when the peer closed the connection between frames.
pub(super) async fn read_header<R: AsyncRead + Unpin>(
    reader: &mut R,
    max_page_bytes: usize,
) -> Result<Option<Header>, PullError> {
    let mut bytes = [0; HEADER_BYTES];
    let n = reader.read(&mut bytes).await.map_err(|_| PullError::Connection)?;
    if n == 0 {
        return Ok(None);
    }
    reader.read_exact(&mut bytes[n..]).await.map_err(|_| PullError::Connection)?;
    parse_header(bytes, max_page_bytes).map(Some)
}

/// Reads the control payload a header announced.
pub(super) async fn read_message<R: AsyncRead + Unpin>(
    reader: &mut R,
    len: usize,
) -> Result<Message, PullError> {
    let mut payload = vec![0; len];
    reader.read_exact(&mut payload).await.map_err(|_| PullError::Connection)?;
    serde_json::from_slice(&payload).map_err(|_| PullError::Protocol)
}

/// Reads one control message; a page or the end of the stream is a protocol error.
pub(super) async fn expect_message<R: AsyncRead + Unpin>(reader: &mut R) -> Result<Message, PullError> {
    match read_header(reader, 0).await? {
        Some(Header::Control { len }) => read_message(reader, len).await,
        Some(Header::Page { .. }) => Err(PullError::Protocol),
        None => Err(PullError::Connection),
    }
}

/// Reads the layer and block of the page slice a header announced.
pub(super) async fn read_page_position<R: AsyncRead + Unpin>(
    reader: &mut R,
) -> Result<(u32, u32), PullError> {
    let layer = reader.read_u32().await.map_err(|_| PullError::Connection)?;
    let block = reader.read_u32().await.map_err(|_| PullError::Connection)?;
    Ok((layer, block))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[tokio::test]
    async fn control_messages_survive_the_wire() {
        let messages = [
            Message::Hello { proto: "p".into(), engine_id: "e".into(), fingerprint: "f".into() },
            Message::Fetch { cap: "c".into(), first_block: 3, hashes: vec!["00".into()] },
            Message::Granted { n_blocks: 2, page_bytes: 4096 },
            Message::Refused { reason: "unknown".into(), detail: String::new() },
            Message::Done,
        ];
        let mut wire = Vec::new();
        for message in &messages {
            send(&mut wire, message).await.unwrap();
        }
        let mut reader = wire.as_slice();
        for message in &messages {
            assert_eq!(&expect_message(&mut reader).await.unwrap(), message);
        }
        assert_eq!(expect_message(&mut reader).await, Err(PullError::Connection));
    }

    #[test]
    fn a_page_larger_than_expected_is_refused_before_it_is_read() {
        let prefix = page_prefix(1, 2, 100).unwrap();
        let header: [u8; HEADER_BYTES] = prefix[..HEADER_BYTES].try_into().unwrap();
        assert_eq!(parse_header(header, 100), Ok(Header::Page { len: 100 }));
        assert_eq!(parse_header(header, 99), Err(PullError::Protocol));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _: Result<Message, PullError> = runtime.block_on(expect_message(&mut bytes.as_slice()));
        }
    }
}
