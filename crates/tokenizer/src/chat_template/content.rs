//! Which form of message content a template reads: plain text, or OpenAI's list of parts.
//!
//! Templates differ. Most concatenate `message.content` and need text, some loop over its parts, some do either. Which
//! it is is found by trying: a one-message chat is rendered in each form, and a form is accepted when its text comes
//! out and the list itself does not. That judges what the template does rather than how it is written.

use serde_json::{Value, json};

use super::{ChatTemplate, RenderInput};

/// The value of `--chat-template-content-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContentFormat {
    /// Find out from the template.
    #[default]
    Auto,
    /// Text; the texts of parts are joined by line feeds.
    String,
    /// A list of parts; plain text becomes a list of one.
    Openai,
}

/// The forms that reach the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepts {
    /// Plain text.
    pub(super) string: bool,
    /// A list of parts.
    pub(super) parts: bool,
}

/// A text that no template contains.
const PROBE: &str = "content-format-probe-7b1f";

/// Tries both forms. A template that shows neither (it may insist on more messages) is given text.
pub(super) fn detect(template: &ChatTemplate) -> Accepts {
    let string = shows_probe(template, &json!(PROBE));
    let parts = shows_probe(template, &json!([{"type": "text", "text": PROBE}]));
    Accepts { string: string || !parts, parts }
}

fn shows_probe(template: &ChatTemplate, content: &Value) -> bool {
    let messages = [json!({"role": "user", "content": content})];
    let rendered = template.render_messages(&RenderInput::default(), &messages);
    rendered.is_ok_and(|text| {
        let printed_list = text.replace('"', "'").replace(' ', "").contains("'type':'text'");
        text.contains(PROBE) && !printed_list
    })
}
