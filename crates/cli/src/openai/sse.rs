//! Server-sent events, as far as chat streams use them: the `data` of each event.
//!
//! Follows the WHATWG rules for lines (`\n`, `\r\n`), comments and data of several lines; other fields are
//! skipped. Bytes may be cut anywhere.

/// Longest event, in bytes; more is an error.
const MAX_EVENT: usize = 1 << 20;

/// Bytes in, events out.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    line: Vec<u8>,
    data: Option<String>,
}

impl Decoder {
    /// The events that `bytes` complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, String> {
        let mut events = Vec::new();
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(part);
            let n_held = self.line.len() + self.data.as_ref().map_or(0, String::len);
            if n_held > MAX_EVENT {
                return Err(format!("an event is longer than {MAX_EVENT} bytes"));
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                events.extend(self.line_ended(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n'])));
            }
        }
        Ok(events)
    }

    fn line_ended(&mut self, line: &str) -> Option<String> {
        if line.is_empty() {
            return self.data.take();
        }
        if let Some(value) = line.strip_prefix("data:") {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_any_cut() {
        let stream =
            ": hello\r\ndata: {\"a\":1}\r\n\r\nevent: x\ndata:two\ndata: lines é\n\n\ndata: [DONE]\n\n"
                .as_bytes();
        let expected = ["{\"a\":1}", "two\nlines é", "[DONE]"];
        for size in 1..stream.len() {
            let mut decoder = Decoder::default();
            let events: Vec<_> = stream.chunks(size).flat_map(|it| decoder.push(it).unwrap()).collect();
            assert_eq!(events, expected, "cut every {size} bytes");
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut decoder = Decoder::default();
        assert!(decoder.push(&vec![b'x'; MAX_EVENT]).unwrap().is_empty());
        decoder.push(b"x").unwrap_err();
    }
}
