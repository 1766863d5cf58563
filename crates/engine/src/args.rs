//! Command line and environment: what was typed, under vLLM's names.
//!
//! Nothing is checked across fields here and no file is read but that of `--config`; the rest is [`crate::config`]'s
//! part. Start scripts of serving presets pass flags that only matter on other hardware, so vLLM's flags are known by
//! name: those without effect here are collected to be reported once, those that would change answers are refused, unknown
//! ones are an error.

mod additional;
mod data_parallel;
mod file;
mod inert;
mod normalize;
pub mod number;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgAction::Set;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use llmd_api::vllm::version::COMPATIBLE_WITH;
use llmd_common::build_info;

pub use data_parallel::DataParallelArgs;
use number::{Length, parse_count, parse_length};

/// A checked form of the whole command line.
#[derive(Debug)]
pub struct Invocation {
    /// What to do.
    pub command: Command,
    /// Flags that were given and have no effect, for one warning.
    pub inert: Vec<String>,
    /// Log filter: `RUST_LOG`, else the level of `VLLM_LOGGING_LEVEL`.
    pub log_filter: String,
}

#[derive(Debug, Parser)]
#[command(
    name = "llmd-engine",
    about = "OpenAI-compatible inference server",
    version = version(),
    infer_long_args = true,
    args_override_self = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
#[command(infer_long_args = true, args_override_self = true)]
pub enum Command {
    /// Serve a model over HTTP.
    Serve(Box<ServeArgs>),
    /// Measure this machine: decode and prefill of a random 0.5B-shaped model beside the memory's speed.
    Bench(BenchArgs),
}

/// Flags of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Compute threads; default: all cores.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Runs of each measurement, of which the best counts.
    #[arg(long, default_value_t = 5)]
    pub repeats: usize,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Scripts of serving presets take the last word of the last line for the vLLM version.
fn version() -> String {
    format!("{} (compatible with vLLM) {COMPATIBLE_WITH}", build_info::VERSION)
}

/// Flags of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Model folder in Hugging Face layout. `--config FILE` reads further options from YAML.
    #[arg(value_name = "MODEL")]
    pub model_tag: Option<String>,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
    #[command(flatten)]
    pub scheduler: SchedulerArgs,
    #[command(flatten)]
    pub http: HttpArgs,
    #[command(flatten)]
    pub frontend: FrontendArgs,
    #[command(flatten)]
    pub parallel: ParallelArgs,
}

/// The model and how it is computed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// The same as MODEL.
    #[arg(long = "model", value_name = "MODEL")]
    pub model_flag: Option<String>,
    /// Names clients may use; the first one is written in responses. Default: MODEL.
    #[arg(long, num_args = 1.., action = Set, value_name = "NAME")]
    pub served_model_name: Vec<String>,
    /// Arithmetic: auto and bfloat16 keep the weights in bfloat16, float32 computes everything in float32.
    #[arg(long, default_value = "auto")]
    pub dtype: String,
    /// Context in tokens (4k, 4K); -1 or auto takes the model's.
    #[arg(long, value_parser = parse_length, allow_negative_numbers = true, default_value = "auto")]
    pub max_model_len: Length,
    /// Where sampling defaults come from: auto (the model folder), vllm (none) or a folder.
    #[arg(long, default_value = "auto")]
    pub generation_config: String,
    /// Jinja template, or a file with one, instead of the model's own.
    #[arg(long, value_name = "FILE|TEXT")]
    pub chat_template: Option<String>,
    /// Form of message content the template reads.
    #[arg(long, default_value = "auto", value_parser = ["auto", "string", "openai"])]
    pub chat_template_content_format: String,
    /// Compute threads; default: VLLM_CPU_OMP_THREADS_BIND, OMP_NUM_THREADS, then all cores.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Cores to bind to, or auto; only their number is used.
    #[arg(long, env = "VLLM_CPU_OMP_THREADS_BIND", hide = true)]
    pub cpu_omp_threads_bind: Option<String>,
    /// Compute threads by the OpenMP convention.
    #[arg(long, env = "OMP_NUM_THREADS", hide = true)]
    pub omp_num_threads: Option<String>,
}

