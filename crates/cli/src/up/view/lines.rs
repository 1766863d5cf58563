//! Plain lines: one for each change worth reading in a log.

use crate::state::{Component, ComponentState, Stack};

/// Loading is told at each of these steps, in percent.
const LOADING_STEP: u8 = 25;

/// One line for each component that changed between two looks.
pub(super) fn changes(before: Option<&Stack>, after: &Stack) -> Vec<String> {
    let before = |idx: usize| before.and_then(|stack| stack.components.get(idx));
    let numbered = after.components.iter().enumerate();
    numbered.filter_map(|(idx, it)| change(before(idx), it)).collect()
}

fn change(before: Option<&Component>, after: &Component) -> Option<String> {
    let step = |it: &Component| it.progress.map(|percent| percent / LOADING_STEP);
    if matches!(after.state, ComponentState::Restarting | ComponentState::Failed) {
        // Told with its last lines, see `View::death`.
        return None;
    }
    let is_news = before.is_none_or(|before| before.state != after.state || step(before) != step(after));
    let reason = after.reason.as_ref().filter(|reason| *reason != after.state.as_str());
    let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    is_news.then(|| format!("{:<10} {}{reason}", after.name, after.state.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Role;

    fn stack(state: ComponentState, reason: Option<&str>, progress: Option<u8>) -> Stack {
        let component = Component {
            name: "prefill-0".into(),
            role: Role::Prefill,
            state,
            reason: reason.map(str::to_owned),
            progress,
            pid: None,
            restarts: 0,
            urls: std::collections::BTreeMap::new(),
            log_file: "l".into(),
        };
        Stack { components: vec![component], ..Stack::stopped("/s".into()) }
    }

    #[test]
    fn tells_states_and_quarters_of_a_load() {
        let looks = [
            stack(ComponentState::Starting, Some("starting"), None),
            stack(ComponentState::Starting, Some("does not listen yet"), None),
            stack(ComponentState::Starting, Some("loading model: 1 %"), Some(1)),
            stack(ComponentState::Starting, Some("loading model: 20 %"), Some(20)),
            stack(ComponentState::Starting, Some("loading model: 51 %"), Some(51)),
            stack(ComponentState::Ready, None, None),
            stack(ComponentState::Restarting, Some("was killed (SIGKILL)"), None),
            stack(ComponentState::Starting, Some("starting"), None),
        ];
        let mut lines = changes(None, &looks[0]);
        lines.extend(looks.windows(2).flat_map(|pair| changes(Some(&pair[0]), &pair[1])));
        let expected = [
            "prefill-0  starting",
            "prefill-0  starting (loading model: 1 %)",
            "prefill-0  starting (loading model: 51 %)",
            "prefill-0  ready",
            "prefill-0  starting",
        ];
        assert_eq!(lines, expected);
    }
}
