//! The header of a safetensors file: 8 bytes of length, then JSON that maps names to type, shape and place.
//!
//! The file comes from outside: every number is checked against the file's size before it is used. It is read by
//! own code because errors name the tensor that way, and because the format is this small.

use std::collections::HashMap;
use std::ops::Range;

use serde::Deserialize;
use serde_json::Value;

/// Bytes of a header at most: the format's own limit.
const MAX_HEADER: u64 = 100_000_000;

/// A tensor in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Type as the header names it, such as `BF16`.
    pub dtype: String,
    /// Extents.
    pub shape: Vec<usize>,
    /// Bytes of the file.
    pub bytes: Range<usize>,
}

/// An entry as it is written.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// Reads the header of `file`. Answers what is wrong with it in words.
///
/// # Errors
/// When the header does not describe this file.
pub fn parse(file: &[u8]) -> Result<HashMap<String, TensorInfo>, String> {
    let (len, rest) = file.split_first_chunk::<8>().ok_or("it is shorter than a header")?;
    let len = u64::from_le_bytes(*len);
    if len > MAX_HEADER {
        return Err(format!("its header claims {len} bytes"));
    }
    let header = rest
        .get(..len as usize)
        .ok_or_else(|| format!("its header claims {len} bytes, the file has {}", file.len()))?;
    let entries: HashMap<String, Value> =
        serde_json::from_slice(header).map_err(|error| format!("its header is no JSON object ({error})"))?;
    let data = 8 + header.len();
    entries
        .into_iter()
        .filter(|(name, _)| name != "__metadata__")
        .map(|(name, entry)| match place(entry, file.len(), data) {
            Ok(info) => Ok((name, info)),
            Err(problem) => Err(format!("tensor {name:?} {problem}")),
        })
        .collect()
}

/// Checks one entry of a file of `file_len` bytes whose tensors begin at `data`.
fn place(entry: Value, file_len: usize, data: usize) -> Result<TensorInfo, String> {
    let Entry { dtype, shape, data_offsets: (start, end) } =
        serde_json::from_value(entry).map_err(|error| format!("has no proper entry ({error})"))?;
    let room = file_len - data;
    if start > end || end > room {
        return Err(format!("lies at {start}..{end} of {room} bytes: the file is incomplete"));
    }
    Ok(TensorInfo { dtype, shape, bytes: data + start..data + end })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        file.resize(file.len() + data, 7);
        file
    }

    #[test]
    fn a_good_header() {
        let header =
            r#"{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[4,28]}}"#;
        let tensors = parse(&file(header, 28)).unwrap();
        assert_eq!(tensors.len(), 1);
        let start = 8 + header.len() + 4;
        let expected = TensorInfo { dtype: "F32".to_owned(), shape: vec![2, 3], bytes: start..start + 24 };
        assert_eq!(tensors["w"], expected);
    }

    #[test]
    fn damage_is_named() {
        let header = r#"{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[4,28]}}"#;
        assert!(parse(&file(header, 27)).unwrap_err().contains("incomplete"));
        assert!(parse(&file(header, 28)[..40]).unwrap_err().contains("claims"));
        assert!(parse(b"abc").unwrap_err().contains("shorter"));
        assert!(parse(&[0xFF; 16]).unwrap_err().contains("claims"));
        assert!(parse(&file("[]", 0)).unwrap_err().contains("no JSON object"));
        assert!(parse(&file(r#"{"w":{"dtype":"F32"}}"#, 0)).unwrap_err().contains("\"w\""));
        assert!(parse(&file(&header.replace("[4,28]", "[28,4]"), 28)).is_err());
        assert!(parse(&file(&header.replace("28", "18446744073709551615"), 28)).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), json in ".{0,100}") {
            let _ = parse(&bytes);
            let _ = parse(&file(&json, 10));
        }

        #[test]
        fn no_offsets_panic(start: usize, end: usize, shape in prop::collection::vec(any::<usize>(), 0..4)) {
            let header = format!(r#"{{"w":{{"dtype":"BF16","shape":{shape:?},"data_offsets":[{start},{end}]}}}}"#);
            if let Ok(tensors) = parse(&file(&header, 64)) {
                prop_assert!(tensors["w"].bytes.end <= 8 + header.len() + 64);
            }
        }
    }
}
