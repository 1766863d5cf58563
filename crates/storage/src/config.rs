//! What to download, from where, with which credentials: checked and in final types.

mod s3;
mod source;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use globset::{Glob, GlobSet, GlobSetBuilder};
use http::header::HeaderValue;
use url::Url;

pub use self::s3::{S3Access, S3Config, S3Keys, WebIdentity};
pub use self::source::Source;
pub use self::tls::{TlsConfig, Trust};
use crate::args::{Args, Environment};

/// Everything that a run depends on.
#[derive(Debug, Clone)]
pub struct Config {
    pub jobs: Vec<Job>,
    /// Files to download, by path in the repository or bucket; `None` = all.
    pub allow: Option<GlobSet>,
    pub hub: HubConfig,
    pub tls: TlsConfig,
    pub limits: Limits,
}

/// One thing to download.
#[derive(Debug, Clone)]
pub struct Job {
    pub source: Source,
    pub destination: PathBuf,
}

/// The hub's server.
#[derive(Debug, Clone)]
pub struct HubConfig {
    pub endpoint: Url,
    /// Value of the header `Authorization`.
    pub authorization: Option<HeaderValue>,
}

/// How long and how often.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Downloads at the same time.
    pub n_parallel: usize,
    /// Attempts in a row that bring no byte.
    pub n_attempts: u32,
    /// Until a server is connected and answers.
    pub answer: Duration,
    /// Between two pieces of a body.
    pub stall: Duration,
    /// First pause between attempts; doubles up to thirty times that.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            n_parallel: 8,
            n_attempts: 6,
            answer: Duration::from_secs(60),
            stall: Duration::from_secs(30),
            pause: Duration::from_secs(1),
        }
    }
}

/// Why the command line or the environment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("arguments must be pairs of URI and destination, got {n} arguments")]
    Pairs { n: usize },
    #[error("{uri:?}: {problem}")]
    Uri { uri: String, problem: &'static str },
    #[error("environment variable {name} is not valid")]
    Variable {
        name: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{given} is set without {missing}")]
    Half { given: &'static str, missing: &'static str },
    #[error("not supported: {0}")]
    NotSupported(&'static str),
}

impl ConfigError {
    fn variable(name: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Variable { name: name.to_owned(), source: source.into() }
    }
}

impl Config {
    /// Checks what was given.
    ///
    /// # Errors
    /// When the arguments are no pairs, a URI is unknown, or a variable holds something else than it should.
    pub fn new(args: &Args, environment: &Environment) -> Result<Self, ConfigError> {
        if environment.is_true("CONFIDENTIAL_ENABLED") {
            return Err(ConfigError::NotSupported("decrypting the model of a confidential service"));
        }
        if !args.pairs.len().is_multiple_of(2) {
            return Err(ConfigError::Pairs { n: args.pairs.len() });
        }
        let job = |pair: &[String]| {
            Ok(Job { source: Source::new(&pair[0], environment)?, destination: PathBuf::from(&pair[1]) })
        };
        Ok(Self {
            jobs: args.pairs.chunks(2).map(job).collect::<Result<_, ConfigError>>()?,
            allow: allow_patterns(environment)?,
            hub: HubConfig {
                endpoint: url(environment, "HF_ENDPOINT", "https://huggingface.co")?,
                authorization: hub_authorization(environment)?,
            },
            tls: TlsConfig::new(environment),
            limits: Limits::default(),
        })
    }
}

fn hub_authorization(environment: &Environment) -> Result<Option<HeaderValue>, ConfigError> {
    const NAME: &str = "HF_TOKEN";
    let Some(token) = environment.get(NAME) else { return Ok(None) };
    let value = HeaderValue::try_from(format!("Bearer {}", token.trim()));
    let mut value = value.map_err(|it| ConfigError::variable(NAME, it))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn allow_patterns(environment: &Environment) -> Result<Option<GlobSet>, ConfigError> {
    const NAME: &str = "STORAGE_ALLOW_PATTERNS";
    let Some(text) = environment.get(NAME) else { return Ok(None) };
    let patterns: Vec<String> = serde_json::from_str(text).map_err(|it| ConfigError::variable(NAME, it))?;
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(&pattern).map_err(|it| ConfigError::variable(NAME, it))?);
    }
    set.build().map(Some).map_err(|it| ConfigError::variable(NAME, it))
}

fn url(environment: &Environment, name: &str, default: &str) -> Result<Url, ConfigError> {
    let text = environment.get(name).unwrap_or(default);
    text.parse().map_err(|it: url::ParseError| ConfigError::variable(name, it))
}
