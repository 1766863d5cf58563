//! From a configuration to servers that answer: the listeners first, then the model, then the engine, once a rank.
//!
//! The port is bound before anything is loaded, so that probes see how far the start is and a port in use is an
//! error within milliseconds.

mod loaded_model;

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::service::TowerToHyperService;
use llmd_common::metrics::register_process;
use llmd_common::ready::Readiness;
use llmd_common::serve::{Limits, serve};
use llmd_common::shutdown::Shutdown;
use llmd_common::tls;
use llmd_tokenizer::{ChatTemplate, ChatTemplateError, Tokenizer, TokenizerError};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::config::{Config, ConfigError, HttpConfig, KvTransferConfig, RankPorts, ServedModel};
use crate::engine::{Engine, EngineConfig, EngineHandle, QueueLimits};
use crate::kv_cache::KvLayout;
use crate::kv_transfer::KvConnector;
use crate::kv_transfer::metrics::TransferMetrics;
use crate::kv_transfer::native::{LeaseTimes, NativeConfig, NativeConnector, PullTimes};
use crate::metrics::{EngineMetrics, MetricsInfo};
use crate::model::{self, GenerationConfig};
use crate::request::{Command, command_channel};
use crate::runner::{Runner, StartError};
use crate::scheduler::SchedulerConfig;
use crate::server::{App, Models, Prompter, Rank, Ranks, Rules, Serving, Submitter, router, supervisor};
use loaded_model::LoadedModel;

