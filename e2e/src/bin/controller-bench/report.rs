//! The figures as a table, each beside its goal.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use llmd_e2e::cluster::Write;

use crate::edits::Edits;
use crate::floor::{AT_A_TIME, Floor};
use crate::load::children;
use crate::process::Usage;

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) services: u32,
    pub(crate) created: Duration,
    pub(crate) converged: Duration,
    pub(crate) quiet: Duration,
    /// The controller before the first service, after the last write, after the edits.
    pub(crate) empty: Usage,
    pub(crate) busy: Usage,
    pub(crate) after: Usage,
    /// Of one core.
    pub(crate) idle_share: f64,
    pub(crate) edits: Edits,
    pub(crate) floor: Floor,
    /// The controller's, from the first service on until all were converged.
    pub(crate) writes: Vec<Write>,
}

impl Figures {
    /// Prints two tables in Markdown.
    pub(crate) fn print(&self) {
        say(&format!("{} services (managed route, endpoint picker, single node)\n", self.services));
        say("| | Measured | Goal |\n|---|---|---|");
        let row =
            |name: &str, measured: String, goal: &str| say(&format!("| {name} | {measured} | {goal} |"));
        row("All services created", seconds(self.created), "–");
        row("All converged", seconds(self.converged), "–");
        row("Last write", seconds(self.quiet), "–");
        row(
            &format!("One write with {AT_A_TIME} at a time, API server alone"),
            format!("{:.2} ms", self.floor.per_write().as_secs_f64() * 1e3),
            "–",
        );
        let needed = self.needed();
        row("The needed writes, API server alone", seconds(needed), "–");
        let ratio = self.converged.as_secs_f64() / needed.as_secs_f64();
        row("Converged, as a multiple of that", format!("{ratio:.2}"), "–");
        row("Edit to the API server's answer, p50", milliseconds(percentile(&self.edits.answered, 50)), "–");
        row("Edit to the API server's answer, p99", milliseconds(percentile(&self.edits.answered, 99)), "–");
        row("Edit to Deployment, p50", milliseconds(percentile(&self.edits.shown, 50)), "–");
        row("Edit to Deployment, p99", milliseconds(percentile(&self.edits.shown, 99)), "< 200 ms");
        row("Controller's memory, empty", megabytes(self.empty.memory), "–");
        row("Controller's memory, converged", megabytes(self.busy.memory), "< 150 MB");
        row("Controller's memory, after the edits", megabytes(self.after.memory), "< 150 MB");
        row("Controller's memory, peak", megabytes(self.after.peak), "–");
        let processor = self.busy.processor.saturating_sub(self.empty.processor);
        row("Controller's processor time until the last write", seconds(processor), "–");
        row("Controller's processor, idle", format!("{:.2} % of a core", self.idle_share * 100.0), "< 1 %");
        let conflicts = self.writes.iter().filter(|it| it.code == 409).count();
        row("Writes refused because of a conflict (409)", conflicts.to_string(), "0");
        self.print_writes();
    }

    fn print_writes(&self) {
        say("\n| Writes a service | Measured | Goal |\n|---|---|---|");
        let children = children(&self.writes);
        let mut by_resource: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for write in &self.writes {
            *by_resource.entry((&write.resource, &write.verb)).or_default() += 1;
        }
        for ((resource, verb), count) in by_resource {
            let a_service =
                |it: usize| f64::from(u32::try_from(it).unwrap_or(u32::MAX)) / f64::from(self.services);
            let goal =
                children.get(resource).map_or_else(|| "–".to_owned(), |it| a_service(it.len()).to_string());
            say(&format!("| {verb} {resource} | {:.3} | {goal} |", a_service(count)));
        }
    }

    /// What the API server needs for one write of each child and one of each status.
    fn needed(&self) -> Duration {
        let writes = u32::try_from(self.floor.objects + 1).unwrap_or(u32::MAX) * self.services;
        self.floor.per_write() * writes
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((sorted.len() * percent / 100).min(last)).copied().unwrap_or_default()
}

/// A line on standard output.
pub(crate) fn say(text: &str) {
    // A reader that closed the pipe wants no more.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn seconds(it: Duration) -> String {
    format!("{:.2} s", it.as_secs_f64())
}

fn milliseconds(it: Duration) -> String {
    format!("{:.0} ms", it.as_secs_f64() * 1e3)
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}