/// The KV cache and its transfer.
#[derive(Debug, Args)]
#[command(next_help_heading = "KV cache")]
pub struct CacheArgs {
    /// Tokens in a KV block.
    #[arg(long, default_value = "16", value_parser = parse_count)]
    pub block_size: u64,
    /// Element type of the cache.
    #[arg(long, default_value = "auto")]
    pub kv_cache_dtype: String,
    /// Whether prompts reuse the blocks of earlier ones.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = Set, default_value_t = true)]
    pub enable_prefix_caching: bool,
    /// Bytes for KV blocks (4G decimal would be 4g, binary 4G).
    #[arg(long, value_parser = parse_count)]
    pub kv_cache_memory_bytes: Option<u64>,
    /// GiB for KV blocks, as vLLM's CPU backend names it.
    #[arg(long, env = "VLLM_CPU_KVCACHE_SPACE", hide = true)]
    pub cpu_kvcache_space: Option<String>,
    /// Number of KV blocks, whatever memory they need.
    #[arg(long, value_parser = parse_count)]
    pub num_gpu_blocks_override: Option<u64>,
    /// Seed of the block hashes.
    #[arg(long, env = "PYTHONHASHSEED", hide = true)]
    pub hash_seed: Option<String>,
    /// KV transfer between engines, as JSON or as dotted keys.
    #[arg(long, value_name = "JSON")]
    pub kv_transfer_config: Option<String>,
    /// Host of the KV transfer listener, also told to peers.
    #[arg(long, env = "VLLM_NIXL_SIDE_CHANNEL_HOST", default_value = "localhost", hide = true)]
    pub nixl_side_channel_host: String,
    /// Port of the KV transfer listener; 0 takes a free one.
    #[arg(long, env = "VLLM_NIXL_SIDE_CHANNEL_PORT", default_value_t = 5600, hide = true)]
    pub nixl_side_channel_port: u16,
}

/// What a step may hold and who waits.
#[derive(Debug, Args)]
#[command(next_help_heading = "Scheduling")]
pub struct SchedulerArgs {
    /// Sequences in the batch at most.
    #[arg(long, default_value = "128", value_parser = parse_count)]
    pub max_num_seqs: u64,
    /// Tokens computed in a step at most.
    #[arg(long, default_value = "2048", value_parser = parse_count)]
    pub max_num_batched_tokens: u64,
    /// Tokens of one prompt in a step while others run; 0 is off.
    #[arg(long, default_value = "0", value_parser = parse_count)]
    pub long_prefill_token_threshold: u64,
    /// Who goes first.
    #[arg(long, default_value = "fcfs", value_parser = ["fcfs", "priority"])]
    pub scheduling_policy: String,
    /// Sequences waiting at most; further requests get 503.
    #[arg(long, value_parser = parse_count)]
    pub max_num_queued_reqs: Option<u64>,
    /// Prompt tokens waiting at most; further requests get 503.
    #[arg(long, value_parser = parse_count)]
    pub max_num_queued_tokens: Option<u64>,
}

/// The listener.
#[derive(Debug, Args)]
#[command(next_help_heading = "HTTP")]
pub struct HttpArgs {
    /// Address to listen on.
    #[arg(long, default_value = "0.0.0.0")]
    pub host: String,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 8000)]
    pub port: u16,
    /// Keys of which clients must send one as a bearer token.
    #[arg(long, num_args = 1.., env = "VLLM_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub api_key: Vec<String>,
    /// Path prefix that a proxy in front leaves on requests.
    #[arg(long, default_value = "")]
    pub root_path: String,
    /// Seconds that running requests have after SIGTERM.
    #[arg(long, default_value_t = 0)]
    pub shutdown_timeout: u64,
    /// Longest request body in bytes.
    #[arg(long, default_value = "32M", value_parser = parse_count)]
    pub max_body_bytes: u64,
    /// Seconds without a finished step, while requests run, after which /health answers 503.
    #[arg(long, default_value_t = 120)]
    pub stall_timeout: u64,
    /// Echo X-Request-Id in every response.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = Set, default_value_t = false)]
    pub enable_request_id_headers: bool,
    /// Count requests in flight for /load.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = Set, default_value_t = false)]
    pub enable_server_load_tracking: bool,
    /// PEM chain of the server certificate.
    #[arg(long)]
    pub ssl_certfile: Option<PathBuf>,
    /// PEM key of the server certificate.
    #[arg(long)]
    pub ssl_keyfile: Option<PathBuf>,
}

