//! Counts tests from what `cargo test -- --show-output` prints, line by line. Pure.
//!
//! The output of a passing test is dropped, except a line `skipped: REASON`, which makes the test count as
//! skipped and not as passed.

use crate::sums::Sums;

/// Counts over all test binaries of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    n_passed: u64,
    n_failed: u64,
    n_ignored: u64,
    n_skipped: u64,
    /// Inside the outputs of passing tests.
    is_in_successes: bool,
    /// The passing test whose output is being read, until it counts as skipped.
    test: Option<String>,
}

impl Tally {
    /// Takes one line; returns what to show of it.
    pub(super) fn read(&mut self, line: &str) -> Option<String> {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.is_in_successes = false;
            self.n_passed += count(counts, "passed");
            self.n_failed += count(counts, "failed");
            self.n_ignored += count(counts, "ignored");
            return Some(line.to_owned());
        }
        match line {
            "successes:" => self.is_in_successes = true,
            "failures:" => self.is_in_successes = false,
            _ => {}
        }
        if !self.is_in_successes {
            return Some(line.to_owned());
        }
        if let Some(test) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            self.test = Some(test.to_owned());
        } else if line.starts_with("skipped:") {
            let test = self.test.take()?;
            self.n_skipped += 1;
            return Some(format!("test {test} ... {line}"));
        }
        None
    }

    /// Tests that did what they are there for, that failed, and that found this machine lacking something. A run
    /// that failed without a failed test (it did not compile, or a test binary crashed) counts as one failure.
    pub(super) const fn sums(&self, succeeded: bool) -> Sums {
        Sums {
            n_passed: self.n_passed.saturating_sub(self.n_skipped),
            n_failed: if self.n_failed == 0 && !succeeded { 1 } else { self.n_failed },
            n_skipped: self.n_skipped + self.n_ignored,
        }
    }
}

/// The number before `word` in `ok. 3 passed; 0 failed; …`.
fn count(counts: &str, word: &str) -> u64 {
    let words: Vec<&str> = counts.split([' ', ';']).filter(|it| !it.is_empty()).collect();
    let pair = words.windows(2).find(|pair| pair[1] == word);
    pair.and_then(|pair| pair[0].parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "
running 3 tests
test a ... ok
test amx::b ... ok
test c ... FAILED

successes:

---- amx::b stdout ----
loading
skipped: no AMX here
skipped: twice


successes:
    a
    amx::b

failures:

---- c stdout ----
skipped: not by a test that failed

failures:
    c

test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.22s

running 1 test
test d ... ok

successes:

successes:
    d

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn sums_up_binaries_and_tells_skipped_from_passed() {
        let mut tally = Tally::default();
        let shown: Vec<String> = RUN.lines().filter_map(|line| tally.read(line)).collect();
        assert_eq!(tally.sums(false), Sums { n_passed: 2, n_failed: 1, n_skipped: 1 });
        assert!(shown.contains(&"test amx::b ... skipped: no AMX here".to_owned()), "{shown:#?}");
        assert!(shown.contains(&"---- c stdout ----".to_owned()), "{shown:#?}");
        assert!(!shown.iter().any(|line| line == "loading" || line == "    d"), "{shown:#?}");
        assert_eq!(shown.last().unwrap().split_whitespace().nth(3), Some("1"));
    }

    #[test]
    fn a_run_that_broke_counts_as_a_failure() {
        assert_eq!(Tally::default().sums(false), Sums::BROKEN);
        assert_eq!(Tally::default().sums(true), Sums::default());
    }
}
