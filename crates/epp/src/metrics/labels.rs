//! Label values that clients choose, bounded over the life of the process.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::RwLock;

/// What values beyond the bound become.
const OTHER: &str = "other";
/// Longer values become [`OTHER`] too: a label is no place for kilobytes.
const MAX_LEN: usize = 256;

/// The distinct values of one label: the first `max` are kept, all later ones are folded into `other`.
#[derive(Debug)]
pub(super) struct BoundedLabel {
    seen: RwLock<HashSet<Arc<str>>>,
    max: usize,
}

impl BoundedLabel {
    pub(super) fn new(max: usize) -> Self {
        Self { seen: RwLock::new(HashSet::new()), max }
    }

    /// `value`, or `other`. The empty string is not counted.
    pub(super) fn bound(&self, value: &str) -> Arc<str> {
        if value.is_empty() {
            return "".into();
        }
        let seen = self.seen.read();
        if let Some(known) = seen.get(value) {
            return Arc::clone(known);
        }
        // Clients that send ever new values must not make the others wait for a write lock.
        if seen.len() >= self.max || value.len() > MAX_LEN {
            return OTHER.into();
        }
        drop(seen);
        let value: Arc<str> = value.into();
        let mut seen = self.seen.write();
        if seen.len() < self.max {
            seen.insert(Arc::clone(&value));
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_what_comes_after_the_bound() {
        let label = BoundedLabel::new(2);
        assert_eq!(&*label.bound("a"), "a");
        assert_eq!(&*label.bound(""), "");
        assert_eq!(&*label.bound(&"x".repeat(257)), "other");
        assert_eq!(&*label.bound("b"), "b");
        assert_eq!(&*label.bound("c"), "other");
        assert_eq!(&*label.bound("a"), "a");
    }
}
