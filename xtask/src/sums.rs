//! How many tests did what: the last line of everything that tests.

use std::fmt::{Display, Formatter};
use std::ops::Add;

/// Reads and prints as `N passed, N failed, N skipped`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) n_passed: u64,
    pub(crate) n_failed: u64,
    pub(crate) n_skipped: u64,
}

impl Sums {
    /// Something went wrong before there was anything to count.
    pub(crate) const BROKEN: Self = Self { n_passed: 0, n_failed: 1, n_skipped: 0 };

    /// Those of a line, if it is such a line.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let counts = ["passed", "failed", "skipped"];
        let mut parts = line
            .split(", ")
            .zip(counts)
            .map(|(part, word)| part.strip_suffix(word).and_then(|it| it.trim_end().parse().ok()));
        let sums = Self { n_passed: parts.next()??, n_failed: parts.next()??, n_skipped: parts.next()?? };
        (sums.to_string() == line).then_some(sums)
    }
}

impl Display for Sums {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.n_passed, self.n_failed, self.n_skipped)
    }
}

impl Add for Sums {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            n_passed: self.n_passed + other.n_passed,
            n_failed: self.n_failed + other.n_failed,
            n_skipped: self.n_skipped + other.n_skipped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_printed() {
        let sums = Sums { n_passed: 12, n_failed: 0, n_skipped: 3 };
        assert_eq!(Sums::read(&sums.to_string()), Some(sums));
        for other in [
            "",
            "1 passed",
            "1 passed, 2 failed, 3 skipped, 4 more",
            "serving: 1 passed, 2 failed, 3 skipped",
        ] {
            assert_eq!(Sums::read(other), None, "{other:?}");
        }
        assert_eq!((sums + Sums::BROKEN).to_string(), "12 passed, 1 failed, 3 skipped");
    }
}
