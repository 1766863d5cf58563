//! Kubernetes quantities (`100m`, `10Gi`, `1e3`) as whole numbers.

/// The value of a quantity, rounded up to a whole number as Kubernetes does. `None` when the text is no quantity
/// or the value does not fit.
#[must_use]
pub fn whole(quantity: &str) -> Option<i64> {
    i64::try_from(rounded_up(quantity)?).ok()
}

/// As [`whole`], for values beyond what one number of Kubernetes holds.
#[must_use]
pub fn rounded_up(quantity: &str) -> Option<i128> {
    let (negative, unsigned) = match quantity.strip_prefix('-') {
        Some(it) => (true, it),
        None => (false, quantity.strip_prefix('+').unwrap_or(quantity)),
    };
    let end = unsigned.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
    if integer.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let digits: i128 = format!("{integer}{fraction}").parse().ok()?;
    let scale = u32::try_from(fraction.len()).ok()?;
    let (multiplier, divisor) = factor(suffix)?;
    let numerator = digits.checked_mul(multiplier)?.checked_mul(if negative { -1 } else { 1 })?;
    let denominator = 10_i128.checked_pow(scale)?.checked_mul(divisor)?;
    Some(-(-numerator).div_euclid(denominator))
}

/// What a suffix multiplies by and divides by.
fn factor(suffix: &str) -> Option<(i128, i128)> {
    let decimal = |exponent: u32| 10_i128.checked_pow(exponent);
    let binary = |tens: u32| Some(1_i128 << (10 * tens));
    let multiplier = match suffix {
        "n" => return Some((1, decimal(9)?)),
        "u" => return Some((1, decimal(6)?)),
        "m" => return Some((1, decimal(3)?)),
        "" => Some(1),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            return match u32::try_from(exponent) {
                Ok(it) => Some((decimal(it)?, 1)),
                Err(_) => Some((1, decimal(exponent.unsigned_abs())?)),
            };
        }
    };
    Some((multiplier?, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_kubernetes_values() {
        let cases = [
            ("0", 0),
            ("10Gi", 10 << 30),
            ("1.5Ki", 1536),
            ("2G", 2_000_000_000),
            ("1e3", 1000),
            ("15e-1", 2),
            ("100m", 1),
            ("-1500m", -1),
            ("+3", 3),
            (".5", 1),
            ("1E", 1_000_000_000_000_000_000),
        ];
        for (text, value) in cases {
            assert_eq!(whole(text), Some(value), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_quantities() {
        for text in ["", ".", "1.2.3", "abc", "1X", "Gi", "1e", "--1", "100E", "1 Gi", "9e99"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[-+.0-9a-zA-Z]{0,60}") {
            let _ = whole(&text);
        }
    }
}
