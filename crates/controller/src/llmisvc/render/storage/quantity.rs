//! Sums of sizes as Kubernetes writes them.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::quantity;

/// Whole bytes of a quantity, rounded up; `None` when it is no quantity, negative or beyond every disk.
fn bytes(quantity: &Quantity) -> Option<u128> {
    u128::try_from(quantity::rounded_up(&quantity.0)?).ok()
}

/// The sum, in the largest binary unit that is exact; the one quantity itself when the other is absent.
pub(super) fn sum(a: Option<&Quantity>, b: &Quantity) -> Option<Quantity> {
    let Some(a) = a else { return Some(b.clone()) };
    let total = bytes(a)?.checked_add(bytes(b)?)?;
    let units = [(1u128 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki"), (1, "")];
    let (unit, suffix) = units.into_iter().find(|(unit, _)| total.is_multiple_of(*unit))?;
    Some(Quantity(format!("{}{suffix}", total / unit)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Option<u128> {
        bytes(&Quantity(text.to_owned()))
    }

    #[test]
    fn every_notation_of_a_size_is_read() {
        for (text, expected) in [
            ("0", 0),
            ("1024", 1024),
            ("1Ki", 1024),
            ("1.5Gi", 3 << 29),
            ("100G", 100_000_000_000),
            ("2e3", 2000),
            ("1E", 1_000_000_000_000_000_000),
            ("1Ei", 1 << 60),
            ("1500m", 2),
            ("12e-1", 2),
            ("+5M", 5_000_000),
        ] {
            assert_eq!(of(text), Some(expected), "{text}");
        }
        for text in ["", "Gi", "1Zi", "-1", "1.2.3", "9e99999"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn sums_keep_the_largest_exact_unit() {
        let quantity = |it: &str| Quantity(it.to_owned());
        let sum = |a: &str, b: &str| sum(Some(&quantity(a)), &quantity(b)).unwrap().0;
        assert_eq!(sum("10Gi", "54Gi"), "64Gi");
        assert_eq!(sum("1Gi", "512Mi"), "1536Mi");
        assert_eq!(sum("1G", "1"), "1000000001");
        assert_eq!(super::sum(None, &quantity("100G")), Some(quantity("100G")));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _size = of(&text);
        }
    }
}
