//! `VLLM_ADDITIONAL_ARGS`: words for images without a shell to expand them.

use std::ffi::OsString;

/// Puts the words of `additional` behind the subcommand and the model, before the flags that were typed, so that
/// those win. Only `serve` takes them.
pub(super) fn insert(args: Vec<OsString>, additional: &str) -> Vec<OsString> {
    let mut words = args;
    if words.get(1).is_none_or(|it| it != "serve") {
        return words;
    }
    let at = first_flag(&words);
    words.splice(at..at, split(additional).into_iter().map(OsString::from));
    words
}

/// Where flags may begin: behind the program, the subcommand and, if it comes first, the model.
pub(super) fn first_flag(words: &[OsString]) -> usize {
    let is_value = |it: &OsString| !it.to_string_lossy().starts_with('-');
    let at = if words.get(2).is_some_and(is_value) { 3 } else { 2 };
    at.min(words.len())
}

/// Splits as a shell does without expansion: blanks separate, quotes and backslashes keep them.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(chars.next()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(args: &[&str], additional: &str, expected: &[&str]) {
        let words = insert(args.iter().map(OsString::from).collect(), additional);
        assert_eq!(words, expected.iter().map(OsString::from).collect::<Vec<_>>());
    }

    #[test]
    fn words_go_between_the_model_and_the_flags() {
        check(
            &["vllm", "serve", "/m", "--port", "1"],
            "--a b",
            &["vllm", "serve", "/m", "--a", "b", "--port", "1"],
        );
        check(&["vllm", "serve", "--port", "1"], "--a", &["vllm", "serve", "--a", "--port", "1"]);
        check(&["vllm", "--version"], "--a", &["vllm", "--version"]);
    }

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(split(r#" --x '{"a": 1}'  "b c"d \" '' "#), ["--x", r#"{"a": 1}"#, "b cd", "\"", ""]);
    }
}
