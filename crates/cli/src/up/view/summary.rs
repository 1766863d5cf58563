//! What a user wants to know once everything is ready: what to type.

use crate::state::Stack;

/// How to talk to the stack, where to look into it, how to end it.
pub(super) fn text(stack: &Stack) -> String {
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
        format!("  curl {}/v1/chat/completions -H 'content-type: application/json' \\", gateway.url),
        format!("    -d '{}'", shell_quoted(&body.to_string())),
        String::new(),
        format!("  llmd chat --url {}", gateway.url),
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
    lines.push("\nllmd status, llmd logs -f, and llmd down or Ctrl-C to end it.".to_owned());
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
        let text = text(&stack);
        assert!(text.contains("curl http://127.0.0.1:1/v1/chat/completions"), "{text}");
        assert!(text.contains(r#"-d '{"model":"ann'\''s","messages""#), "{text}");
        assert!(text.contains("epp        metrics   http://127.0.0.1:2/metrics\n"), "{text}");
    }
}
