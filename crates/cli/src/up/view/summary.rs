//! What a user wants to know once everything is ready: what to type.

use std::path::{Path, PathBuf};

use crate::state::Stack;

/// How this `llmd` is called from where the user is.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    program: String,
    /// ` --dir STATE_DIR` where one was given.
    dir_flag: String,
}

impl Usage {
    /// `program` is found as `llmd` through `path`, or by its place, seen from `working_dir`; `dir` was given.
    #[must_use]
    pub fn new(program: &Path, path: &[PathBuf], working_dir: Option<&Path>, dir: Option<&Path>) -> Self {
        let is_on_path = program.parent().is_some_and(|it| path.iter().any(|dir| dir == it));
        let relative = working_dir.and_then(|dir| program.strip_prefix(dir).ok());
        let program = if is_on_path { Path::new("llmd") } else { relative.unwrap_or(program) };
        let dir_flag = dir.map(|dir| format!(" --dir {}", dir.display())).unwrap_or_default();
        Self { program: program.display().to_string(), dir_flag }
    }
}

/// How to talk to the stack, where to look into it, how to end it.
pub(super) fn text(stack: &Stack, usage: &Usage) -> String {
    let Usage { program, dir_flag } = usage;
    let (Some(gateway), Some(model)) = (&stack.gateway, &stack.model) else { return String::new() };
    let body = serde_json::json!({
        "model": model.name,
        "messages": [{ "role": "user", "content": "What is prefill?" }],
        "temperature": 0,
    });
    let mut lines = vec![
        String::new(),
        format!("{} is served at {}/v1. Ask it:", model.name, gateway.url),
        String::new(),
        format!("  curl -s {}/v1/chat/completions -H 'content-type: application/json' \\", gateway.url),
        format!("    -d '{}'", shell_quoted(&body.to_string())),
        String::new(),
        format!("  {program} chat --url {}", gateway.url),
        String::new(),
        "Look inside:".to_owned(),
    ];
    for component in &stack.components {
        for purpose in ["metrics", "decisions"] {
            if let Some(url) = component.urls.get(purpose) {
                lines.push(format!("  {:<10} {purpose:<9} {url}", component.name));
            }
        }
    }
    lines.push(format!("  {:<20} {}", "logs", stack.dir.join("logs").display()));
    lines.push(String::new());
    lines.extend(["status", "logs -f", "down"].map(|command| format!("  {program} {command}{dir_flag}")));
    lines.join("\n")
}

/// For use between single quotes of a shell.
fn shell_quoted(text: &str) -> String {
    text.replace('\'', r"'\''")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Component, ComponentState, Gateway, GatewayKind, Model, Role};

    #[test]
    fn tells_what_to_type_and_where_to_look() {
        let component = Component {
            name: "epp".into(),
            role: Role::Epp,
            state: ComponentState::Ready,
            reason: None,
            progress: None,
            pid: Some(1),
            restarts: 0,
            urls: [("metrics".to_owned(), "http://127.0.0.1:2/metrics".to_owned())].into(),
            log_file: "/s/logs/epp.log".into(),
        };
        let stack = Stack {
            model: Some(Model { name: "ann's".into(), path: "/m".into() }),
            gateway: Some(Gateway { kind: GatewayKind::Native, url: "http://127.0.0.1:1".into() }),
            components: vec![component],
            ..Stack::stopped("/s".into())
        };
        let usage = Usage::new(Path::new("/w/target/release/llmd"), &[], Some(Path::new("/w")), None);
        let text = text(&stack, &usage);
        assert!(text.contains("curl -s http://127.0.0.1:1/v1/chat/completions"), "{text}");
        assert!(text.contains(r#"-d '{"model":"ann'\''s","messages""#), "{text}");
        assert!(text.contains("epp        metrics   http://127.0.0.1:2/metrics\n"), "{text}");
        assert!(text.contains("\n  target/release/llmd chat --url http://127.0.0.1:1\n"), "{text}");
    }

    #[test]
    fn commands_are_shown_as_they_work_here() {
        let usage = |program: &str, dir: Option<&str>| {
            let (path, dir) = ([PathBuf::from("/usr/bin")], dir.map(Path::new));
            let Usage { program, dir_flag } =
                Usage::new(Path::new(program), &path, Some(Path::new("/w")), dir);
            format!("{program} down{dir_flag}")
        };
        assert_eq!(usage("/usr/bin/llmd", None), "llmd down");
        assert_eq!(usage("/opt/llmd", Some("/s")), "/opt/llmd down --dir /s");
        assert_eq!(usage("/w/target/debug/llmd", None), "target/debug/llmd down");
    }
}
