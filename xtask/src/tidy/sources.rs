//! Rules for Rust files.

use std::path::Path;

/// A file above this is two files.
const MAX_LINES: usize = 600;

/// What must not stay, and why. Written in two halves, so that this table does not find itself.
const FORBIDDEN: [([&str; 2], &str); 6] = [
    (
        ["#[ign", "ore"],
        "a test that never runs proves nothing: print `skipped: REASON` where the machine lacks something",
    ),
    (["#[should_", "panic"], "match on the error, or the test passes for any panic"),
    (["TO", "DO"], "do it, or say in a sentence what is not supported"),
    (["FIX", "ME"], "fix it"),
    (["todo", "!("], "return an error that says what to do"),
    (["unimplemen", "ted!("], "return an error that says what to do"),
];

/// What only some files of `crates` may say: the word, those files, and why.
const CONFINED: [(&str, &[&str], &str); 3] = [
    ("anyhow::", &["main.rs"], "a library says which errors it has: write an enum with thiserror"),
    ("env::var", &["args.rs"], "only args.rs reads the environment: pass the value down"),
    ("unbounded_channel", &[], "bound it and say what happens when it is full"),
];

/// Violations in one file, each with its place.
pub(super) fn violations(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let n_lines = text.lines().count();
    if n_lines > MAX_LINES {
        found.push(format!("{name}: {n_lines} lines, the most is {MAX_LINES}: split it by responsibility"));
    }
    if !is_test(name) && !text.starts_with("//!") {
        found.push(format!("{name}: begins without a `//!` header that says what it is and guarantees"));
    }
    for (idx, line) in text.lines().enumerate() {
        for ([front, back], advice) in FORBIDDEN {
            let word = format!("{front}{back}");
            if line.contains(&word) {
                found.push(format!("{name}:{}: {word}: {advice}", idx + 1));
            }
        }
        for (word, files, advice) in CONFINED {
            let is_confined = name.starts_with("crates/") && !is_test(name);
            if is_confined && line.contains(word) && !files.iter().any(|file| name.ends_with(file)) {
                found.push(format!("{name}:{}: {word}: {advice}", idx + 1));
            }
        }
    }
    found
}

fn is_test(name: &str) -> bool {
    let path = Path::new(name);
    path.file_name().is_some_and(|it| it == "tests.rs")
        || path.components().any(|it| it.as_os_str() == "tests")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_for_every_file_but_tests() {
        assert_eq!(violations("crates/a/src/b.rs", "//! Header.\n"), [""; 0]);
        assert_eq!(violations("crates/a/src/b.rs", "use c;\n").len(), 1);
        assert_eq!(violations("crates/a/src/b/tests.rs", "use c;\n"), [""; 0]);
        assert_eq!(violations("e2e/tests/it/faults.rs", "use c;\n"), [""; 0]);
    }

    #[test]
    fn forbidden_words_have_a_place() {
        for ([front, back], advice) in FORBIDDEN {
            let text = format!("//! Header.\nfn a() {{\n    {front}{back}\n");
            assert_eq!(violations("a.rs", &text), [format!("a.rs:3: {front}{back}: {advice}")]);
        }
    }

    #[test]
    fn some_words_belong_to_some_files() {
        for (word, files, advice) in CONFINED {
            let text = format!("//! Header.\nuse {word};\n");
            assert_eq!(
                violations("crates/a/src/b.rs", &text),
                [format!("crates/a/src/b.rs:2: {word}: {advice}")]
            );
            let allowed = files.iter().map(|file| format!("crates/a/src/{file}"));
            for name in allowed.chain(["xtask/src/b.rs".to_owned(), "crates/a/tests/it/b.rs".to_owned()]) {
                assert_eq!(violations(&name, &text), [""; 0]);
            }
        }
    }

    #[test]
    fn long_files_are_named_with_their_length() {
        let text = "//! Header.\n".repeat(MAX_LINES + 1);
        let expected = "a.rs: 601 lines, the most is 600: split it by responsibility";
        assert_eq!(violations("a.rs", &text), [expected]);
    }
}
