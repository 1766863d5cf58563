//! Flags of vLLM that have no effect here. A preset that passes them must not crash; one warning names them.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// Switches: `--x`, `--x=false` and, after rewriting, `--no-x`.
const SWITCHES: &[&str] = &[
    "aggregate-engine-logging",
    "allow-credentials",
    "async-scheduling",
    "calculate-kv-scales",
    "cudagraph-metrics",
    "disable-cascade-attn",
    "disable-chunked-mm-input",
    "disable-custom-all-reduce",
    "disable-fastapi-docs",
    "disable-frontend-multiprocessing",
    "disable-hybrid-kv-cache-manager",
    "disable-log-requests",
    "disable-log-stats",
    "disable-nccl-for-dp-synchronization",
    "disable-sliding-window",
    "disable-uvicorn-access-log",
    "disable-uvicorn-metrics-access-log",
    "enable-auto-tool-choice",
    "enable-chunked-prefill",
    "enable-cumem-allocator",
    "enable-dbo",
    "enable-elastic-ep",
    "enable-eplb",
    "enable-ep-weight-filter",
    "enable-expert-parallel",
    "enable-flashinfer-autotune",
    "enable-layerwise-nvtx-tracing",
    "enable-log-deltas",
    "enable-log-outputs",
    "enable-log-requests",
    "enable-lora",
    "enable-mfu-metrics",
    "enable-mm-embeds",
    "enable-offline-docs",
    "enable-return-routed-experts",
    "enable-scale-out",
    "enable-sleep-mode",
    "enable-ssl-refresh",
    "enable-tokenizer-info-endpoint",
    "enforce-eager",
    "exclude-tools-when-tool-choice-none",
    "fully-sharded-loras",
    "ignore-patterns-strict",
    "interleave-mm-strings",
    "kv-cache-metrics",
    "kv-sharing-fast-prefill",
    "language-model-only",
    "log-error-stack",
    "ray-workers-use-nsight",
    "return-tokens-as-token-ids",
    "skip-mm-profiling",
    "skip-tokenizer-init",
    "tokens-only",
    "trust-remote-code",
    "trust-request-chat-template",
    "use-tqdm-on-load",
];

/// Options with one value or several.
const OPTIONS: &[&str] = &[
    "all2all-backend",
    "allowed-headers",
    "allowed-local-media-path",
    "allowed-media-domains",
    "allowed-methods",
    "allowed-origins",
    "api-server-count",
    "attention-backend",
    "attention-config",
    "code-revision",
    "collect-detailed-traces",
    "compilation-config",
    "config-format",
    "convert",
    "cpu-offload-gb",
    "cpu-offload-params",
    "cudagraph-capture-sizes",
    "custom-histogram-buckets",
    "data-parallel-address",
    "data-parallel-rpc-port",
    "dbo-decode-token-threshold",
    "dbo-prefill-token-threshold",
    "dcp-kv-cache-interleave-size",
    "default-chat-template-kwargs",
    "default-mm-loras",
    "device",
    "disable-access-log-for-endpoints",
    "distributed-executor-backend",
    "distributed-timeout-seconds",
    "download-dir",
    "ec-transfer-config",
    "eplb-config",
    "expert-placement-strategy",
    "gpu-memory-utilization",
    "grpc-port",
    "guided-decoding-backend",
    "h11-max-header-count",
    "h11-max-incomplete-event-size",
    "hf-config-path",
    "hf-overrides",
    "hf-token",
    "ignore-patterns",
    "io-processor-plugin",
    "kernel-config",
    "kv-cache-metrics-sample",
    "kv-events-config",
    "kv-offloading-backend",
    "kv-offloading-size",
    "limit-mm-per-prompt",
    "load-format",
    "log-config-file",
    "logits-processors",
    "logprobs-mode",
    "lora-dtype",
    "lora-modules",
    "mamba-block-size",
    "mamba-cache-dtype",
    "mamba-ssm-cache-dtype",
    "master-addr",
    "master-port",
    "max-cpu-loras",
    "max-cudagraph-capture-size",
    "max-log-len",
    "max-long-partial-prefills",
    "max-lora-rank",
    "max-loras",
    "max-num-partial-prefills",
    "max-parallel-loading-workers",
    "media-io-kwargs",
    "middleware",
    "mm-encoder-attn-backend",
    "mm-encoder-tp-mode",
    "mm-processor-cache-gb",
    "mm-processor-cache-type",
    "mm-processor-kwargs",
    "mm-shm-cache-max-object-size-mb",
    "model-impl",
    "model-loader-extra-config",
    "moe-backend",
    "numa-bind",
    "optimization-level",
    "otlp-traces-endpoint",
    "override-generation-config",
    "pooler-config",
    "prefill-context-parallel-size",
    "prefix-caching-hash-algo",
    "profiler-config",
    "pt-load-map-location",
    "quantization",
    "reasoning-parser",
    "reasoning-parser-plugin",
    "renderer-num-workers",
    "response-role",
    "revision",
    "runner",
    "safetensors-load-strategy",
    "scheduler-cls",
    "seed",
    "show-hidden-metrics-for-version",
    "speculative-config",
    "sse-keep-alive-interval",
    "ssl-ca-certs",
    "ssl-cert-reqs",
    "ssl-ciphers",
    "stream-interval",
    "structured-outputs-config",
    "swap-space",
    "task",
    "tokenizer",
    "tokenizer-mode",
    "tokenizer-revision",
    "tool-call-parser",
    "tool-parser-plugin",
    "tool-server",
    "ubatch-size",
    "uds",
    "uvicorn-access-log-exclude-prefixes",
    "uvicorn-log-level",
    "video-pruning-rate",
    "weight-transfer-config",
    "worker-cls",
    "worker-extension-cls",
];

