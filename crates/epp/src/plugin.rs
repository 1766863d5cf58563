//! Extension points of the endpoint picker and the registry from wire type names to factories.
//!
//! Each extension point is a small trait. A plugin type is built from its `parameters` by one function; what
//! comes out is an [`Extension`], so nothing is ever downcast. Plugins that use other plugins ask for them by
//! name while they are built, see [`crate::config::build`].

use std::fmt::Debug;
use std::sync::Arc;

use rand::RngCore;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::datalayer::{MetricsExtractor, MetricsSource};
use crate::datastore::Endpoint;
use crate::discovery::file::FileDiscovery;
use crate::plugins::detector::utilization_detector::UtilizationDetector;
use crate::request::{InferenceRequest, PrefixMatches, PrefixSlot, Prompt};
use crate::scheduling::{Candidate, Cycle, Schedule, ScheduleError};

/// Removes candidates that may not serve the request.
pub trait Filter: Debug + Send + Sync {
    /// Sets `keep[i]` to false for each candidate to remove; all are true at the start.
    fn filter(&self, request: &InferenceRequest<'_>, candidates: &[Candidate<'_>], keep: &mut [bool]);
}

/// Rates candidates.
pub trait Scorer: Debug + Send + Sync {
    /// Writes a score between 0 (worst) and 1 (best) for each candidate; values outside are clamped.
    fn score(&self, request: &InferenceRequest<'_>, candidates: &[Candidate<'_>], scores: &mut [f64]);

    /// The request was scheduled: for scorers that learn from picks.
    fn picked(&self, _request: &InferenceRequest<'_>, _schedule: &Schedule<'_>) {}
}

/// Chooses from scored candidates.
pub trait Picker: Debug + Send + Sync {
    /// Positions in `totals`, best first and at least one. `totals` is not empty.
    fn pick(&self, totals: &[f64], rng: &mut dyn RngCore) -> Vec<usize>;
}

/// Decides which profiles run and what their results mean.
pub trait ProfileHandler: Debug + Send + Sync {
    /// Names of the profiles this handler needs; checked at start-up.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the profiles there are.
    fn check_profiles(&self, profiles: &[&str]) -> Result<(), String>;

    /// Runs profiles of `cycle` and names the run whose pick is the destination.
    ///
    /// # Errors
    /// When no endpoint can serve the request.
    fn schedule(&self, cycle: &mut Cycle<'_, '_>) -> Result<usize, ScheduleError>;

    /// The pick is final: returns headers that tell the destination about the other picks.
    fn prepare(&self, _request: &InferenceRequest<'_>, _schedule: &Schedule<'_>) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Where the gateway sends a request whose pick is `endpoint`, as `ip:port`.
    fn destination(&self, endpoint: &Endpoint) -> String {
        endpoint.host_port.clone()
    }
}

/// Decides whether a further stage of a disaggregated request is worth its transfer.
pub trait Decider: Debug + Send + Sync {
    /// Whether to run the stage, given the endpoint that will decode.
    fn wants_stage(&self, request: &InferenceRequest<'_>, decode: &Candidate<'_>) -> bool;
}

/// Finds out how much of a prompt's prefix each candidate holds, and learns from picks.
pub trait PrefixProducer: Debug + Send + Sync {
    /// Looks the prompt up. The second value is handed back to [`Self::remember`].
    fn look_up(
        &self,
        request: &InferenceRequest<'_>,
        candidates: &[Candidate<'_>],
    ) -> (PrefixMatches, Vec<u64>);

    /// Learns that the endpoints of `schedule` will compute `blocks`.
    fn remember(&self, schedule: &Schedule<'_>, matches: &PrefixMatches, blocks: &[u64]);

    /// Forgets endpoints that are not in `endpoints`, and updates gauges.
    fn refresh(&self, endpoints: &[Arc<Endpoint>]);
}

/// Reads requests of some API.
pub trait Parser: Debug + Send + Sync {
    /// Path suffixes this parser serves; none for a parser that takes what no other claims.
    fn suffixes(&self) -> &'static [&'static str];

    /// Reads `body`, sent to a path that ends in `suffix`.
    ///
    /// # Errors
    /// When the body is not what the API expects.
    fn parse<'a>(&self, suffix: &str, body: &'a [u8]) -> Result<ParsedBody<'a>, ParseError>;
}

/// What a parser reads from a body.
#[derive(Debug, Default)]
pub struct ParsedBody<'a> {
    /// The model and where its JSON string stands in the body, quotes included.
    pub model: Option<(std::borrow::Cow<'a, str>, std::ops::Range<usize>)>,
    /// Empty when the client gave none.
    pub cache_salt: std::borrow::Cow<'a, str>,
    /// What the engine will prefill.
    pub prompt: Prompt<'a>,
}

/// Why a body was refused. `Display` is the message for the client, in the words of the llm-d router.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// The body is not a JSON object of usable shape.
    #[error("error unmarshaling request bodyMap: {0}")]
    Json(String),
    /// There is no model.
    #[error("model not found in request body")]
    NoModel,
    /// A field without which the request means nothing is missing or empty.
    #[error("invalid {api} request: must have {field} field")]
    Field {
        /// The API in the client's words.
        api: &'static str,
        /// The field.
        field: &'static str,
    },
}

/// What a plugin contributes.
#[derive(Debug, Clone)]
pub enum Extension {
    /// Removes candidates.
    Filter(Arc<dyn Filter>),
    /// Rates candidates.
    Scorer(Arc<dyn Scorer>),
    /// Chooses a candidate.
    Picker(Arc<dyn Picker>),
    /// Runs profiles.
    ProfileHandler(Arc<dyn ProfileHandler>),
    /// Decides on a stage of disaggregation.
    Decider(Arc<dyn Decider>),
    /// Knows prefixes.
    PrefixProducer(PrefixSlot, Arc<dyn PrefixProducer>),
    /// Reads requests.
    Parser(Arc<dyn Parser>),
    /// Fetches engine metrics.
    MetricsSource(MetricsSource),
    /// Reads engine metrics.
    MetricsExtractor(Arc<MetricsExtractor>),
    /// Finds endpoints.
    Discovery(FileDiscovery),
    /// Tells how full the engines are.
    SaturationDetector(UtilizationDetector),
    /// Known, and without effect in a picker without flow control.
    Inert,
}

impl Extension {
    /// The extension point, for messages and metrics.
    #[must_use]
    pub const fn point(&self) -> &'static str {
        match self {
            Self::Filter(_) => "Filter",
            Self::Scorer(_) => "Scorer",
            Self::Picker(_) => "Picker",
            Self::ProfileHandler(_) => "ProfileHandler",
            Self::Decider(_) => "Decider",
            Self::PrefixProducer(..) => "DataProducer",
            Self::Parser(_) => "Parser",
            Self::MetricsSource(_) => "DataSource",
            Self::MetricsExtractor(_) => "Extractor",
            Self::Discovery(_) => "EndpointDiscovery",
            Self::SaturationDetector(_) => "SaturationDetector",
            Self::Inert => "Inert",
        }
    }
}

/// A plugin instance of the configuration.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// Unique name.
    pub name: Arc<str>,
    /// Wire type.
    pub type_name: &'static str,
    /// What it does.
    pub extension: Extension,
}

/// A type that configurations may name.
#[derive(Debug, Clone, Copy)]
pub struct PluginType {
    /// Wire name.
    pub name: &'static str,
    /// Builds an instance from its parameters.
    pub build: fn(&mut Build<'_, '_>) -> Result<Extension, ConfigError>,
}
