//! Finds token usage in a response that passes by in chunks.
//!
//! Looks for the JSON key `"usage"`, wherever chunks are cut, and reads the object behind it. Text that a model
//! generates cannot contain the key unescaped, because its quotes are escaped inside a JSON string. Works for JSON
//! bodies and event streams of all APIs alike; of several objects the later values win, field by field.

use memchr::memmem;
use serde_json::Value;

const KEY: &[u8] = b"\"usage\"";
/// A longer object is not usage.
const MAX_OBJECT: usize = 4 << 10;

/// Token counts as the engine reported them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u64>,
    /// Tokens generated.
    pub completion_tokens: Option<u64>,
    /// Prompt tokens whose KV was not computed anew.
    pub cached_tokens: Option<u64>,
}

impl Usage {
    fn merge(&mut self, object: &Value) {
        let first = |paths: &[&str]| paths.iter().find_map(|path| object.pointer(path)?.as_u64());
        let prompt = first(&["/prompt_tokens", "/input_tokens"]);
        let completion = first(&["/completion_tokens", "/output_tokens"]);
        let cached = first(&[
            "/prompt_tokens_details/cached_tokens",
            "/input_tokens_details/cached_tokens",
            "/cache_read_input_tokens",
        ]);
        self.prompt_tokens = prompt.or(self.prompt_tokens);
        self.completion_tokens = completion.or(self.completion_tokens);
        self.cached_tokens = cached.or(self.cached_tokens);
    }
}

#[derive(Debug, Default)]
enum State {
    /// The last `matched` bytes are the start of the key.
    #[default]
    Searching,
    PartOfKey {
        matched: usize,
    },
    /// The key came; its colon and object come next.
    AfterKey,
    /// Inside the object.
    Object {
        depth: u32,
        in_string: bool,
        escaped: bool,
    },
}

/// Scans one response.
#[derive(Debug, Default)]
pub struct UsageScanner {
    state: State,
    object: Vec<u8>,
    usage: Usage,
}

impl UsageScanner {
    /// What was found so far.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        self.usage
    }

    /// Reads the next chunk.
    pub fn feed(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            chunk = match self.state {
                State::Searching => self.search(chunk),
                State::PartOfKey { matched } => self.finish_key(chunk, matched),
                State::AfterKey => self.after_key(chunk),
                State::Object { depth, in_string, escaped } => self.object(chunk, depth, in_string, escaped),
            };
        }
    }

    fn search<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        if let Some(at) = memmem::find(chunk, KEY) {
            self.state = State::AfterKey;
            return &chunk[at + KEY.len()..];
        }
        let longest = (KEY.len() - 1).min(chunk.len());
        if let Some(matched) = (1..=longest).rev().find(|&n| chunk.ends_with(&KEY[..n])) {
            self.state = State::PartOfKey { matched };
        }
        &[]
    }

    fn finish_key<'c>(&mut self, chunk: &'c [u8], matched: usize) -> &'c [u8] {
        let wanted = &KEY[matched..];
        let n = wanted.len().min(chunk.len());
        if chunk[..n] != wanted[..n] {
            // No shorter start of the key ends where this one broke off: the key's first byte is in it once.
            self.state = State::Searching;
            return chunk;
        }
        self.state =
            if n == wanted.len() { State::AfterKey } else { State::PartOfKey { matched: matched + n } };
        &chunk[n..]
    }

    fn after_key<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let skipped = chunk.iter().take_while(|it| it.is_ascii_whitespace() || **it == b':').count();
        let rest = &chunk[skipped..];
        match rest.first() {
            None => {}
            Some(b'{') => {
                self.object.clear();
                self.state = State::Object { depth: 0, in_string: false, escaped: false };
            }
            Some(_) => self.state = State::Searching,
        }
        rest
    }

    fn object<'c>(
        &mut self,
        chunk: &'c [u8],
        mut depth: u32,
        mut in_string: bool,
        mut escaped: bool,
    ) -> &'c [u8] {
        for (at, &byte) in chunk.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b'{' if !in_string => depth += 1,
                b'}' if !in_string => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.object.extend_from_slice(&chunk[..=at]);
                if let Ok(object) = serde_json::from_slice(&self.object) {
                    self.usage.merge(&object);
                }
                self.state = State::Searching;
                return &chunk[at + 1..];
            }
        }
        if self.object.len() + chunk.len() > MAX_OBJECT {
            self.state = State::Searching;
            return &[];
        }
        self.object.extend_from_slice(chunk);
        self.state = State::Object { depth, in_string, escaped };
        &[]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = concat!(
        "data: {\"choices\":[{\"text\":\"\\\"usage\\\":{\\\"prompt_tokens\\\":9}\"}],\"usage\":null}\n\n",
        "data: {\"usage\" : {\"prompt_tokens\":3,\"x\":\"}\\\"\",\"completion_tokens\":1}}\n\n",
        "data: {\"\"usage\":{\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":1}}}\n\n",
        "data: [DONE]\n\n",
    );

    fn scan(text: &str, cuts: &[usize]) -> Usage {
        let mut scanner = UsageScanner::default();
        let mut start = 0;
        for &cut in cuts {
            scanner.feed(&text.as_bytes()[start..cut]);
            start = cut;
        }
        scanner.feed(&text.as_bytes()[start..]);
        scanner.usage()
    }

    #[test]
    fn reads_the_usage_of_every_api() {
        let usage = |prompt, completion, cached| Usage {
            prompt_tokens: prompt,
            completion_tokens: completion,
            cached_tokens: cached,
        };
        let chat = r#"{"usage":{"prompt_tokens":7,"completion_tokens":2,"prompt_tokens_details":null}}"#;
        assert_eq!(scan(chat, &[]), usage(Some(7), Some(2), None));
        let responses = r#"{"type":"response.completed","response":{"usage":{"input_tokens":5,"output_tokens":6,
            "input_tokens_details":{"cached_tokens":4}}}}"#;
        assert_eq!(scan(responses, &[]), usage(Some(5), Some(6), Some(4)));
        let odd = r#"{"usage":{"prompt_tokens":"many","completion_tokens":-1,"input_tokens":[]}}"#;
        assert_eq!(scan(odd, &[]), Usage::default());
        assert_eq!(scan(r#"{"usage":"a lot","b":{"prompt_tokens":1}}"#, &[]), Usage::default());
    }

    #[test]
    fn an_endless_object_is_given_up() {
        let text = format!("{{\"usage\":{{\"a\":\"{}", "x".repeat(3 * MAX_OBJECT));
        let cuts: Vec<usize> = (0..text.len()).step_by(1000).collect();
        assert_eq!(scan(&text, &cuts), Usage::default());
    }

    proptest! {
        #[test]
        fn chunk_borders_do_not_matter(cuts in prop::collection::vec(0usize..STREAM.len(), 0..10)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let expected =
                Usage { prompt_tokens: Some(3), completion_tokens: Some(2), cached_tokens: Some(1) };
            prop_assert_eq!(scan(STREAM, &cuts), expected);
        }

        #[test]
        fn no_bytes_make_it_panic(text in "([{}\":\\\\u]|usage|\"usage\"){0,40}", cut in 0usize..40) {
            let cut = cut.min(text.len());
            prop_assert_eq!(scan(&text, &[cut]), scan(&text, &[]));
        }
    }
}
