//! `llmd status`: how the components of a stack are doing.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::args::{Environment, StatusArgs};
use crate::state::dir::{Error, StateDir};
use crate::state::{Stack, StackState};

/// Prints the state. Succeeds when a stack runs, whatever its state.
///
/// # Errors
/// When the state folder cannot be read.
pub fn run(args: StatusArgs, environment: &Environment) -> Result<ExitCode, Error> {
    let StatusArgs { json, dir } = args;
    let stack = StateDir::resolve(dir.dir, environment)?.read_state()?;
    let text = if json {
        serde_json::to_string_pretty(&stack).expect("strings and numbers are always JSON")
    } else {
        text(&stack)
    };
    // A reader that closed the pipe wants no more.
    let _ = writeln!(io::stdout().lock(), "{text}");
    Ok(if stack.state == StackState::Stopped { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn text(stack: &Stack) -> String {
    let (Some(gateway), Some(model)) = (&stack.gateway, &stack.model) else {
        return format!("no stack runs in {}: start one with `llmd up`", stack.dir.display());
    };
    let mut lines = vec![
        format!("{} at {}, logs in {}", model.name, gateway.url, stack.dir.join("logs").display()),
        format!("{:<12} {:<8} {:<10} {:>7} {:>8}  URL", "NAME", "ROLE", "STATE", "PID", "RESTARTS"),
    ];
    for it in &stack.components {
        let pid = it.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let url = it.urls.get("http").or_else(|| it.urls.get("admin")).map_or("", String::as_str);
        let mut line = format!(
            "{:<12} {:<8} {:<10} {pid:>7} {:>8}  {url}",
            it.name,
            it.role.as_str(),
            it.state.as_str(),
            it.restarts,
        );
        if let Some(reason) = it.reason.as_ref().filter(|reason| *reason != it.state.as_str()) {
            line.push_str(&format!("  {reason}"));
        }
        lines.push(line);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Component, ComponentState, Gateway, GatewayKind, Model, Role};

    #[test]
    fn a_row_for_each_component_with_its_reason() {
        let component = Component {
            name: "decode-0".into(),
            role: Role::Decode,
            state: ComponentState::Restarting,
            reason: Some("was killed (SIGKILL)".into()),
            progress: None,
            pid: None,
            restarts: 2,
            urls: [("http".to_owned(), "http://127.0.0.1:9".to_owned())].into(),
            log_file: "/s/logs/decode-0.log".into(),
        };
        let stack = Stack {
            state: StackState::Degraded,
            model: Some(Model { name: "llmd-tiny".into(), path: "/m".into() }),
            gateway: Some(Gateway { kind: GatewayKind::Native, url: "http://127.0.0.1:8080".into() }),
            components: vec![component],
            ..Stack::stopped("/s".into())
        };
        let expected = "llmd-tiny at http://127.0.0.1:8080, logs in /s/logs\n\
             NAME         ROLE     STATE          PID RESTARTS  URL\n\
             decode-0     decode   restarting       -        2  http://127.0.0.1:9  was killed (SIGKILL)";
        assert_eq!(text(&stack), expected);
        assert!(text(&Stack::stopped("/s".into())).starts_with("no stack runs in /s"));
    }
}
