//! Chat messages → prompt text, by the Jinja template that comes with the model.
//!
//! Guarantee: what Jinja2 renders under `transformers` (`apply_chat_template`) is rendered here, byte for byte; the
//! fixtures in `tests/fixtures/templates.json` are rendered by Python and compared. The template is parsed once, at
//! load. It comes from a model repository, so it is not trusted: it can read no file, its instructions and its output
//! are limited ([`Limits`]), and all it can do wrong is to fail the one request.
//!
//! Every error of [`ChatTemplate::render`] is about the request (HTTP 400); every error of the constructors is about
//! the model folder or the flag. Validating messages beyond what rendering needs is not done here. Of what Jinja2 can
//! do and templates use, only `'..' % (..)` is known to be missing (the `format` filter and method are there).

mod content;
mod continuation;
mod environment;
mod messages;
mod python_json;
mod python_methods;
mod source;

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, Value};
use serde_json::Value as Json;

pub use content::ContentFormat;

use crate::config::{ConfigError, SpecialTokens, TokenizerConfig};

/// Why a template cannot be loaded, or a chat not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum ChatTemplateError {
    /// A file that holds a template cannot be used.
    #[error("the chat template cannot be loaded")]
    Source(#[from] ConfigError),
    /// The template is no valid Jinja.
    #[error("the chat template {name:?} does not parse")]
    Syntax {
        /// The template's name; `default` where a model has one only.
        name: String,
        /// Where and why.
        source: Box<minijinja::Error>,
    },
    /// Several named templates, none of which is `default`.
    #[error(
        "the model has the chat templates {names:?} but none named \"default\": choose one with --chat-template"
    )]
    NoDefault {
        /// What there is.
        names: Vec<String>,
    },
    /// The template itself refused the messages by calling `raise_exception`; the text is its own.
    #[error("{0}")]
    Raised(String),
    /// A message does not have the shape that rendering needs.
    #[error("{0}")]
    Message(String),
    /// `continue_final_message` cannot be honoured.
    #[error("{0}")]
    Continuation(&'static str),
    /// The template ran too long or wrote too much.
    #[error("the chat template exceeds the limit of {0}")]
    Limit(String),
    /// The template failed on these messages.
    #[error("the chat template cannot render these messages")]
    Render(#[source] Box<minijinja::Error>),
}

/// What a template may use. The defaults are far above what any real conversation needs. Text that a template builds
/// in its own variables counts when it is written, not before.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Template instructions a rendering.
    pub instructions: u64,
    /// Bytes of rendered text.
    pub output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { instructions: 10_000_000, output_bytes: 16 << 20 }
    }
}

/// What is rendered: the parts of a chat request that a template sees.
#[derive(Debug, Clone, Copy, Default)]
pub struct RenderInput<'a> {
    /// The messages as the client sent them: objects with `role` and `content` (text, a list of parts or null).
    pub messages: &'a [Json],
    /// Tool definitions; none and empty are the same.
    pub tools: &'a [Json],
    /// Documents for retrieval templates; none and empty are the same.
    pub documents: &'a [Json],
    /// Whether the text ends with the opening of an assistant's turn.
    pub add_generation_prompt: bool,
    /// Whether the text ends inside the last message, to be continued.
    pub continue_final_message: bool,
    /// `chat_template_kwargs`: further variables. They may replace special tokens but none of the fields above.
    pub kwargs: Option<&'a serde_json::Map<String, Json>>,
}

/// A model's chat template, parsed. Clones share it.
#[derive(Clone)]
pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    special_tokens: SpecialTokens,
    accepts: content::Accepts,
    limits: Limits,
}

impl ChatTemplate {
    /// The template of a model folder; `None` when it has none (a base model).
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Option<Self>, ChatTemplateError> {
        let dir = dir.as_ref();
        let config = TokenizerConfig::from_dir(dir)?;
        let templates = source::find(dir, &config.file)?;
        if templates.is_empty() {
            return Ok(None);
        }
        Self::new(templates, config.special_tokens, Limits::default()).map(Some)
    }

    /// A template given instead of the model's own (`--chat-template`): the path of a file, or the template itself.
    /// The special tokens are still the model's.
    pub fn from_override(dir: impl AsRef<Path>, file_or_text: &str) -> Result<Self, ChatTemplateError> {
        let config = TokenizerConfig::from_dir(dir.as_ref())?;
        let template = (source::DEFAULT.to_owned(), source::read_override(file_or_text)?);
        Self::new(vec![template], config.special_tokens, Limits::default())
    }