/// Flags that would change answers if they had an effect, with the values under which they change nothing. With any
/// other value they are refused: a warning is not enough for a wrong answer.
const CHANGE_ANSWERS: &[(&str, &[&str])] = &[
    ("convert", &["auto", "none"]),
    ("default-chat-template-kwargs", &["{}"]),
    ("enable-lora", &["false"]),
    ("hf-config-path", &[]),
    ("hf-overrides", &["{}"]),
    ("logits-processors", &[]),
    ("logprobs-mode", &["raw_logprobs"]),
    ("lora-modules", &[]),
    ("override-generation-config", &["{}"]),
    ("quantization", &["none"]),
    ("response-role", &["assistant"]),
    ("return-tokens-as-token-ids", &["false"]),
    ("runner", &["auto", "generate"]),
    ("skip-tokenizer-init", &["false"]),
    ("task", &["auto", "generate"]),
    ("tokenizer", &[]),
    ("tokens-only", &["false"]),
    ("uds", &[]),
];

/// Teaches `serve` the flags.
pub(super) fn add(serve: Command) -> Command {
    let switch = |name: &&'static str| {
        Arg::new(*name)
            .long(*name)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .hide(true)
    };
    let option = |name: &&'static str| {
        Arg::new(*name)
            .long(*name)
            .num_args(0..)
            .action(ArgAction::Append)
            .allow_negative_numbers(true)
            .hide(true)
    };
    serve.args(SWITCHES.iter().map(switch)).args(OPTIONS.iter().map(option))
}

/// The first flag whose value would change answers, as an error message.
pub(super) fn refused(serve: &ArgMatches) -> Option<String> {
    CHANGE_ANSWERS.iter().find_map(|(name, harmless)| {
        let values: Vec<_> = serve.get_raw(name)?.map(|it| it.to_string_lossy()).collect();
        let is_harmless = values.iter().all(|it| harmless.contains(&it.as_ref()));
        (!is_harmless || values.is_empty())
            .then(|| format!("--{name} {}: not supported: leave the flag out\n", values.join(" ")))
    })
}

/// Those that were given.
pub(super) fn given(serve: &ArgMatches) -> Vec<String> {
    let is_given = |name: &&&str| serve.value_source(name) == Some(ValueSource::CommandLine);
    SWITCHES.iter().chain(OPTIONS).filter(is_given).map(|name| format!("--{name}")).collect()
}
