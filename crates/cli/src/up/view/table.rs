//! The live table on a terminal: a row for each component, a bar while a model loads.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::state::{Component, ComponentState, Stack};

/// Rows on standard output. They stay on the screen when this is dropped.
#[derive(Debug)]
pub(super) struct Table {
    area: MultiProgress,
    rows: Vec<ProgressBar>,
    /// What the rows show.
    shown: Vec<Component>,
}

impl Default for Table {
    fn default() -> Self {
        let area = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        Self { area, rows: Vec::new(), shown: Vec::new() }
    }
}

impl Table {
    pub(super) fn update(&mut self, stack: &Stack) {
        while self.rows.len() < stack.components.len() {
            self.rows.push(self.area.add(ProgressBar::new(100)));
        }
        for (idx, (row, component)) in self.rows.iter().zip(&stack.components).enumerate() {
            if self.shown.get(idx) == Some(component) {
                // Every change of a row draws the whole area.
                continue;
            }
            row.set_style(style(component));
            row.set_prefix(component.name.clone());
            row.set_position(u64::from(component.progress.unwrap_or_default()));
            row.set_message(message(component));
        }
        self.shown.clone_from(&stack.components);
    }

    /// Prints above the table.
    pub(super) fn note(&self, text: &str) {
        for line in text.lines() {
            // The terminal is gone: then so is its reader.
            let _ = self.area.println(line);
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        self.rows.iter().for_each(ProgressBar::abandon);
    }
}

fn style(component: &Component) -> ProgressStyle {
    let template = match (component.state, component.progress) {
        (ComponentState::Ready, _) => "  {prefix:<12} {msg:.green}",
        (_, Some(_)) => "  {prefix:<12} {bar:24.cyan/dim} {msg}",
        (ComponentState::Failed | ComponentState::Unready | ComponentState::Restarting, None) => {
            "  {prefix:<12} {msg:.red}"
        }
        (ComponentState::Starting | ComponentState::Stopping | ComponentState::Stopped, None) => {
            "  {prefix:<12} {msg:.yellow}"
        }
    };
    ProgressStyle::with_template(template).expect("the templates above are well formed")
}

fn message(component: &Component) -> String {
    let state = component.state.as_str();
    match &component.reason {
        Some(reason) if reason != state => format!("{state:<10} {reason}"),
        _ => {
            let url = component.urls.get("http").or_else(|| component.urls.get("admin"));
            format!("{state:<10} {}", url.map_or("", String::as_str))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Role;

    #[test]
    fn every_state_has_a_well_formed_row() {
        use ComponentState::{Failed, Ready, Restarting, Starting, Stopped, Stopping, Unready};
        for state in [Starting, Ready, Unready, Restarting, Stopping, Stopped, Failed] {
            for progress in [None, Some(40)] {
                let component = Component {
                    name: "decode-0".into(),
                    role: Role::Decode,
                    state,
                    reason: progress.map(|it| format!("loading model: {it} %")),
                    progress,
                    pid: None,
                    restarts: 0,
                    urls: [("http".to_owned(), "http://127.0.0.1:1".to_owned())].into(),
                    log_file: "l".into(),
                };
                style(&component);
                let detail = if progress.is_some() { "loading model: 40 %" } else { "http://127.0.0.1:1" };
                assert_eq!(message(&component), format!("{:<10} {detail}", state.as_str()));
            }
        }
    }
}
