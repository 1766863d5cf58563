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

/// The combinations of values in the labels of one request, bounded together: labels of a thousand values
/// each would be more series than memory holds.
#[derive(Debug)]
pub(super) struct Combinations {
    seen: RwLock<HashSet<[Arc<str>; 4]>>,
    max: usize,
}

impl Combinations {
    pub(super) fn new(max: usize) -> Self {
        Self { seen: RwLock::new(HashSet::new()), max }
    }

    /// The labels (model, target model, fairness id, priority), of which the fairness id becomes `other` after `max`
    /// combinations and everything but the priority, which operators choose, after twice as many.
    pub(super) fn bound(&self, labels: [Arc<str>; 4]) -> [Arc<str>; 4] {
        if self.admits(&labels, self.max) {
            return labels;
        }
        let [model, target_model, _, priority] = labels;
        let of_model = [model, target_model, OTHER.into(), Arc::clone(&priority)];
        if self.admits(&of_model, 2 * self.max) {
            of_model
        } else {
            [OTHER.into(), OTHER.into(), OTHER.into(), priority]
        }
    }

    /// Whether `labels` were seen or are among the first `max`.
    fn admits(&self, labels: &[Arc<str>; 4], max: usize) -> bool {
        let seen = self.seen.read();
        let is_known = seen.contains(labels);
        if is_known || seen.len() >= max {
            return is_known;
        }
        drop(seen);
        let mut seen = self.seen.write();
        if seen.len() < max {
            seen.insert(labels.clone());
        }
        seen.contains(labels)
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
