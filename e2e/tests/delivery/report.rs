//! What became of the stories: a table for people, JUnit XML for machines.

use std::fmt::{Display, Formatter};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

/// How a story ended.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed(why) => write!(f, "FAILED: {why}"),
            Self::Skipped(why) => write!(f, "skipped: {why}"),
        }
    }
}

struct Row {
    name: &'static str,
    says: &'static str,
    took: Duration,
    outcome: Outcome,
}

/// Stories in the order in which they were told.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn add(&mut self, name: &'static str, says: &'static str, took: Duration, outcome: Outcome) {
        self.rows.push(Row { name, says, took, outcome });
    }

    pub(crate) fn n_failed(&self) -> usize {
        self.rows.iter().filter(|it| matches!(it.outcome, Outcome::Failed(_))).count()
    }

    /// Prints the table; its last line reads `N passed, N failed, N skipped`.
    pub(crate) fn print(&self) {
        println!();
        for Row { name, says, took, outcome } in &self.rows {
            println!("{name:<18} {:>7.1} s  {says}: {outcome}", took.as_secs_f64());
        }
        let n_skipped = self.rows.iter().filter(|it| matches!(it.outcome, Outcome::Skipped(_))).count();
        let n_passed = self.rows.len() - self.n_failed() - n_skipped;
        println!("{n_passed} passed, {} failed, {n_skipped} skipped", self.n_failed());
    }

    /// Writes JUnit XML.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write_junit(&self, path: &Path) -> Result<()> {
        let mut suite = TestSuite::new("delivery");
        for Row { name, outcome, took, .. } in &self.rows {
            let status = match outcome {
                Outcome::Passed => TestCaseStatus::success(),
                Outcome::Failed(why) => {
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    status.set_message(why.as_str());
                    status
                }
                Outcome::Skipped(why) => {
                    let mut status = TestCaseStatus::skipped();
                    status.set_message(why.as_str());
                    status
                }
            };
            let mut case = TestCase::new(*name, status);
            case.set_classname("delivery").set_time(*took);
            suite.add_test_case(case);
        }
        let mut junit = Junit::new("llmd delivery");
        junit.add_test_suite(suite);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(junit.serialize(File::create(path)?)?)
    }
}
