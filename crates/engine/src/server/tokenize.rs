//! `POST /tokenize` and `POST /detokenize`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use llmd_api::openai::request::parse;
use llmd_api::vllm::tokenize::{DetokenizeRequest, DetokenizeResponse, TokenizeRequest, TokenizeResponse};

use super::body::JsonBody;
use super::error::ApiError;
use super::prompt::Conversation;
use super::state::{App, Serving};
use super::validate::param;

/// Text or messages to tokens.
pub async fn tokenize(
    State(app): State<Arc<App>>,
    JsonBody(body): JsonBody,
) -> Result<Json<TokenizeResponse>, ApiError> {
    let serving = app.serving()?;
    app.preparation.run(body.len(), move || tokens(&serving, &body)).await.map(Json)
}

/// Tokens to text.
pub async fn detokenize(
    State(app): State<Arc<App>>,
    JsonBody(body): JsonBody,
) -> Result<Json<DetokenizeResponse>, ApiError> {
    let serving = app.serving()?;
    app.preparation.run(body.len(), move || text(&serving, &body)).await.map(Json)
}

fn tokens(serving: &Serving, body: &[u8]) -> Result<TokenizeResponse, ApiError> {
    let request: TokenizeRequest = parse(body)?;
    serving.models.check(request.model.as_deref())?;
    let (text, adds_special_tokens) = match (&request.prompt, &request.messages) {
        (Some(prompt), None) => (prompt.clone(), true),
        (None, Some(messages)) => {
            let conversation = Conversation {
                messages,
                tools: request.tools.as_deref().unwrap_or(&[]),
                documents: &[],
                add_generation_prompt: request.add_generation_prompt.unwrap_or(true),
                continue_final_message: request.continue_final_message.unwrap_or(false),
                kwargs: request.chat_template_kwargs.as_ref(),
            };
            (serving.prompter.render(&conversation)?, false)
        }
        _ => return Err(param("prompt", "or messages must be given, and not both")),
    };
    let tokens = serving.prompter.encode(&text, request.add_special_tokens.unwrap_or(adds_special_tokens))?;
    let name = |id: &u32| serving.prompter.tokenizer.id_to_token(*id).unwrap_or_default();
    let token_strs = request.return_token_strs.unwrap_or(false).then(|| tokens.iter().map(name).collect());
    let max_model_len = serving.rules.max_model_len;
    Ok(TokenizeResponse { count: tokens.len(), max_model_len, tokens, token_strs })
}

fn text(serving: &Serving, body: &[u8]) -> Result<DetokenizeResponse, ApiError> {
    let request: DetokenizeRequest = parse(body)?;
    serving.models.check(request.model.as_deref())?;
    let vocab_size = serving.rules.vocab_size;
    if let Some(id) = request.tokens.iter().find(|it| **it >= vocab_size) {
        return Err(param("tokens", format!("has {id}, which is not a token id below {vocab_size}")));
    }
    Ok(DetokenizeResponse { prompt: serving.prompter.decode(&request.tokens, false)? })
}
