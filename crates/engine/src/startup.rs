//! From a configuration to a server that answers: the listener first, then the model, then the engine.
//!
//! The port is bound before anything is loaded, so that probes see how far the start is and a port in use is an
//! error within milliseconds.

mod loaded_model;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::service::TowerToHyperService;
use llmd_common::metrics::register_process;
use llmd_common::ready::Readiness;
use llmd_common::serve::{Limits, serve};
use llmd_common::shutdown::Shutdown;
use llmd_common::tls;
use llmd_tokenizer::{ChatTemplateError, TokenizerError};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::config::{Config, ConfigError, HttpConfig, KvTransferConfig, ServedModel};
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
use crate::server::{App, Models, Prompter, Rules, Serving, Submitter, router};
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

/// Opens the listener and serves its routes until `shutdown` drains. No model is loaded yet.
///
/// # Errors
/// When the address or the certificate cannot be used.
pub async fn listen(
    http: HttpConfig,
    readiness: Readiness,
    shutdown: &Shutdown,
) -> Result<(Arc<App>, SocketAddr), StartupError> {
    let HttpConfig { host, port, .. } = &http;
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
    let registry = Registry::new();
    register_process(&registry);
    let app = Arc::new(App::new(http, registry, readiness));
    let service = TowerToHyperService::new(router(Arc::clone(&app)));
    shutdown.spawn(serve(listener, service, acceptor, Limits::default(), shutdown.clone()));
    tracing::info!(%address, "listening; the model is not loaded yet");
    Ok((app, address))
}

/// Loads the model, starts its engine and opens the routes.
///
/// # Errors
/// When any part of the model or the engine cannot be started.
pub async fn load(config: Config, app: &Arc<App>, shutdown: &Shutdown) -> Result<EngineHandle, StartupError> {
    let config = Arc::new(config);
    let parts = {
        let (config, app) = (Arc::clone(&config), Arc::clone(app));
        let load = move || LoadedModel::read(&config, &mut |share| app.report_loaded(share));
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
    let info = MetricsInfo {
        model_name: model_name.clone(),
        max_model_len,
        block_size: layout.block_size,
        n_blocks,
    };
    let metrics = EngineMetrics::new(&app.registry, &info);
    let channel = command_channel();
    let connector = match &config.kv_transfer {
        Some(transfer) => {
            let metrics = TransferMetrics::new(&app.registry, &model_name);
            Some(connector(transfer, fingerprint, layout, channel.0.clone(), metrics, shutdown).await?)
        }
        None => None,
    };
    let engine_config = engine_config(&config, max_model_len, n_blocks, eos_token_ids.clone());
    let engine = Engine::spawn(Box::new(runner), connector, engine_config, metrics, channel)
        .map_err(StartupError::Engine)?;
    // The cache may hold less than the context.
    let max_model_len = u32::try_from(engine.max_model_len()).unwrap_or(u32::MAX);
    app.open(Serving {
        submitter: Submitter::new(engine.clone()),
        prompter: Prompter::new(tokenizer, template, max_model_len, vocab_size),
        rules: rules(&config, max_model_len, vocab_size, eos_token_ids, defaults),
        models: models(&config, max_model_len),
        prompt_tokens_details: config.frontend.prompt_tokens_details,
        force_include_usage: config.frontend.force_include_usage,
        engine: engine.clone(),
    });
    tracing::info!(model = %model_name, max_model_len, n_blocks, "serving");
    Ok(engine)
}

async fn connector(
    transfer: &KvTransferConfig,
    fingerprint: String,
    layout: KvLayout,
    commands: tokio::sync::mpsc::Sender<Command>,
    metrics: TransferMetrics,
    shutdown: &Shutdown,
) -> Result<Box<dyn KvConnector>, StartupError> {
    let KvTransferConfig { role: _, engine_id, host, port } = transfer.clone();
    let engine_id = engine_id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let config = NativeConfig {
        host: host.clone(),
        port,
        engine_id,
        fingerprint,
        layout,
        lease: LeaseTimes::default(),
        pull: PullTimes::default(),
    };
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
