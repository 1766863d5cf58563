//! Paths into a spec, as people write them and as they are resolved.

use std::fmt;

use super::ExplainError;

/// Longest path that is read, in bytes.
const MAX_BYTES: usize = 4096;

/// A part of a path as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Field(String),
    /// What brackets hold: a position or key, or with `key` the value of a field.
    Selector {
        key: Option<String>,
        value: String,
    },
}

impl Segment {
    /// What is looked for.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Field(name) | Self::Selector { value: name, .. } => name,
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, "field {name:?}"),
            Self::Selector { key: None, value } => write!(f, "item [{value}]"),
            Self::Selector { key: Some(key), value } => write!(f, "item [{key}={value}]"),
        }
    }
}

/// A part of a path that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Field(String),
    /// The item of a list whose `key` has this value.
    Item {
        key: String,
        value: String,
    },
    Index(usize),
}

/// The full form of a path.
pub(super) fn join(steps: &[Step]) -> String {
    let mut path = "spec".to_owned();
    for step in steps {
        path.push_str(&match step {
            Step::Field(name) if name.contains(['.', '/', '[']) => format!("[{name}]"),
            Step::Field(name) => format!(".{name}"),
            Step::Item { value, .. } => format!("[{value}]"),
            Step::Index(index) => format!("[{index}]"),
        });
    }
    path
}

/// Reads a path; `spec` at its start may be left out.
pub(super) fn parse(path: &str) -> Result<Vec<Segment>, ExplainError> {
    let wrong = |message| ExplainError::Syntax { path: path.chars().take(80).collect(), message };
    if path.len() > MAX_BYTES {
        return Err(wrong("it is too long"));
    }
    let mut segments = Vec::new();
    let mut rest = path.trim();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (selector, after) = inner.split_once(']').ok_or_else(|| wrong("[ without ]"))?;
            let (key, value) = selector.split_once('=').map_or((None, selector), |(key, it)| (Some(key), it));
            if value.is_empty() {
                return Err(wrong("empty brackets"));
            }
            segments.push(Segment::Selector { key: key.map(str::to_owned), value: value.to_owned() });
            rest = after;
        } else {
            let start = rest.strip_prefix('.').unwrap_or(rest);
            let end = start.find(['.', '[']).unwrap_or(start.len());
            if end == 0 {
                return Err(wrong("an empty name"));
            }
            segments.push(Segment::Field(start[..end].to_owned()));
            rest = &start[end..];
        }
    }
    if segments.first() == Some(&Segment::Field("spec".to_owned())) {
        segments.remove(0);
    }
    Ok(segments)
}
