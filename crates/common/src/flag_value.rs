//! Flag values as Go programs write them: durations (`1m30s`), booleans (`t`, `FALSE`) and Kubernetes
//! quantities (`10Mi`). Processes that replace a Go program read their flags with these.

use std::time::Duration;

/// Parses a boolean as Go's `strconv.ParseBool` does.
///
/// # Errors
/// When the text is none of the twelve accepted spellings.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("use true or false".to_owned()),
    }
}

/// Units of a Go duration in nanoseconds, longest spelling first so that `ms` is not read as `m`.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3), // micro sign
    ("μs", 1e3), // Greek letter mu
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// Parses a non-negative duration as Go's `time.ParseDuration` writes it: `50ms`, `1m30s`, `1.5h`, `0`.
///
/// # Errors
/// When a number or a unit is missing or unknown, or when the duration is negative.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const USE: &str = "use a duration such as 50ms, 30s or 1m30s";
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanos = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !it.is_ascii_digit() && it != '.').ok_or(USE)?;
        let amount: f64 = rest[..digits].parse().map_err(|_| USE)?;
        rest = &rest[digits..];
        let (unit, factor) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit)).ok_or(USE)?;
        nanos += amount * factor;
        rest = &rest[unit.len()..];
    }
    if text.is_empty() {
        return Err(USE.to_owned());
    }
    Duration::try_from_secs_f64(nanos / 1e9).map_err(|_| USE.to_owned())
}

/// Suffixes of a Kubernetes quantity that make sense for bytes, two letters first.
const SUFFIXES: [(&str, f64); 12] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("k", 1e3),
    ("K", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("e3", 1e3),
    ("e6", 1e6),
    ("e9", 1e9),
];

/// Parses a number of bytes written as a Kubernetes quantity: `4194304`, `10Mi`, `16M`, `1e6`.
///
/// # Errors
/// When the text is not a whole positive number of bytes with a known suffix.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    const USE: &str = "use a number of bytes such as 4194304, 10Mi or 16M";
    let (number, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))
        .unwrap_or((text, 1.0));
    let bytes = number.parse::<f64>().map_err(|_| USE)? * factor;
    // 2^53 is the last range in which a double counts single bytes.
    if (1.0..=9_007_199_254_740_992.0).contains(&bytes) { Ok(bytes as usize) } else { Err(USE.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let ok = |text: &str, millis: u64| {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        };
        ok("0", 0);
        ok("50ms", 50);
        ok("1m30s", 90_000);
        ok("1.5h", 5_400_000);
        ok("2h45m", 9_900_000);
        assert_eq!(parse_duration("1500us"), Ok(Duration::from_micros(1500)));
        ok("1000µs", 1);
        for bad in ["", "5", "s", "-1s", "1d", "1m3", "NaNs", "1..2s"] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn byte_quantities() {
        for (text, bytes) in
            [("4194304", 4_194_304), ("10Mi", 10_485_760), ("16M", 16_000_000), ("1e6", 1_000_000)]
        {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for bad in ["", "0", "-4", "10MB", "Mi", "inf", "1e30"] {
            assert!(parse_bytes(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn booleans() {
        assert_eq!(parse_bool("T"), Ok(true));
        assert_eq!(parse_bool("False"), Ok(false));
        assert!(parse_bool("yes").is_err());
    }
}