/// What requests may ask for and what responses hold.
#[derive(Debug, Args)]
#[command(next_help_heading = "Requests")]
pub struct FrontendArgs {
    /// Alternatives that log-probabilities may report; -1 is no limit.
    #[arg(long, default_value_t = 20, allow_negative_numbers = true)]
    pub max_logprobs: i64,
    /// Report cached prompt tokens in the usage.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = Set, default_value_t = false)]
    pub enable_prompt_tokens_details: bool,
    /// End every stream with the usage.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = Set, default_value_t = false)]
    pub enable_force_include_usage: bool,
    /// Stop strings a request may have.
    #[arg(long, env = "VLLM_MAX_STOP_STRINGS", default_value_t = 4, hide = true)]
    pub max_stop_strings: usize,
    /// Prompts a completion request may have.
    #[arg(long, env = "VLLM_MAX_COMPLETION_PROMPTS", default_value_t = 1024, hide = true)]
    pub max_completion_prompts: usize,
    /// Choices a request may ask for.
    #[arg(long, env = "VLLM_MAX_N_SEQUENCES", default_value_t = 16_384, hide = true)]
    pub max_n_sequences: u32,
    /// Accept any model name.
    #[arg(long, env = "VLLM_SKIP_MODEL_NAME_VALIDATION", hide = true)]
    pub skip_model_name_validation: Option<String>,
}

/// How many devices compute a model, and how many copies of it there are. Devices of one copy must be 1 here.
#[derive(Debug, Args)]
#[command(next_help_heading = "Parallelism")]
pub struct ParallelArgs {
    /// Devices that share each layer.
    #[arg(long, default_value_t = 1)]
    pub tensor_parallel_size: u32,
    /// Devices that share the layers.
    #[arg(long, default_value_t = 1)]
    pub pipeline_parallel_size: u32,
    /// Devices that share a context.
    #[arg(long, default_value_t = 1)]
    pub decode_context_parallel_size: u32,
    #[command(flatten)]
    pub data: DataParallelArgs,
}

/// Parses the process's command line and environment.
///
/// # Errors
/// What to print and the exit status, for `--help` and `--version` too.
pub fn parse() -> Result<Invocation, clap::Error> {
    let additional = std::env::var_os("VLLM_ADDITIONAL_ARGS").unwrap_or_default();
    let log_filter = std::env::var_os("RUST_LOG")
        .and_then(|it| it.into_string().ok())
        .or_else(|| std::env::var_os("VLLM_LOGGING_LEVEL")?.into_string().ok())
        .map_or_else(|| "info".to_owned(), |it| it.to_lowercase().replace("warning", "warn"));
    parse_from(std::env::args_os(), &additional.to_string_lossy(), log_filter)
}

/// Parses `args`, the program's name first. `additional` holds further words, as a shell would split them, that
/// come before the flags of `args`, so that the flags typed win.
///
/// # Errors
/// As [`parse`].
pub fn parse_from(
    args: impl IntoIterator<Item = OsString>,
    additional: &str,
    log_filter: String,
) -> Result<Invocation, clap::Error> {
    let words = additional::insert(args.into_iter().collect(), additional);
    let words = file::insert(words)?;
    let words = normalize::words(words);
    let mut command = Cli::command().mut_subcommand("serve", inert::add);
    let matches = command.try_get_matches_from_mut(words)?;
    let serve = matches.subcommand_matches("serve");
    if let Some(message) = serve.and_then(inert::refused) {
        return Err(clap::Error::raw(ErrorKind::InvalidValue, message));
    }
    let inert = serve.map(inert::given).unwrap_or_default();
    let Cli { command } = Cli::from_arg_matches(&matches)?;
    Ok(Invocation { command, inert, log_filter })
}

#[cfg(test)]
mod tests;