/// Share of the blocks that stays free when a sequence joins others.
const WATERMARK: f64 = 0.01;
/// Between looks at the certificate files.
const TLS_RELOAD: Duration = Duration::from_secs(10);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The address is taken or not ours.
    #[error("cannot listen on {host}:{port}")]
    Listen {
        /// As configured.
        host: String,
        /// As configured.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// There is no model.
    #[error("there is no model folder {}", path.display())]
    NoFolder {
        /// As configured.
        path: PathBuf,
    },
    /// Flags do not fit the model.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `config.json` or `generation_config.json` cannot be used.
    #[error(transparent)]
    Model(#[from] model::ConfigError),
    /// The weights cannot be loaded.
    #[error(transparent)]
    Runner(#[from] StartError),
    /// The tokenizer cannot be loaded.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// The chat template cannot be loaded.
    #[error(transparent)]
    Template(#[from] ChatTemplateError),
    /// The KV transfer listener cannot be started.
    #[error("cannot start KV transfer on {host}:{port}")]
    Transfer {
        /// As configured.
        host: String,
        /// As configured.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system refuses what the engine needs.
    #[error("cannot start the engine")]
    Engine(#[source] io::Error),
}

/// A port and the data-parallel ranks behind it.
#[derive(Debug)]
pub struct Server {
    /// Its routes.
    pub app: Arc<App>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Who computes.
    pub ranks: Range<u32>,
}

/// Opens every port and serves its routes until `shutdown` drains. No model is loaded yet.
///
/// # Errors
/// When an address or the certificate cannot be used.
pub async fn listen(
    config: &Config,
    readiness: &Readiness,
    shutdown: &Shutdown,
) -> Result<Vec<Server>, StartupError> {
    let mut servers = Vec::new();
    for (port, ranks) in config.data_parallel.servers(config.http.port) {
        let http = HttpConfig { port, ..config.http.clone() };
        let registry = Registry::new();
        register_process(&registry);
        let app = Arc::new(App::new(http, registry, readiness.clone()));
        let address = open(&app.http, router(Arc::clone(&app)), shutdown).await?;
        tracing::info!(%address, ?ranks, "listening; the model is not loaded yet");
        servers.push(Server { app, address, ranks });
    }
    if let RankPorts::Each { supervisor: port } = config.data_parallel.ports {
        let http = HttpConfig { port, ..config.http.clone() };
        let apps = servers.iter().map(|it| Arc::clone(&it.app)).collect();
        let address = open(&http, supervisor::router(apps), shutdown).await?;
        tracing::info!(%address, "saying here whether all ranks are healthy");
    }
    Ok(servers)
}

/// Serves `routes` on the port of `http`.
async fn open(http: &HttpConfig, routes: Router, shutdown: &Shutdown) -> Result<SocketAddr, StartupError> {
    let HttpConfig { host, port, .. } = http;
    let failed = |source| StartupError::Listen { host: host.clone(), port: *port, source };
    let listener = TcpListener::bind((host.as_str(), *port)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let acceptor = match http.tls.clone() {
        Some(files) => {
            let config = tls::from_files(files, &[b"h2", b"http/1.1"], TLS_RELOAD, shutdown)?;
            Some(TlsAcceptor::from(Arc::new(config)))
        }
        None => None,
    };
    let service = TowerToHyperService::new(routes);
    shutdown.spawn(serve(listener, service, acceptor, Limits::default(), shutdown.clone()));
    Ok(address)
}

/// Loads the model for every rank of `server`, starts their engines and opens the routes.
///
/// # Errors
/// When any part of the model or an engine cannot be started.
pub async fn load(
    config: &Arc<Config>,
    server: &Server,
    shutdown: &Shutdown,
) -> Result<Vec<EngineHandle>, StartupError> {
    let Server { app, ranks, .. } = server;
    let n_others = ranks.len().saturating_sub(1);
    let (first, text) = start_rank(config, app, ranks.start, (0, ranks.len()), shutdown).await?;
    let mut others = Vec::with_capacity(n_others);
    for (idx, rank) in (1..).zip(ranks.clone().skip(1)) {
        others.push(start_rank(config, app, rank, (idx, ranks.len()), shutdown).await?.0);
    }
    let engines = std::iter::once(&first).chain(&others).map(|it| it.engine.clone()).collect();
    // The cache may hold less than the context.
    let max_model_len = u32::try_from(first.engine.max_model_len()).unwrap_or(u32::MAX);
    let TextParts { tokenizer, template, vocab_size, eos_token_ids, defaults } = text;
    app.open(Serving {
        submitter: Submitter::new(Ranks::new(first, others)),
        prompter: Prompter::new(tokenizer, template, max_model_len, vocab_size),
        rules: rules(config, max_model_len, vocab_size, eos_token_ids, defaults),
        models: models(config, max_model_len),
        prompt_tokens_details: config.frontend.prompt_tokens_details,
        force_include_usage: config.frontend.force_include_usage,
    });
    tracing::info!(model = %config.model.served_names.first, max_model_len, ?ranks, "serving");
    Ok(engines)
}

/// What the server needs of the model folder, the same for every rank.
struct TextParts {
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    vocab_size: u32,
    eos_token_ids: Vec<u32>,
    defaults: GenerationConfig,
}

/// Loads the model for one rank, the `idx`th of `n` behind its port, and starts its engine.
async fn start_rank(
    config: &Arc<Config>,
    app: &Arc<App>,
    rank: u32,
    (idx, n): (usize, usize),
    shutdown: &Shutdown,
) -> Result<(Rank, TextParts), StartupError> {
    let parts = {
        let (config, app) = (Arc::clone(config), Arc::clone(app));
        let load = move || {
            LoadedModel::read(&config, &mut |share| app.report_loaded((idx as f32 + share) / n as f32))
        };
        tokio::task::spawn_blocking(load).await.map_err(|error| StartupError::Engine(error.into()))??
    };
    let LoadedModel {
        runner,
        tokenizer,
        template,
        defaults,
        eos_token_ids,
        max_model_len,
        n_blocks,
        fingerprint,
    } = parts;
    let layout = *runner.kv_layout();
    let vocab_size = u32::try_from(runner.vocab_size()).unwrap_or(u32::MAX);
    let model_name = config.model.served_names.first.clone();
    let info = MetricsInfo { model_name, rank, max_model_len, block_size: layout.block_size, n_blocks };
    let metrics = EngineMetrics::new(&app.registry, &info);
    let channel = command_channel();
    let connector = match &config.kv_transfer {
        Some(transfer) => {
            let transfer = transfer.of_rank(rank, config.data_parallel.size)?;
            let metrics = TransferMetrics::new(&app.registry, &info.model_name, rank);
            let native = native_config(transfer, fingerprint, layout);
            Some(connector(native, channel.0.clone(), metrics, shutdown).await?)
        }
        None => None,
    };
    let engine_config = engine_config(config, max_model_len, n_blocks, eos_token_ids.clone());
    let engine = Engine::spawn(Box::new(runner), connector, engine_config, metrics, channel)
        .map_err(StartupError::Engine)?;
    tracing::info!(rank, n_blocks, "the engine runs");
    let text = TextParts { tokenizer, template, vocab_size, eos_token_ids, defaults };
    Ok((Rank::new(rank, engine), text))
}

fn native_config(transfer: KvTransferConfig, fingerprint: String, layout: KvLayout) -> NativeConfig {
    let KvTransferConfig { role: _, engine_id, host, port } = transfer;
    let engine_id = engine_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let (lease, pull) = (LeaseTimes::default(), PullTimes::default());
    NativeConfig { host, port, engine_id, fingerprint, layout, lease, pull }
}

async fn connector(
    config: NativeConfig,
    commands: tokio::sync::mpsc::Sender<Command>,
    metrics: TransferMetrics,
    shutdown: &Shutdown,
) -> Result<Box<dyn KvConnector>, StartupError> {
    let (host, port) = (config.host.clone(), config.port);
    let started = NativeConnector::start(config, commands, metrics, shutdown.cancelled().clone()).await;
    match started {
        Ok(connector) => Ok(Box::new(connector)),
        Err(source) => Err(StartupError::Transfer { host, port, source }),
    }
}

fn engine_config(
    config: &Config,
    max_model_len: usize,
    n_blocks: usize,
    eos_token_ids: Vec<u32>,
) -> EngineConfig {
    let limits = &config.scheduler;
    EngineConfig {
        scheduler: SchedulerConfig {
            max_num_seqs: limits.max_num_seqs,
            max_num_batched_tokens: limits.max_num_batched_tokens,
            long_prefill_token_threshold: limits.long_prefill_token_threshold,
            max_model_len,
            policy: limits.policy,
            watermark: WATERMARK,
        },
        n_blocks,
        prefix_caching: config.cache.prefix_caching,
        hash_seed: config.cache.hash_seed.clone(),
        eos_token_ids,
        queue: QueueLimits { max_requests: limits.max_queued_requests, max_tokens: limits.max_queued_tokens },
    }
}

fn rules(
    config: &Config,
    max_model_len: u32,
    vocab_size: u32,
    eos_token_ids: Vec<u32>,
    defaults: GenerationConfig,
) -> Rules {
    let frontend = &config.frontend;
    Rules {
        max_model_len,
        vocab_size,
        max_logprobs: frontend.max_logprobs,
        max_stop_strings: frontend.max_stop_strings,
        max_n: frontend.max_n,
        max_sequences: config.scheduler.max_queued_requests,
        max_prompts: frontend.max_prompts,
        eos_token_ids,
        defaults,
    }
}

fn models(config: &Config, max_model_len: u32) -> Models {
    let ServedModel { served_names, root, .. } = &config.model;
    Models::new(served_names.clone(), config.frontend.any_model_name, root, max_model_len)
}
