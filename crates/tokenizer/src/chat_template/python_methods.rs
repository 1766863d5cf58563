//! Python methods that templates call on strings and lists and that `minijinja-contrib` does not have.

use minijinja::value::{Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

/// The widest field that `center`, `ljust`, `rjust` and `zfill` pad to.
const MAX_WIDTH: usize = 10_000;

/// Called for every method that the value itself does not have.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let found = match (value.as_str(), value.kind()) {
        (Some(text), _) => string_method(text, method, args)?,
        (None, ValueKind::Seq | ValueKind::Iterable) if method == "index" => Some(list_index(value, args)?),
        _ => None,
    };
    found.map_or_else(|| pycompat::unknown_method_callback(state, value, method, args), Ok)
}

/// `None` when the method is not one of these.
fn string_method(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let value = match method {
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            text.strip_prefix(prefix).unwrap_or(text).into()
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            text.strip_suffix(suffix).unwrap_or(text).into()
        }
        "partition" | "rpartition" => partition(text, method == "rpartition", args)?,
        "rsplit" => rsplit(text, args)?,
        "index" => {
            let (needle,): (&str,) = from_args(args)?;
            let at = text.find(needle).ok_or_else(|| bad("substring not found"))?;
            text[..at].chars().count().into()
        }
        "casefold" => {
            let () = from_args(args)?;
            text.to_lowercase().into()
        }
        "center" | "ljust" | "rjust" | "zfill" => pad(text, method, args)?,
        _ => return Ok(None),
    };
    Ok(Some(value))
}

fn list_index(list: &Value, args: &[Value]) -> Result<Value, Error> {
    let (wanted,): (&Value,) = from_args(args)?;
    list.try_iter()?
        .position(|item| item == *wanted)
        .map(Value::from)
        .ok_or_else(|| bad("value is not in the list"))
}

/// The text around the first (or last) separator, with the separator; all of it on one side when there is none.
fn partition(text: &str, from_right: bool, args: &[Value]) -> Result<Value, Error> {
    let (separator,): (&str,) = from_args(args)?;
    let split = if from_right { text.rsplit_once(separator) } else { text.split_once(separator) };
    let parts = match split {
        Some((before, after)) => [before, separator, after],
        None if from_right => ["", "", text],
        None => [text, "", ""],
    };
    Ok(Tuple::from(parts.map(Value::from)).into())
}

/// Splits from the right at a separator, or at white space, at most `limit` times.
fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, limit): (Option<&str>, Option<i64>) = from_args(args)?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let mut parts: Vec<&str> = match separator {
        Some(separator) => text.rsplitn(limit.saturating_add(1), separator).collect(),
        None => rsplit_white_space(text, limit),
    };
    parts.reverse();
    Ok(parts.into_iter().map(Value::from).collect())
}

/// The words of a text, last first; after `limit` of them the rest in one piece.
fn rsplit_white_space(text: &str, limit: usize) -> Vec<&str> {
    let mut rest = text.trim_end();
    let mut words = Vec::new();
    while !rest.is_empty() {
        let start = match rest.rfind(char::is_whitespace) {
            Some(space) if words.len() < limit => {
                space + rest[space..].chars().next().map_or(0, char::len_utf8)
            }
            _ => 0,
        };
        words.push(&rest[start..]);
        rest = rest[..start].trim_end();
    }
    words
}

/// Pads to a width in characters.
fn pad(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, fill): (usize, Option<&str>) = from_args(args)?;
    if width > MAX_WIDTH {
        return Err(bad("the width of a padded string is limited to 10000"));
    }
    let fill = fill.unwrap_or(if method == "zfill" { "0" } else { " " });
    let missing = width.saturating_sub(text.chars().count());
    let left = match method {
        "ljust" => 0,
        // Python puts the odd character on the left when the width is odd, on the right otherwise.
        "center" => missing / 2 + (missing & width & 1),
        _ => missing,
    };
    let sign = if method == "zfill" && text.starts_with(['-', '+']) { &text[..1] } else { "" };
    let (before, after) = (fill.repeat(left), fill.repeat(missing - left));
    Ok(format!("{sign}{before}{}{after}", &text[sign.len()..]).into())
}

fn bad(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
