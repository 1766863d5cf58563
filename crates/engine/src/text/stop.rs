//! Stop strings over a text that arrives in pieces.
//!
//! Of several stop strings the one that is complete first wins, and of those complete at the same character the
//! longest. That choice depends on the text alone, so the pieces' boundaries never change the result. Text is held
//! back only while it may still become a stop string: at most the longest one less a character.

use std::sync::Arc;

/// Text that may be shown, and the stop string that ended it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Text to append.
    pub text: String,
    /// The stop string that was found; nothing may be pushed after it.
    pub stop: Option<String>,
}

/// Watches one text for stop strings.
#[derive(Debug, Clone)]
pub struct StopFilter {
    stops: Arc<[String]>,
    include_stop: bool,
    /// Text that arrived and may still begin a stop string.
    held: String,
}

impl StopFilter {
    /// A filter for `stops`, none of them empty. With `include_stop` the found one stays in the text.
    #[must_use]
    pub const fn new(stops: Arc<[String]>, include_stop: bool) -> Self {
        Self { stops, include_stop, held: String::new() }
    }

    /// Takes the next piece. A stop string that ends in it counts unless `may_stop` is false, as it is before
    /// `min_tokens`.
    pub fn push(&mut self, piece: &str, may_stop: bool) -> Cleared {
        let old = self.held.len();
        self.held.push_str(piece);
        if may_stop && let Some((start, stop)) = self.first_match(old) {
            let end = if self.include_stop { start + stop.len() } else { start };
            let stop = stop.to_owned();
            self.held.truncate(end);
            return Cleared { text: std::mem::take(&mut self.held), stop: Some(stop) };
        }
        let keep = self.held.split_off(self.held_from());
        Cleared { text: std::mem::replace(&mut self.held, keep), stop: None }
    }

    /// The text ended without a stop string: what was held back belongs to it.
    #[must_use]
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Start and text of the first complete stop string that ends after byte `old`.
    fn first_match(&self, old: usize) -> Option<(usize, &str)> {
        let matches = self.stops.iter().filter_map(|stop| {
            let from = self.held.ceil_char_boundary((old + 1).saturating_sub(stop.len()));
            let start = from + self.held[from..].find(stop.as_str())?;
            Some((start, stop.as_str()))
        });
        matches.min_by_key(|(start, stop)| (start + stop.len(), *start))
    }

    /// Where the longest suffix begins that a stop string begins with.
    fn held_from(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let first = self.held.ceil_char_boundary(self.held.len().saturating_sub(longest.saturating_sub(1)));
        let may_grow = |from: &usize| {
            let suffix = &self.held[*from..];
            self.stops.iter().any(|stop| stop.len() > suffix.len() && stop.starts_with(suffix))
        };
        (first..self.held.len())
            .filter(|&it| self.held.is_char_boundary(it))
            .find(may_grow)
            .unwrap_or(self.held.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(stops: &[&str], include_stop: bool) -> StopFilter {
        StopFilter::new(stops.iter().map(|&it| it.to_owned()).collect(), include_stop)
    }

    /// Shown text and stop string after pushing `pieces`.
    fn run(mut filter: StopFilter, pieces: &[&str]) -> (String, Option<String>) {
        let mut shown = String::new();
        for piece in pieces {
            let Cleared { text, stop } = filter.push(piece, true);
            shown.push_str(&text);
            if stop.is_some() {
                return (shown, stop);
            }
        }
        shown.push_str(&filter.finish());
        (shown, None)
    }

    #[track_caller]
    fn check(stops: &[&str], pieces: &[&str], shown: &str, stop: Option<&str>) {
        assert_eq!(run(filter(stops, false), pieces), (shown.to_owned(), stop.map(str::to_owned)));
    }

    #[test]
    fn without_stop_strings_nothing_is_held_back() {
        let mut filter = filter(&[], false);
        assert_eq!(filter.push("abc", true).text, "abc");
        assert_eq!(filter.finish(), "");
    }

    #[test]
    fn a_stop_string_across_pieces_is_cut_out() {
        check(&["END"], &["one E", "N", "D two"], "one ", Some("END"));
    }

    #[test]
    fn text_that_only_looked_like_a_stop_string_comes_out() {
        check(&["END"], &["EN", "EN", "X"], "ENENX", None);
        check(&["END"], &["one EN"], "one EN", None);
    }

    #[test]
    fn the_first_complete_one_wins_and_then_the_longest() {
        check(&["cd", "bc"], &["abcd"], "a", Some("bc"));
        check(&["d", "cd"], &["abcd"], "ab", Some("cd"));
    }

    #[test]
    fn the_stop_string_can_stay_in_the_text() {
        let (shown, stop) = run(filter(&["."], true), &["a.b"]);
        assert_eq!((shown.as_str(), stop.as_deref()), ("a.", Some(".")));
    }

    #[test]
    fn held_text_is_no_longer_than_it_must_be() {
        let mut filter = filter(&["stop"], false);
        assert_eq!(filter.push("a st", true).text, "a ");
        assert_eq!(filter.push("r", true).text, "str");
    }

    #[test]
    fn before_min_tokens_a_stop_string_is_text() {
        let mut filter = filter(&["ab"], false);
        assert_eq!(filter.push("xab", false), Cleared { text: "xab".to_owned(), stop: None });
        assert_eq!(filter.push("a", false).text, "");
        // It begins before the limit and is complete after it, so it counts.
        assert_eq!(filter.push("b", true), Cleared { text: String::new(), stop: Some("ab".to_owned()) });
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_text(
            text in "[abé]{0,24}",
            stops in prop::collection::vec("[abé]{1,4}", 0..4),
            cuts in prop::collection::vec(0usize..25, 0..8),
            include in any::<bool>(),
        ) {
            let stops: Arc<[String]> = stops.into();
            let whole = run(StopFilter::new(Arc::clone(&stops), include), &[text.as_str()]);
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|&it| text.is_char_boundary(it)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|it| &text[it[0]..it[1]]).collect();
            prop_assert_eq!(run(StopFilter::new(stops, include), &pieces), whole);
        }

        #[test]
        fn agrees_with_a_search_over_the_whole_text(
            text in "[ab]{0,24}",
            stops in prop::collection::vec("[ab]{1,4}", 1..4),
        ) {
            let first = (0..=text.len())
                .find_map(|end| stops.iter().filter(|it| text[..end].ends_with(it.as_str())).map(|it| end - it.len()).min());
            let expected = first.map_or(text.as_str(), |start| &text[..start]);
            let pieces: Vec<String> = text.chars().map(String::from).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            prop_assert_eq!(run(StopFilter::new(stops.into(), false), &pieces).0, expected);
        }
    }
}
