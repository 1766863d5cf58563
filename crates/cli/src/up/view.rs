//! What `llmd up` shows: a live table until everything is ready, then how to use it, then events as they come.
//!
//! Without a terminal the table is plain lines. Nothing here decides anything.

mod lines;
mod summary;
mod table;

use std::fmt;
use std::io::{self, IsTerminal, Write};

use crate::state::{Stack, StackState};
use crate::up::keeper::Death;
use crate::up::lifecycle::AfterEnd;
pub use summary::Usage;

/// The screen.
pub struct View {
    out: Box<dyn Write + Send>,
    usage: Usage,
    /// On a terminal, until everything is ready.
    table: Option<table::Table>,
    /// What was shown last.
    shown: Option<Stack>,
    is_summary_shown: bool,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("table", &self.table).finish_non_exhaustive()
    }
}

impl View {
    /// A view on standard output.
    #[must_use]
    pub fn on_stdout(usage: Usage) -> Self {
        let table = io::stdout().is_terminal().then(table::Table::default);
        Self { table, ..Self::plain(Box::new(io::stdout()), usage) }
    }

    /// Plain lines to `out`.
    #[must_use]
    pub fn plain(out: Box<dyn Write + Send>, usage: Usage) -> Self {
        Self { out, usage, table: None, shown: None, is_summary_shown: false }
    }

    /// Shows what is new in `stack`.
    pub fn update(&mut self, stack: &Stack) {
        match &mut self.table {
            Some(table) => table.update(stack),
            None => {
                for line in lines::changes(self.shown.as_ref(), stack) {
                    self.print(&line);
                }
            }
        }
        if stack.state == StackState::Ready && !self.is_summary_shown {
            self.is_summary_shown = true;
            self.table = None;
            self.print(&summary::text(stack, &self.usage));
        }
        self.shown = Some(stack.clone());
    }

    /// Shows a component's last words.
    pub fn death(&mut self, name: &str, death: &Death) {
        let mut text = format!("{name} {}", death.how);
        match death.next {
            AfterEnd::RestartIn(pause) => {
                text.push_str(&format!("; starting it again in {} ms", pause.as_millis()));
            }
            AfterEnd::GiveUp => text.push_str("; giving up"),
            AfterEnd::Nothing => {}
        }
        // A start that is tried again says the same things again.
        let is_news = death.has_served || death.next == AfterEnd::GiveUp;
        if is_news && !death.last_lines.is_empty() {
            text.push_str(". Its last lines:");
            for line in &death.last_lines {
                text.push_str("\n  | ");
                text.push_str(line);
            }
        }
        self.note(&text);
    }

    /// Shows a line of its own.
    pub fn note(&mut self, text: &str) {
        match &self.table {
            Some(table) => table.note(text),
            None => self.print(text),
        }
    }

    fn print(&mut self, text: &str) {
        // A reader that closed the pipe wants no more lines; the stack lives on.
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }
}
