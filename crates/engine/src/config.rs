//! Checked configuration in final types: what [`crate::args`] become once their values agree.
//!
//! No file is read here, except by [`memory`], which says so.

mod cache;
mod data_parallel;
mod http;
mod kv_transfer;
pub mod memory;
mod model;

pub use cache::{CacheConfig, CacheSpace, FullBatch};
pub use data_parallel::{DataParallel, RankPorts};
pub use http::{ApiKeys, HttpConfig};
pub use kv_transfer::{KvRole, KvTransferConfig};
pub use model::{GenerationSource, ServedModel, ServedNames};

use crate::args::{FrontendArgs, ParallelArgs, SchedulerArgs, ServeArgs};
use crate::scheduler::SchedulingPolicy;

/// Sequences that may wait when no flag says otherwise.
const DEFAULT_QUEUED_REQUESTS: u64 = 1024;

/// Why the flags make no configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No model was named.
    #[error("which model? give a model folder: llmd-engine serve FOLDER")]
    NoModel,
    /// A flag's value has no meaning.
    #[error("{flag}: {problem}")]
    Value {
        /// As typed.
        flag: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A flag asks for something this engine cannot do.
    #[error("{flag}: not supported: {what}")]
    Unsupported {
        /// As typed.
        flag: &'static str,
        /// What, and what to do instead.
        what: String,
    },
}

/// Everything `serve` needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The model and how it is computed.
    pub model: ServedModel,
    /// The KV cache.
    pub cache: CacheConfig,
    /// Transfer of KV blocks; absent = none.
    pub kv_transfer: Option<KvTransferConfig>,
    /// The ranks of this process.
    pub data_parallel: DataParallel,
    /// Steps and queues.
    pub scheduler: SchedulerLimits,
    /// The listener.
    pub http: HttpConfig,
    /// What requests may ask for.
    pub frontend: FrontendConfig,
}

/// Limits of a step and of the waiting queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulerLimits {
    /// Sequences in the batch.
    pub max_num_seqs: usize,
    /// Tokens in a step.
    pub max_num_batched_tokens: usize,
    /// Tokens of one prompt in a step while others run; 0 is off.
    pub long_prefill_token_threshold: usize,
    /// Who goes first.
    pub policy: SchedulingPolicy,
    /// Sequences waiting.
    pub max_queued_requests: usize,
    /// Prompt tokens waiting.
    pub max_queued_tokens: usize,
}

/// What requests may ask for and what responses hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontendConfig {
    /// Alternatives of log-probabilities; `None` is no limit.
    pub max_logprobs: Option<u32>,
    /// Stop strings of a request.
    pub max_stop_strings: usize,
    /// Prompts of a completion request.
    pub max_prompts: usize,
    /// Choices of a request.
    pub max_n: u32,
    /// Whether the usage reports cached prompt tokens.
    pub prompt_tokens_details: bool,
    /// Whether every stream ends with the usage.
    pub force_include_usage: bool,
    /// Whether a request may name any model.
    pub any_model_name: bool,
}

impl TryFrom<ServeArgs> for Config {
    type Error = ConfigError;

    fn try_from(args: ServeArgs) -> Result<Self, ConfigError> {
        let ServeArgs { model_tag, model, cache, scheduler, http, frontend, parallel } = args;
        check_parallel(&parallel)?;
        let data_parallel = data_parallel::from_args(&parallel.data, http.port)?;
        let (cache, kv_dtype, kv_transfer) = cache::from_args(cache)?;
        Ok(Self {
            model: model::from_args(model_tag, model, kv_dtype)?,
            cache,
            kv_transfer,
            data_parallel,
            scheduler: scheduler_limits(scheduler)?,
            http: http::from_args(http)?,
            frontend: frontend_config(frontend)?,
        })
    }
}

fn check_parallel(args: &ParallelArgs) -> Result<(), ConfigError> {
    let ParallelArgs { tensor_parallel_size, pipeline_parallel_size, decode_context_parallel_size, data: _ } =
        args;
    let sizes = [
        ("--tensor-parallel-size", *tensor_parallel_size),
        ("--pipeline-parallel-size", *pipeline_parallel_size),
        ("--decode-context-parallel-size", *decode_context_parallel_size),
    ];
    match sizes.into_iter().find(|(_, size)| *size != 1) {
        None => Ok(()),
        Some((flag, size)) => Err(ConfigError::Unsupported {
            flag,
            what: format!(
                "{size}; this engine computes a copy of the model on one device, so it must be 1 (use --data-parallel-size for more copies)"
            ),
        }),
    }
}

fn scheduler_limits(args: SchedulerArgs) -> Result<SchedulerLimits, ConfigError> {
    let SchedulerArgs {
        max_num_seqs,
        max_num_batched_tokens,
        long_prefill_token_threshold,
        scheduling_policy,
        max_num_queued_reqs,
        max_num_queued_tokens,
    } = args;
    Ok(SchedulerLimits {
        max_num_seqs: at_least_one("--max-num-seqs", max_num_seqs)?,
        max_num_batched_tokens: at_least_one("--max-num-batched-tokens", max_num_batched_tokens)?,
        long_prefill_token_threshold: to_usize(long_prefill_token_threshold),
        policy: match scheduling_policy.as_str() {
            "priority" => SchedulingPolicy::Priority,
            _ => SchedulingPolicy::Fcfs,
        },
        max_queued_requests: to_usize(max_num_queued_reqs.unwrap_or(DEFAULT_QUEUED_REQUESTS)),
        max_queued_tokens: max_num_queued_tokens.map_or(usize::MAX, to_usize),
    })
}

fn frontend_config(args: FrontendArgs) -> Result<FrontendConfig, ConfigError> {
    let FrontendArgs {
        max_logprobs,
        enable_prompt_tokens_details,
        enable_force_include_usage,
        max_stop_strings,
        max_completion_prompts,
        max_n_sequences,
        skip_model_name_validation,
    } = args;
    let max_logprobs = match max_logprobs {
        -1 => None,
        limit => Some(u32::try_from(limit).map_err(|_| ConfigError::Value {
            flag: "--max-logprobs",
            problem: format!("{limit} is no number of tokens; use -1 for no limit"),
        })?),
    };
    Ok(FrontendConfig {
        max_logprobs,
        max_stop_strings,
        max_prompts: max_completion_prompts,
        max_n: max_n_sequences,
        prompt_tokens_details: enable_prompt_tokens_details,
        force_include_usage: enable_force_include_usage,
        any_model_name: skip_model_name_validation.is_some_and(|it| is_true(&it)),
    })
}

fn at_least_one(flag: &'static str, value: u64) -> Result<usize, ConfigError> {
    match to_usize(value) {
        0 => Err(ConfigError::Value { flag, problem: "must be at least 1".to_owned() }),
        value => Ok(value),
    }
}

fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// How switches are written in the environment.
fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on")
}

#[cfg(test)]
mod tests;
