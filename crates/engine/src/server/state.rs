//! What all handlers share: the process from its start, and the model once it is loaded.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use llmd_common::ready::Readiness;
use prometheus::Registry;

use super::body::Preparation;
use super::error::ApiError;
use super::models::Models;
use super::prompt::Prompter;
use super::submit::Submitter;
use super::usage::Tally;
use super::validate::{Rules, Stream};
use crate::config::HttpConfig;

/// The process.
#[derive(Debug)]
pub struct App {
    /// Listener's settings.
    pub http: HttpConfig,
    /// Every series of the process.
    pub registry: Registry,
    /// Off when the process shuts down.
    pub readiness: Readiness,
    /// Parses and tokenises.
    pub preparation: Preparation,
    /// Share of the model that is loaded, in percent.
    loaded_percent: AtomicU32,
    serving: OnceLock<Arc<Serving>>,
    in_flight: Arc<AtomicUsize>,
}

/// A loaded model.
#[derive(Debug)]
pub struct Serving {
    /// Starts sequences on the engines.
    pub submitter: Submitter,
    /// Makes prompts.
    pub prompter: Prompter,
    /// What requests may ask for.
    pub rules: Rules,
    /// Names it is served under.
    pub models: Models,
    /// Whether the usage reports cached prompt tokens.
    pub prompt_tokens_details: bool,
    /// Whether every stream ends with the usage.
    pub force_include_usage: bool,
}

impl App {
    /// A process whose model is not loaded yet.
    #[must_use]
    pub fn new(http: HttpConfig, registry: Registry, readiness: Readiness) -> Self {
        Self {
            http,
            registry,
            readiness,
            preparation: Preparation::default(),
            loaded_percent: AtomicU32::new(0),
            serving: OnceLock::new(),
            in_flight: Arc::default(),
        }
    }

    /// Reports how much of the model is loaded, from 0 to 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=100")]
    pub fn report_loaded(&self, share: f32) {
        self.loaded_percent.store((share * 100.0).clamp(0.0, 100.0) as u32, Ordering::Relaxed);
    }

    /// Opens the routes. A second call changes nothing.
    pub fn open(&self, serving: Serving) {
        if self.serving.set(Arc::new(serving)).is_err() {
            tracing::error!("a model is served already");
        }
    }

    /// The loaded model.
    ///
    /// # Errors
    /// [`ApiError::NotReady`] with the progress while it loads.
    pub fn serving(&self) -> Result<Arc<Serving>, ApiError> {
        self.serving.get().cloned().ok_or_else(|| {
            ApiError::NotReady(format!("loading model: {} %", self.loaded_percent.load(Ordering::Relaxed)))
        })
    }

    /// Counts a request until the guard is dropped.
    #[must_use]
    pub fn begin(&self) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.in_flight))
    }

    /// Requests being answered.
    #[must_use]
    pub fn n_in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}

impl Serving {
    /// A tally for `prompts` with `n` choices each.
    #[must_use]
    pub fn tally(&self, prompts: &[Vec<u32>], n: u32) -> Tally {
        let prompt_tokens = prompts.iter().map(|it| u32::try_from(it.len()).unwrap_or(u32::MAX)).collect();
        Tally::new(prompt_tokens, n, self.prompt_tokens_details)
    }

    /// Stream options with the server's own wishes.
    #[must_use]
    pub const fn stream_options(&self, asked: Stream) -> Stream {
        Stream { include_usage: asked.include_usage || self.force_include_usage, ..asked }
    }
}

/// A request being answered.
#[derive(Debug)]
pub struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