    /// Parses named templates. One named `default` must be among them; `tool_use` is preferred for requests with tools
    /// and `rag` for those with documents.
    pub fn new(
        templates: Vec<(String, String)>,
        special_tokens: SpecialTokens,
        limits: Limits,
    ) -> Result<Self, ChatTemplateError> {
        if !templates.iter().any(|(name, _)| name == source::DEFAULT) {
            let names = templates.into_iter().map(|(name, _)| name).collect();
            return Err(ChatTemplateError::NoDefault { names });
        }
        let environment = environment::build(templates, limits.instructions)?;
        let accepts = content::Accepts { string: true, parts: false };
        let mut template = Self { environment: Arc::new(environment), special_tokens, accepts, limits };
        template.accepts = content::detect(&template);
        Ok(template)
    }

    /// Overrules which form of message content the template is given (`--chat-template-content-format`).
    #[must_use]
    pub fn with_content_format(mut self, format: ContentFormat) -> Self {
        self.accepts = match format {
            ContentFormat::Auto => content::detect(&self),
            ContentFormat::String => content::Accepts { string: true, parts: false },
            ContentFormat::Openai => content::Accepts { string: false, parts: true },
        };
        self
    }

    /// Renders the prompt text. Special tokens are in it, so it is encoded without adding any.
    pub fn render(&self, input: &RenderInput<'_>) -> Result<String, ChatTemplateError> {
        let mut messages = messages::prepare(input.messages, self.accepts)?;
        if !input.continue_final_message {
            return self.render_messages(input, &messages);
        }
        if input.add_generation_prompt {
            return Err(ChatTemplateError::Continuation(
                "continue_final_message and add_generation_prompt exclude each other: set one of them to false",
            ));
        }
        continuation::mark(&mut messages)?;
        continuation::cut(&self.render_messages(input, &messages)?)
    }

    /// Renders messages that are already in the template's form.
    fn render_messages(
        &self,
        input: &RenderInput<'_>,
        messages: &[Json],
    ) -> Result<String, ChatTemplateError> {
        let name = self.choose(input);
        let template = self.environment.get_template(name).map_err(|error| self.failure(error))?;
        let mut output = Bounded { text: Vec::new(), limit: self.limits.output_bytes, is_full: false };
        let rendered = template.render_captured_to(self.variables(input, messages), &mut output).map(drop);
        if output.is_full {
            return Err(ChatTemplateError::Limit(format!("{} output bytes", self.limits.output_bytes)));
        }
        rendered.map_err(|error| self.failure(error))?;
        Ok(String::from_utf8(output.text).expect("a template writes whole strings"))
    }

    /// The template for this request among the named ones.
    fn choose(&self, input: &RenderInput<'_>) -> &'static str {
        let has = |name| self.environment.get_template(name).is_ok();
        if !input.tools.is_empty() && has(source::TOOL_USE) {
            source::TOOL_USE
        } else if !input.documents.is_empty() && has(source::RAG) {
            source::RAG
        } else {
            source::DEFAULT
        }
    }

    /// Everything the template can name. Later entries replace earlier ones.
    fn variables(&self, input: &RenderInput<'_>, messages: &[Json]) -> Value {
        let list_or_none = |json: &[Json]| if json.is_empty() { Value::from(()) } else { Serde(json).into() };
        let special = self.special_tokens.iter().map(|(role, token)| (role.to_owned(), token.into()));
        let kwargs = input.kwargs.into_iter().flatten();
        let kwargs = kwargs.map(|(name, json)| (name.clone(), Serde(json).into()));
        let fields = [
            ("messages", Serde(messages).into()),
            ("tools", list_or_none(input.tools)),
            ("documents", list_or_none(input.documents)),
            ("add_generation_prompt", input.add_generation_prompt.into()),
            ("continue_final_message", input.continue_final_message.into()),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value));
        Value::from_pairs(special.chain(kwargs).chain(fields))
    }

    /// Sorts a failure of the template engine into ours.
    fn failure(&self, error: minijinja::Error) -> ChatTemplateError {
        if let Some(message) = environment::raised_message(&error) {
            return ChatTemplateError::Raised(message);
        }
        if error.kind() == ErrorKind::OutOfFuel {
            return ChatTemplateError::Limit(format!("{} instructions", self.limits.instructions));
        }
        ChatTemplateError::Render(Box::new(error))
    }
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.environment.templates().map(|(name, _)| name).collect();
        f.debug_struct("ChatTemplate")
            .field("templates", &names)
            .field("accepts", &self.accepts)
            .finish_non_exhaustive()
    }
}

/// Collects output up to a limit and fails the write that would pass it.
struct Bounded {
    text: Vec<u8>,
    limit: usize,
    is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > self.limit {
            self.is_full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
