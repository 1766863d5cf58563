//! Protobuf messages as lists of fields, to edit one without knowing all of it.
//!
//! Format: <https://protobuf.dev/programming-guides/encoding/>. Of a field that is not repeated the last one counts,
//! so appending replaces a number and extends a message.

use prost::{decode_length_delimiter, encode_length_delimiter};

/// The bytes are no protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a protobuf message")]
pub(super) struct Malformed;

/// A field as it stands in its message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub number: usize,
    /// Text, bytes or message; empty for numbers.
    pub value: &'a [u8],
    /// Key, length and value.
    whole: &'a [u8],
}

/// The fields of a message, in order.
pub(super) fn fields(mut message: &[u8]) -> Result<Vec<Field<'_>>, Malformed> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let start = message;
        let key = varint(&mut message)?;
        let value = match key & 7 {
            0 => {
                varint(&mut message)?;
                &[]
            }
            1 => {
                take(&mut message, 8)?;
                &[]
            }
            2 => {
                let length = varint(&mut message)?;
                take(&mut message, length)?
            }
            5 => {
                take(&mut message, 4)?;
                &[]
            }
            _ => return Err(Malformed),
        };
        let whole = &start[..start.len() - message.len()];
        fields.push(Field { number: key >> 3, value, whole });
    }
    Ok(fields)
}

/// The text of a field; empty when it is absent.
pub(super) fn text(message: &[u8], number: usize) -> Result<&str, Malformed> {
    let last = fields(message)?.into_iter().rev().find(|it| it.number == number);
    std::str::from_utf8(last.map_or(&[][..], |it| it.value)).map_err(|_| Malformed)
}

/// Copies a field.
pub(super) fn copy(field: &Field<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(field.whole);
}

/// Appends text, bytes or a message.
pub(super) fn put(number: usize, value: &[u8], out: &mut Vec<u8>) {
    for varint in [number << 3 | 2, value.len()] {
        encode_length_delimiter(varint, out).expect("a vector grows");
    }
    out.extend_from_slice(value);
}

/// The message with the value of every field of that number replaced by what `edit` makes of it.
pub(super) fn edit_each<E: From<Malformed>>(
    message: &[u8],
    number: usize,
    mut edit: impl FnMut(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let mut out = Vec::with_capacity(message.len());
    for field in fields(message)? {
        if field.number == number {
            put(number, &edit(field.value)?, &mut out);
        } else {
            copy(&field, &mut out);
        }
    }
    Ok(out)
}

/// The message without the fields of those numbers.
pub(super) fn without(message: &[u8], numbers: &[usize]) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(message.len());
    for field in fields(message)?.iter().filter(|it| !numbers.contains(&it.number)) {
        copy(field, &mut out);
    }
    Ok(out)
}

/// Lengths and keys are varints, and so are the numbers that are skipped here.
fn varint(message: &mut &[u8]) -> Result<usize, Malformed> {
    decode_length_delimiter(message).map_err(|_| Malformed)
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (value, rest) = message.split_at_checked(length).ok_or(Malformed)?;
    *message = rest;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_message_is_the_sum_of_its_fields(numbers in proptest::collection::vec((1usize..500, any::<Vec<u8>>()), 0..8)) {
            let mut message = Vec::new();
            for (number, value) in &numbers {
                put(*number, value, &mut message);
            }
            let found = fields(&message).expect("it was written so");
            prop_assert_eq!(found.len(), numbers.len());
            prop_assert!(found.iter().zip(&numbers).all(|(found, put)| found.number == put.0 && found.value == put.1));
            let mut again = Vec::new();
            found.iter().for_each(|it| copy(it, &mut again));
            prop_assert_eq!(&again, &message);
            prop_assert_eq!(edit_each(&message, 1, |it| Ok::<_, Malformed>(it.to_vec())), Ok(message));
        }

        #[test]
        fn no_bytes_crash_it(bytes in any::<Vec<u8>>()) {
            let _ = fields(&bytes);
            let _ = text(&bytes, 1);
        }
    }

    #[test]
    fn numbers_of_every_width_are_skipped() {
        // Field 1 as a varint, 2 as eight bytes, 3 as four, 4 as text.
        let message = [&[8, 0x96, 1, 17][..], &[0; 8], &[29], &[0; 4], &[34, 2, b'h', b'i']].concat();
        let numbers: Vec<usize> = fields(&message).expect("well formed").iter().map(|it| it.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        assert_eq!(text(&message, 4), Ok("hi"));
        assert_eq!(without(&message, &[1, 2, 3]).expect("well formed"), [34, 2, b'h', b'i']);
        assert_eq!(fields(&[34, 3, b'h']).map(|it| it.len()), Err(Malformed));
    }
}
