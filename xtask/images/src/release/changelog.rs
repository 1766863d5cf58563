//! Cutting one version's section from `CHANGELOG.md`, which is written as <https://keepachangelog.com/en/1.1.0/> says.

/// Heading of what no version has yet.
pub(super) const TO_COME: &str = "Unreleased";

/// What stands under `## VERSION`, `## [VERSION]` or either with a date; `None` when there is no such heading or
/// nothing under it.
pub(super) fn section<'a>(text: &'a str, version: &str) -> Option<&'a str> {
    let mut sections = text.split("\n## ").skip(1);
    let named = sections.find_map(|section| {
        let (heading, body) = section.split_once('\n')?;
        let name = heading.split_whitespace().next()?.trim_matches(['[', ']']);
        (name == version).then(|| body.trim())
    });
    named.filter(|body| !body.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# Changelog\n\n## Unreleased\n\n## [0.2.0] - 2026-02-01\n\n### Added\n\n- b\n\n## 0.1.0\n\n- a\n";

    #[test]
    fn a_section_ends_where_the_next_begins() {
        assert_eq!(section(TEXT, "0.2.0"), Some("### Added\n\n- b"));
        assert_eq!(section(TEXT, "0.1.0"), Some("- a"));
    }

    #[test]
    fn what_is_empty_or_not_there_is_none() {
        assert_eq!(section(TEXT, TO_COME), None);
        assert_eq!(section(TEXT, "0.1"), None);
        assert_eq!(section("", "0.1.0"), None);
    }

    #[test]
    fn the_changelog_of_the_project_has_a_section_to_cut() {
        let own = include_str!("../../../../CHANGELOG.md");
        assert!(section(own, TO_COME).or_else(|| section(own, env!("CARGO_PKG_VERSION"))).is_some());
    }
}
