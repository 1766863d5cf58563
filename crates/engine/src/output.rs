//! What crosses from the engine thread back to the async server.

use llmd_api::kv_transfer::KvTransferParams;

/// Why a sequence ended. The wire names are vLLM's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// End-of-sequence token, stop token or stop string.
    Stop,
    /// `max_tokens` or the model's context is used up.
    Length,
    /// The client went away or the server is shutting down.
    Abort,
    /// The engine could not compute it.
    Error,
}

impl FinishReason {
    /// The value of `finish_reason` in responses and of the label `finished_reason` in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Abort => "abort",
            Self::Error => "error",
        }
    }
}

/// A token with its natural log-probability under the raw logits, before penalties and temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenLogprob {
    /// Vocabulary index.
    pub token: u32,
    /// Natural logarithm of the probability.
    pub logprob: f32,
    /// 1 for the most likely token.
    pub rank: u32,
}

/// Log-probabilities at one position.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionLogprobs {
    /// The token that stands there.
    pub chosen: TokenLogprob,
    /// The most likely ones, best first; as many as were asked for.
    pub top: Vec<TokenLogprob>,
}

/// One sampled token.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledToken {
    /// Vocabulary index.
    pub token: u32,
    /// Present when the request asked for log-probabilities.
    pub logprobs: Option<PositionLogprobs>,
}

/// End of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    /// Why it ended.
    pub reason: FinishReason,
    /// The stop token, unless it was the model's own end-of-sequence token.
    pub stop_token: Option<u32>,
    /// For the prefill leg: where the decode engine finds the blocks.
    pub kv_transfer: Option<KvTransferParams>,
}

/// News about one sequence, in order.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "the large one comes once a sequence")]
pub enum EngineOutput {
    /// The sequence was scheduled for the first time.
    Scheduled {
        /// Prompt tokens whose KV was found in the local prefix cache or pulled from another engine.
        cached_tokens: u32,
    },
    /// Log-probabilities of prompt positions 1.., sent once, when asked for.
    PromptLogprobs(Vec<PositionLogprobs>),
    /// A token was sampled. The stop token itself is sent as well, before [`EngineOutput::Finished`].
    Token(SampledToken),
    /// Nothing more will come.
    Finished(Finish),
}
