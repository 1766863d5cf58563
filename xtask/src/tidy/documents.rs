//! Every path that a document names is there.
//!
//! A path is the target of a link that is no URL, or stands between back-quotes, has no space and begins with an
//! entry of the root folder. `{a,b}` means each of them; `*`, `<name>` and `my_name` stand for anything, so the path counts up to
//! there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The documents that guide through the tree.
const DOCUMENTS: [&str; 3] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];

/// Paths named in the documents of `root` that do not exist there. A document that does not exist is one.
pub(super) fn dead_paths(root: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(root).context("cannot list the root of the workspace")?;
    let entries: BTreeSet<String> =
        entries.filter_map(Result::ok).map(|it| it.file_name().to_string_lossy().into_owned()).collect();
    let mut dead = Vec::new();
    for document in DOCUMENTS {
        let Ok(text) = fs::read_to_string(root.join(document)) else {
            dead.push(format!("{document} is missing"));
            continue;
        };
        for path in named_paths(&text, &entries) {
            if !root.join(&path).exists() {
                dead.push(format!("{document} names {path}, which does not exist"));
            }
        }
    }
    Ok(dead)
}

fn named_paths(text: &str, entries: &BTreeSet<String>) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let quoted = quoted.filter(|it| !it.is_empty() && !it.contains(char::is_whitespace));
    // What the build makes is not in a fresh clone.
    let first = |path: &str| path.split('/').next().unwrap_or_default().to_owned();
    let quoted = quoted.flat_map(expand);
    let quoted = quoted.filter(|path| entries.contains(&first(path)) && first(path) != "target");
    let linked = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    let linked = linked.filter(|it| !it.is_empty() && !it.contains("://")).map(str::to_owned);
    quoted.chain(linked).collect()
}

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`; `a/<b>/c`, `a/*/c` and `a/my_b.rs` as `a`.
fn expand(path: &str) -> Vec<String> {
    if let Some((front, rest)) = path.split_once('{')
        && let Some((choices, back)) = rest.split_once('}')
    {
        return choices.split(',').flat_map(|it| expand(&format!("{front}{it}{back}"))).collect();
    }
    let is_fixed = |part: &&str| !part.contains(['*', '<', '…']) && !part.starts_with("my_");
    let fixed = path.split('/').take_while(is_fixed);
    vec![fixed.collect::<Vec<_>>().join("/")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn finds_paths_in_quotes_and_links() {
        let entries = ["crates", "README.md", "target"].map(str::to_owned).into();
        let text = "See `crates/a/src/{b,c}.rs`, `crates/<name>/Cargo.toml`, `crates/f/my_g.rs`, `Backend`, `a/b`, `cargo run crates`,\n\
                    `target/x`, [d](crates/d#e), [f](https://g/h), [i](docs/i.md), [j](#j) and `README.md`.";
        let expected = [
            "README.md",
            "crates",
            "crates/a/src/b.rs",
            "crates/a/src/c.rs",
            "crates/d",
            "crates/f",
            "docs/i.md",
        ];
        assert_eq!(named_paths(text, &entries).into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_path_of_the_documents_exists() {
        assert_eq!(dead_paths(workspace::root()).unwrap(), [""; 0]);
    }
}
