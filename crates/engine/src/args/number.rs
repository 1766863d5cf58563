//! Counts as people write them: `4k` is 4000, `4K` is 4096.

/// A length given in tokens or left to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// `auto` or `-1`.
    Auto,
    /// Tokens.
    Tokens(u64),
}

/// Reads a count: digits with an optional fraction and suffix, k, m, g, t decimal or K, M, G, T binary.
///
/// # Errors
/// When `text` is no such number or is not a whole one.
pub fn parse_count(text: &str) -> Result<u64, String> {
    let problem = || format!("{text:?} is not a count such as 4096, 4k (4000) or 4K (4096)");
    let (digits, unit) = match text.char_indices().last() {
        Some((at, suffix)) if suffix.is_ascii_alphabetic() => {
            (&text[..at], unit(suffix).ok_or_else(problem)?)
        }
        _ => (text, 1),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |it: &str| it.bytes().all(|it| it.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) || fraction.len() > 9 {
        return Err(problem());
    }
    let number: u64 = format!("{whole}{fraction}").parse().map_err(|_| problem())?;
    let scale = 10_u64.pow(u32::try_from(fraction.len()).unwrap_or(0));
    let scaled = number.checked_mul(unit).ok_or_else(problem)?;
    if scaled % scale == 0 { Ok(scaled / scale) } else { Err(problem()) }
}

/// Reads a count, or `auto` or `-1`.
///
/// # Errors
/// As [`parse_count`].
pub fn parse_length(text: &str) -> Result<Length, String> {
    match text {
        "auto" | "-1" => Ok(Length::Auto),
        _ => parse_count(text).map(Length::Tokens),
    }
}

const fn unit(suffix: char) -> Option<u64> {
    match suffix {
        'k' => Some(1_000),
        'm' => Some(1_000_000),
        'g' => Some(1_000_000_000),
        't' => Some(1_000_000_000_000),
        'K' => Some(1 << 10),
        'M' => Some(1 << 20),
        'G' => Some(1 << 30),
        'T' => Some(1 << 40),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(parse_count(text).ok(), expected, "{text:?}");
    }

    #[test]
    fn suffixes_are_decimal_or_binary() {
        check("512", Some(512));
        check("4k", Some(4_000));
        check("4K", Some(4_096));
        check("1.5k", Some(1_500));
        check("25.6k", Some(25_600));
        check("2G", Some(2 << 30));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "k", "-4", "4x", "1.0001k", "4 k", "99999999999T", ".5k"] {
            check(text, None);
        }
    }

    #[test]
    fn lengths_may_be_left_to_the_model() {
        assert_eq!(parse_length("auto"), Ok(Length::Auto));
        assert_eq!(parse_length("-1"), Ok(Length::Auto));
        assert_eq!(parse_length("8k"), Ok(Length::Tokens(8_000)));
    }
}
