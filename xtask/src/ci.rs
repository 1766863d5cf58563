//! `cargo xtask ci`: what continuous integration runs.
//!
//! Everything runs even when something before it failed, so that one run tells everything. The stories need a node
//! whose pods run: where this machine cannot have one they say why, and the tests of programs that run as plain
//! processes are what was run.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use crate::command::{say, say_error};
use crate::sums::Sums;
use crate::{e2e, lint, summed_up, test};

/// What a run may take beside the story that it is telling then.
const LIMIT: Duration = Duration::from_secs(80 * 60);
/// What the cluster's programs and the images may take to compile where nothing is there yet.
const PREPARATION: Duration = Duration::from_secs(20 * 60);

/// Lints, runs every test and tells the delivery stories. The last line sums up tests and stories.
pub(crate) fn run() -> ExitCode {
    let until = SystemTime::now() + LIMIT;
    let linted = lint::run(false).inspect_err(|error| say_error(&format!("{error:#}")));
    let tests = test::run(&[]);
    say(&format!("tests: {tests}"));
    let stories = if SystemTime::now() + PREPARATION < until {
        e2e::told(until)
    } else {
        say("no stories: what they need might not be compiled in time");
        Sums { n_skipped: 1, ..Sums::default() }
    };
    say(&format!("stories in a cluster whose pods run: {stories}"));
    let summed_up = summed_up(tests + stories);
    if linted.is_ok() { summed_up } else { ExitCode::FAILURE }
}
