//! The answer of one sequence, piece by piece.

use std::collections::HashSet;
use std::sync::Arc;

use llmd_api::kv_transfer::KvTransferParams;
use llmd_api::openai::chat::StopReason;
use llmd_tokenizer::{StreamDecoder, Tokenizer, TokenizerError};

use super::stop::{Cleared, StopFilter};
use crate::output::{EngineOutput, Finish, FinishReason, PositionLogprobs, SampledToken};

/// How tokens become text. Shared by the choices of a request.
#[derive(Debug, Clone, Default)]
pub struct TextSettings {
    /// Texts that end the answer.
    pub stop: Arc<[String]>,
    /// Whether the text or token that ended the answer stays in it.
    pub include_stop: bool,
    /// Whether special tokens vanish.
    pub skip_special_tokens: bool,
    /// Stop strings do not count before this many tokens.
    pub min_tokens: u32,
    /// Tokens that end the sequence in the engine: their text is hidden.
    pub stop_tokens: Arc<HashSet<u32>>,
}

/// What is new since the last delta: never empty unless it is the last one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delta {
    /// Text to append.
    pub text: String,
    /// Tokens it came from. Tokens without text yet are reported with the text they lead to.
    pub tokens: Vec<SampledToken>,
    /// Set once, in the last delta.
    pub ending: Option<Ending>,
}

impl Delta {
    /// Appends what came after.
    pub fn append(&mut self, later: Self) {
        let Self { text, tokens, ending } = later;
        self.text.push_str(&text);
        self.tokens.extend(tokens);
        self.ending = ending;
    }
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Why.
    pub reason: FinishReason,
    /// Stop string or stop token, if one ended it.
    pub stop_reason: Option<StopReason>,
    /// Where the decode engine finds the prompt's blocks.
    pub kv_transfer: Option<KvTransferParams>,
}

/// Turns the events of one sequence into deltas.
#[derive(Debug)]
pub struct Assembler {
    /// `None` after the end.
    decoder: Option<StreamDecoder>,
    filter: StopFilter,
    settings: TextSettings,
    /// A stop token whose `Finished` has not arrived yet.
    maybe_last: Option<u32>,
    /// Tokens since the last delta.
    tokens: Vec<SampledToken>,
    n_tokens: u32,
    cached_tokens: Option<u32>,
    prompt_logprobs: Option<Vec<PositionLogprobs>>,
}

impl Assembler {
    /// An assembler for an answer to `prompt`.
    ///
    /// # Errors
    /// When the prompt's end cannot be decoded.
    pub fn new(tokenizer: Tokenizer, prompt: &[u32], settings: TextSettings) -> Result<Self, TokenizerError> {
        let decoder = StreamDecoder::after_prompt(tokenizer, prompt, settings.skip_special_tokens)?;
        Ok(Self {
            decoder: Some(decoder),
            filter: StopFilter::new(Arc::clone(&settings.stop), settings.include_stop),
            settings,
            maybe_last: None,
            tokens: Vec::new(),
            n_tokens: 0,
            cached_tokens: None,
            prompt_logprobs: None,
        })
    }

    /// Tokens sampled so far, stop tokens included.
    #[must_use]
    pub const fn n_tokens(&self) -> u32 {
        self.n_tokens
    }

    /// Prompt tokens that were not computed for this sequence; `None` before it was scheduled.
    #[must_use]
    pub const fn cached_tokens(&self) -> Option<u32> {
        self.cached_tokens
    }

    /// Log-probabilities of the prompt's tokens from the second on, once.
    pub const fn take_prompt_logprobs(&mut self) -> Option<Vec<PositionLogprobs>> {
        self.prompt_logprobs.take()
    }

    /// Whether the last delta was handed out. Events after it are ignored.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.decoder.is_none()
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// When the tokens cannot be decoded; the answer cannot go on then.
    pub fn push(&mut self, output: EngineOutput) -> Result<Option<Delta>, TokenizerError> {
        match output {
            EngineOutput::Scheduled { cached_tokens } => {
                self.cached_tokens.get_or_insert(cached_tokens);
                Ok(None)
            }
            EngineOutput::PromptLogprobs(positions) => {
                self.prompt_logprobs = Some(positions);
                Ok(None)
            }
            EngineOutput::Token(token) => self.push_token(token),
            EngineOutput::Finished(finish) => self.finish(finish),
        }
    }

    fn push_token(&mut self, token: SampledToken) -> Result<Option<Delta>, TokenizerError> {
        let Some(mut text) = self.decode_held()? else { return Ok(None) };
        let id = token.token;
        self.n_tokens += 1;
        self.tokens.push(token);
        if self.settings.stop_tokens.contains(&id) {
            self.maybe_last = Some(id);
        } else if let Some(decoder) = &mut self.decoder {
            text.push_str(&decoder.push(id)?);
        }
        let Cleared { text, stop } = self.filter.push(&text, self.n_tokens > self.settings.min_tokens);
        if let Some(stop) = stop {
            let ending = Ending {
                reason: FinishReason::Stop,
                stop_reason: Some(StopReason::Text(stop)),
                kv_transfer: None,
            };
            return Ok(Some(self.last_delta(text, ending)));
        }
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(Delta { text, tokens: std::mem::take(&mut self.tokens), ending: None }))
    }

    fn finish(&mut self, finish: Finish) -> Result<Option<Delta>, TokenizerError> {
        let Finish { reason, stop_token, kv_transfer } = finish;
        if reason == FinishReason::Stop && !self.settings.include_stop {
            self.maybe_last = None;
        }
        let Some(mut text) = self.decode_held()? else { return Ok(None) };
        if let Some(decoder) = self.decoder.take() {
            text.push_str(&decoder.finish()?);
        }
        let stop_reason = stop_token.map(StopReason::Token);
        let Cleared { mut text, stop } = self.filter.push(&text, self.n_tokens > self.settings.min_tokens);
        let ending = match stop {
            Some(stop) => {
                Ending { reason: FinishReason::Stop, stop_reason: Some(StopReason::Text(stop)), kv_transfer }
            }
            None => {
                text.push_str(&self.filter.finish());
                Ending { reason, stop_reason, kv_transfer }
            }
        };
        Ok(Some(self.last_delta(text, ending)))
    }

    /// Text of a stop token that turned out not to be the last one; `None` after the end.
    fn decode_held(&mut self) -> Result<Option<String>, TokenizerError> {
        let Some(decoder) = &mut self.decoder else { return Ok(None) };
        self.maybe_last.take().map_or_else(|| Ok(Some(String::new())), |id| decoder.push(id).map(Some))
    }

    fn last_delta(&mut self, text: String, ending: Ending) -> Delta {
        self.decoder = None;
        Delta { text, tokens: std::mem::take(&mut self.tokens), ending: Some(ending) }
    }
}

#[cfg(test)]
mod tests;
