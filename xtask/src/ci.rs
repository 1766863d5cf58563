//! `cargo xtask ci`: what continuous integration runs.
//!
//! Everything runs even when something before it failed, so that one run tells everything. The stories need a node
//! whose pods run: where this machine cannot have one they say why, and the tests of programs that run as plain
//! processes are what was run.

use std::process::ExitCode;

use crate::command::{say, say_error};
use crate::{e2e, lint, summed_up, test};

/// Lints, runs every test and tells the delivery stories. The last line sums up tests and stories.
pub(crate) fn run() -> ExitCode {
    let linted = lint::run(false).inspect_err(|error| say_error(&format!("{error:#}")));
    let tests = test::run(&[]);
    say(&format!("tests: {tests}"));
    let stories = e2e::told();
    say(&format!("stories in a cluster whose pods run: {stories}"));
    let summed_up = summed_up(tests + stories);
    if linted.is_ok() { summed_up } else { ExitCode::FAILURE }
}
