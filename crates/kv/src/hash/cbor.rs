//! The five canonical CBOR items a block hash is made of (RFC 8949 §3, shortest heads as §4.2.1 demands).

/// Bytes of the longest head: one for the type, eight for the value.
pub(super) const MAX_HEAD: usize = 9;
/// Bytes of the longest encoded token id, a 32-bit integer.
pub(super) const MAX_TOKEN: usize = 5;

const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const NULL: u8 = 0xf6;

pub(super) fn unsigned(out: &mut Vec<u8>, value: u64) {
    head(out, UNSIGNED, value);
}

pub(super) fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    head(out, BYTES, value.len() as u64);
    out.extend_from_slice(value);
}

pub(super) fn text(out: &mut Vec<u8>, value: &str) {
    head(out, TEXT, value.len() as u64);
    out.extend_from_slice(value.as_bytes());
}

/// Opens an array; its `len` items follow.
pub(super) fn array(out: &mut Vec<u8>, len: usize) {
    head(out, ARRAY, len as u64);
}

pub(super) fn null(out: &mut Vec<u8>) {
    out.push(NULL);
}

/// Major type in the top three bits, then the value in the fewest bytes that hold it, big-endian.
fn head(out: &mut Vec<u8>, major: u8, value: u64) {
    let major = major << 5;
    if let Ok(value) = u8::try_from(value) {
        match value {
            0..24 => out.push(major | value),
            _ => out.extend_from_slice(&[major | 24, value]),
        }
    } else if let Ok(value) = u16::try_from(value) {
        out.push(major | 25);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(major | 26);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(major | 27);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of RFC 8949 appendix A.
    #[test]
    fn integers_take_the_fewest_bytes() {
        let rows: [(u64, &[u8]); 8] = [
            (0, &[0x00]),
            (23, &[0x17]),
            (24, &[0x18, 0x18]),
            (255, &[0x18, 0xff]),
            (1000, &[0x19, 0x03, 0xe8]),
            (65_535, &[0x19, 0xff, 0xff]),
            (1_000_000, &[0x1a, 0x00, 0x0f, 0x42, 0x40]),
            (1_000_000_000_000, &[0x1b, 0x00, 0x00, 0x00, 0xe8, 0xd4, 0xa5, 0x10, 0x00]),
        ];
        for (value, expected) in rows {
            let mut out = Vec::new();
            unsigned(&mut out, value);
            assert_eq!(out, expected, "{value}");
        }
    }
}
