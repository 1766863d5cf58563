//! The objects of one watch by name, as the last complete list and the changes since say.
//!
//! A list that is being read replaces the old one only when it is complete: until then, and for as long as a watch
//! fails, what was known stays.

use std::collections::BTreeMap;
use std::mem;

use kube::runtime::watcher::Event;
use llmd_common::kubernetes::watch::Seen;

/// See the module.
#[derive(Debug)]
pub struct Listing<V> {
    current: BTreeMap<String, V>,
    next: BTreeMap<String, V>,
    is_complete: bool,
}

impl<V> Default for Listing<V> {
    fn default() -> Self {
        Self { current: BTreeMap::new(), next: BTreeMap::new(), is_complete: false }
    }
}

impl<V: PartialEq> Listing<V> {
    /// Takes what a watch has seen. Whether [`Self::objects`] or [`Self::is_complete`] changed; `reduce` is that of
    /// [`Self::take`].
    pub fn see<K>(&mut self, seen: Seen<K>, reduce: impl FnOnce(K) -> (String, Option<V>)) -> bool {
        match seen {
            Seen::Event(event) => self.take(event, reduce),
            Seen::NotServed => self.forget(),
            Seen::Failed(_) => false,
        }
    }

    /// Takes an event; `reduce` gives an object's name and what to keep of it, `None` for an object that does not
    /// count. Whether [`Self::objects`] or [`Self::is_complete`] changed.
    pub fn take<K>(&mut self, event: Event<K>, reduce: impl FnOnce(K) -> (String, Option<V>)) -> bool {
        match event {
            Event::Apply(object) => match reduce(object) {
                (name, Some(value)) if self.current.get(&name) == Some(&value) => false,
                (name, Some(value)) => {
                    self.current.insert(name, value);
                    true
                }
                (name, None) => self.current.remove(&name).is_some(),
            },
            Event::Delete(object) => self.current.remove(&reduce(object).0).is_some(),
            Event::Init => {
                self.next.clear();
                false
            }
            Event::InitApply(object) => {
                if let (name, Some(value)) = reduce(object) {
                    self.next.insert(name, value);
                }
                false
            }
            Event::InitDone => {
                let next = mem::take(&mut self.next);
                let was_complete = mem::replace(&mut self.is_complete, true);
                let changed = next != self.current;
                self.current = next;
                changed || !was_complete
            }
        }
    }

    /// The API server does not serve the kind: there are no objects and no list. Whether that is news.
    pub fn forget(&mut self) -> bool {
        self.next.clear();
        let was_complete = mem::replace(&mut self.is_complete, false);
        let had_objects = !mem::take(&mut self.current).is_empty();
        was_complete || had_objects
    }

    /// The objects that count.
    #[must_use]
    pub const fn objects(&self) -> &BTreeMap<String, V> {
        &self.current
    }

    /// Whether a list was read to its end.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.is_complete
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn reduce((name, value): (&str, u8)) -> (String, Option<u8>) {
        (name.to_owned(), (value > 0).then_some(value))
    }

    fn objects(listing: &Listing<u8>) -> Vec<(&str, u8)> {
        listing.objects().iter().map(|(name, value)| (name.as_str(), *value)).collect()
    }

    #[test]
    fn a_new_list_counts_when_it_is_complete() {
        let mut listing = Listing::default();
        assert!(!listing.take(Event::Init, reduce));
        assert!(!listing.take(Event::InitApply(("a", 1)), reduce));
        assert_eq!(objects(&listing), []);
        assert!(listing.take(Event::InitDone, reduce) && listing.is_complete());
        assert_eq!(objects(&listing), [("a", 1)]);

        // The watch broke off and reads the list again.
        assert!(!listing.take(Event::Init, reduce));
        assert_eq!(objects(&listing), [("a", 1)]);
        assert!(!listing.take(Event::InitApply(("b", 2)), reduce));
        assert!(listing.take(Event::InitDone, reduce));
        assert_eq!(objects(&listing), [("b", 2)]);
    }

    #[test]
    fn what_does_not_count_is_not_kept_and_what_is_the_same_is_no_change() {
        let mut listing = Listing::default();
        assert!(!listing.take(Event::Apply(("a", 0)), reduce));
        assert!(listing.take(Event::Apply(("a", 1)), reduce));
        assert!(!listing.take(Event::Apply(("a", 1)), reduce));
        assert!(listing.take(Event::Apply(("a", 0)), reduce));
        assert!(!listing.take(Event::Delete(("a", 1)), reduce));
        assert!(!listing.forget());
        listing.take(Event::InitDone, reduce);
        assert!(listing.forget() && !listing.is_complete());
    }

    proptest! {
        /// Whatever was known and however often reading was begun before, a complete list is what is known.
        #[test]
        fn a_complete_list_is_the_truth(before in vec(("[a-c]", 0u8..3), 0..6), cut in vec(("[a-c]", 0u8..3), 0..4),
                                        list in vec(("[a-d]", 1u8..4), 0..6)) {
            let mut listing = Listing::default();
            for (name, value) in &before {
                listing.take(Event::Apply((name.as_str(), *value)), reduce);
            }
            for items in [&cut, &list] {
                listing.take(Event::Init, reduce);
                for (name, value) in items {
                    listing.take(Event::InitApply((name.as_str(), *value)), reduce);
                }
            }
            listing.take(Event::InitDone, reduce);
            let expected: BTreeMap<String, u8> = list.into_iter().collect();
            prop_assert_eq!(listing.objects(), &expected);
        }
    }
}
