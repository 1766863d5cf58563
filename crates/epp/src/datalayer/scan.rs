//! Scanner of the Prometheus text format that looks only at the series somebody wants.
//!
//! Fed with chunks as they come from the socket. A line whose name is not wanted costs one comparison; nothing
//! is allocated except for a line that is cut by a chunk's end. Once every wanted series was seen and a line of
//! another family begins, the rest of the page is skipped: families are contiguous.

use memchr::memchr;

/// Longest line that is kept when chunks cut it; a longer one is skipped.
const MAX_LINE: usize = 64 << 10;

/// A wanted series: a name and labels that must have these values, as `name{label="value",…}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricSpec {
    name: String,
    labels: Vec<(String, String)>,
}

impl MetricSpec {
    /// Parses an instant selector with equality only; quotes around values may be missing. The empty string
    /// means that the engine has no such metric.
    ///
    /// # Errors
    /// A sentence about what is wrong.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let (name, labels) = match text.split_once('{') {
            None => (text, ""),
            Some((name, rest)) => {
                (name, rest.strip_suffix('}').ok_or_else(|| format!("{text:?} lacks its closing brace"))?)
            }
        };
        let is_name = |it: &str| {
            !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b':'))
        };
        if !is_name(name.trim()) {
            return Err(format!("{name:?} is not a metric name"));
        }
        let pairs = labels.split(',').map(str::trim).filter(|it| !it.is_empty()).map(|pair| {
            let (label, value) = pair
                .split_once('=')
                .filter(|(label, _)| is_name(label.trim()))
                .ok_or_else(|| format!("{pair:?} is not label=value"))?;
            Ok((label.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
        });
        Ok(Some(Self { name: name.trim().to_owned(), labels: pairs.collect::<Result<_, String>>()? }))
    }

    /// Whether `line` is a series of this name; gives what follows the name.
    fn match_name<'l>(&self, line: &'l [u8]) -> Option<&'l [u8]> {
        let rest = line.strip_prefix(self.name.as_bytes())?;
        matches!(rest.first(), Some(b'{' | b' ' | b'\t')).then_some(rest)
    }
}

/// One series of the page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'l> {
    labels: &'l [u8],
    /// Its value.
    pub value: f64,
}

impl<'l> Sample<'l> {
    /// Splits what follows a name into labels and value; a timestamp is ignored.
    fn parse(rest: &'l [u8]) -> Option<Self> {
        let (labels, rest) = match rest.strip_prefix(b"{") {
            None => (&rest[..0], rest),
            Some(inside) => {
                let end = end_of_labels(inside)?;
                (&inside[..end], &inside[end + 1..])
            }
        };
        let value = rest.split(u8::is_ascii_whitespace).find(|it| !it.is_empty())?;
        let value = std::str::from_utf8(value).ok()?.parse().ok()?;
        Some(Self { labels, value })
    }

    /// Value of label `name`, escapes left as they are.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&'l str> {
        let mut rest = self.labels;
        loop {
            let equals = memchr(b'=', rest)?;
            let label = rest[..equals].trim_ascii();
            let quoted = rest[equals + 1..].trim_ascii_start().strip_prefix(b"\"")?;
            let end = end_of_string(quoted)?;
            if label == name.as_bytes() {
                return std::str::from_utf8(&quoted[..end]).ok();
            }
            rest = quoted[end + 1..].trim_ascii_start();
            rest = rest.strip_prefix(b",").unwrap_or(rest);
        }
    }
}

/// Position of the quote that ends a string.
fn end_of_string(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    text.iter().position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// Position of the brace that ends the labels; braces in strings do not count.
fn end_of_labels(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let special = at + text[at..].iter().position(|it| matches!(it, b'"' | b'}'))?;
        if text[special] == b'}' {
            return Some(special);
        }
        at = special + 1;
        at += end_of_string(&text[at..])? + 1;
    }
}

/// Reads one page.
#[derive(Debug)]
pub struct Scanner<'s> {
    specs: &'s [MetricSpec],
    seen: Vec<bool>,
    /// Start of a line whose end did not come yet.
    cut_line: Vec<u8>,
    skips_line: bool,
    is_done: bool,
}

impl<'s> Scanner<'s> {
    /// A scanner for the series in `specs`.
    #[must_use]
    pub fn new(specs: &'s [MetricSpec]) -> Self {
        let seen = vec![false; specs.len()];
        Self { specs, seen, cut_line: Vec::new(), skips_line: false, is_done: specs.is_empty() }
    }

    /// Which of the specs matched a series so far.
    #[must_use]
    pub fn seen(&self) -> &[bool] {
        &self.seen
    }

    /// Reads the next chunk and calls `found` with the number of the spec for each series that matches.
    pub fn feed(&mut self, mut chunk: &[u8], found: &mut impl FnMut(usize, Sample<'_>)) {
        while !self.is_done {
            let Some(end) = memchr(b'\n', chunk) else { return self.keep_cut_line(chunk) };
            let (line, rest) = (&chunk[..end], &chunk[end + 1..]);
            if std::mem::take(&mut self.skips_line) {
                // The end of a line that was too long.
            } else if self.cut_line.is_empty() {
                self.line(line, found);
            } else {
                let mut whole = std::mem::take(&mut self.cut_line);
                whole.extend_from_slice(line);
                self.line(&whole, found);
                whole.clear();
                self.cut_line = whole;
            }
            chunk = rest;
        }
    }

    /// Reads a last line without a line feed.
    pub fn finish(&mut self, found: &mut impl FnMut(usize, Sample<'_>)) {
        let line = std::mem::take(&mut self.cut_line);
        if !self.is_done && !self.skips_line {
            self.line(&line, found);
        }
    }

    fn keep_cut_line(&mut self, start: &[u8]) {
        if self.skips_line || self.cut_line.len() + start.len() > MAX_LINE {
            self.skips_line = true;
            self.cut_line.clear();
        } else {
            self.cut_line.extend_from_slice(start);
        }
    }

    fn line(&mut self, line: &[u8], found: &mut impl FnMut(usize, Sample<'_>)) {
        if matches!(line.first(), None | Some(b'#')) {
            return;
        }
        let mut is_wanted = false;
        for (number, spec) in self.specs.iter().enumerate() {
            let Some(rest) = spec.match_name(line) else { continue };
            is_wanted = true;
            let Some(sample) = Sample::parse(rest) else { continue };
            if spec.labels.iter().all(|(name, value)| sample.label(name) == Some(value)) {
                self.seen[number] = true;
                found(number, sample);
            }
        }
        self.is_done = !is_wanted && self.seen.iter().all(|it| *it);
    }
}

#[cfg(test)]
mod tests;
