//! `continue_final_message`: a prompt that ends inside the last message.
//!
//! Templates always close a message. So a mark is put at the end of the last message, and the rendered text is cut
//! there. The mark ends in a space: where the template trims content, the space is gone and what precedes the mark is
//! trimmed as well, as `transformers` does it.

use serde_json::Value;

use super::ChatTemplateError;

/// A text that no template and no message contains.
const MARK: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// Appends the mark to the text of the last message, to its last text part where it has parts.
pub(super) fn mark(messages: &mut [Value]) -> Result<(), ChatTemplateError> {
    let last = messages
        .last_mut()
        .ok_or(ChatTemplateError::Continuation("continue_final_message is set but there are no messages"))?;
    let text = match last.get_mut("content") {
        Some(Value::Array(parts)) => parts.iter_mut().rev().find_map(|part| part.get_mut("text")),
        content => content,
    };
    let Some(Value::String(text)) = text else {
        return Err(ChatTemplateError::Continuation(
            "continue_final_message is set but the last message has no text to continue",
        ));
    };
    text.push_str(MARK);
    Ok(())
}

/// Cuts the rendered text at the mark.
pub(super) fn cut(rendered: &str) -> Result<String, ChatTemplateError> {
    let at = rendered.rfind(MARK.trim_end()).ok_or(ChatTemplateError::Continuation(
        "continue_final_message is set but the chat template leaves out the last message's text",
    ))?;
    let (text, tail) = rendered.split_at(at);
    Ok(if tail.starts_with(MARK) { text.to_owned() } else { text.trim_end().to_owned() })
}
