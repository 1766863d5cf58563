//! Log-probabilities and tokens as responses write them.

use indexmap::IndexMap;
use llmd_api::openai::logprobs::{
    ChatLogprobs, ChatTokenLogprob, CompletionLogprobs, FLOOR, PromptLogprob, PromptLogprobs, TopLogprob,
};
use llmd_tokenizer::Tokenizer;

use crate::output::{PositionLogprobs, SampledToken, TokenLogprob};

/// How tokens are named.
#[derive(Debug, Clone)]
pub struct TokenNames {
    /// Id to text.
    pub tokenizer: Tokenizer,
    /// `token_id:N` instead of the text.
    pub as_ids: bool,
}

impl TokenNames {
    /// Name and bytes of one token. In the name, part of a character is written as U+FFFD.
    fn named(&self, token: u32) -> (String, Vec<u8>) {
        let bytes = self.tokenizer.token_bytes(token);
        let name = match self.as_ids {
            true => format!("token_id:{token}"),
            false => String::from_utf8_lossy(&bytes).into_owned(),
        };
        (name, bytes)
    }

    fn name(&self, token: u32) -> String {
        self.named(token).0
    }

    /// `logprobs` of chat tokens; `None` when they were not asked for.
    #[must_use]
    pub fn chat(&self, tokens: &[SampledToken]) -> Option<ChatLogprobs> {
        let content: Vec<ChatTokenLogprob> =
            tokens.iter().filter_map(|it| it.logprobs.as_ref()).map(|it| self.chat_token(it)).collect();
        (!content.is_empty()).then_some(ChatLogprobs { content })
    }

    fn chat_token(&self, position: &PositionLogprobs) -> ChatTokenLogprob {
        let (token, bytes) = self.named(position.chosen.token);
        let top = |it: &TokenLogprob| {
            let (token, bytes) = self.named(it.token);
            TopLogprob { token, logprob: floored(it), bytes }
        };
        let top_logprobs = position.top.iter().map(top).collect();
        ChatTokenLogprob { token, logprob: floored(&position.chosen), bytes, top_logprobs }
    }

    /// `logprobs` of completion tokens that begin `offset` characters into the choice's text. Returns where the
    /// next token begins.
    #[must_use]
    pub fn completion(&self, tokens: &[SampledToken], offset: usize) -> (Option<CompletionLogprobs>, usize) {
        let positions = tokens.iter().filter_map(|it| it.logprobs.as_ref());
        let mut lists = CompletionLogprobs::default();
        let mut offset = offset;
        for position in positions {
            offset = self.push(&mut lists, position.chosen.token, Some(position), offset);
        }
        ((!lists.tokens.is_empty()).then_some(lists), offset)
    }

    /// `logprobs` of an echoed prompt: its first token has none. Returns where the next token begins.
    #[must_use]
    pub fn echoed(&self, prompt: &[u32], positions: &[PositionLogprobs]) -> (CompletionLogprobs, usize) {
        let mut lists = CompletionLogprobs::default();
        let mut offset = 0;
        let known = std::iter::once(None).chain(positions.iter().map(Some));
        for (&token, position) in prompt.iter().zip(known) {
            offset = self.push(&mut lists, token, position, offset);
        }
        (lists, offset)
    }

    fn push(
        &self,
        lists: &mut CompletionLogprobs,
        token: u32,
        position: Option<&PositionLogprobs>,
        offset: usize,
    ) -> usize {
        let (name, bytes) = self.named(token);
        lists.text_offset.push(offset);
        lists.token_logprobs.push(position.map(|it| floored(&it.chosen)));
        lists.tokens.push(name);
        lists.top_logprobs.push(position.map(|it| {
            std::iter::once(&it.chosen).chain(&it.top).map(|it| (self.name(it.token), floored(it))).collect()
        }));
        offset + n_characters(&bytes)
    }

    /// `prompt_logprobs`: the first token has none.
    #[must_use]
    pub fn prompt(&self, positions: &[PositionLogprobs]) -> PromptLogprobs {
        let candidates = |position: &PositionLogprobs| {
            let all = std::iter::once(&position.chosen).chain(&position.top);
            let entry = |it: &TokenLogprob| {
                let decoded_token = self.name(it.token);
                (it.token, PromptLogprob { logprob: floored(it), rank: it.rank, decoded_token })
            };
            all.map(entry).collect::<IndexMap<_, _>>()
        };
        std::iter::once(None).chain(positions.iter().map(|it| Some(candidates(it)))).collect()
    }
}

/// Characters that begin in `bytes`, so that one in several tokens counts once.
fn n_characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&it| !matches!(it, 0x80..=0xbf)).count()
}

fn floored(token: &TokenLogprob) -> f32 {
    // NaN compares as smaller, so it is floored too.
    if token.logprob >= FLOOR { token.logprob } else { FLOOR }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_tokens_have_a_finite_log_probability() {
        let token = |logprob| TokenLogprob { token: 0, logprob, rank: 1 };
        for logprob in [f32::NEG_INFINITY, f32::NAN, -1e9] {
            assert_eq!(floored(&token(logprob)), FLOOR);
        }
        assert_eq!(floored(&token(-0.5)), -0.5);
    }
}
