//! What to download, from where, with which credentials: checked and in final types.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::{Glob, GlobSet, GlobSetBuilder};
use url::Url;

use crate::args::{Args, Environment};

/// Everything that a run depends on.
#[derive(Debug, Clone)]
pub struct Config {
    pub jobs: Vec<Job>,
    /// Files to download, by path in the repository or bucket; `None` = all.
    pub allow: Option<GlobSet>,
    pub hub: HubConfig,
    pub s3: S3Config,
    pub tls: TlsConfig,
    pub limits: Limits,
}

/// One thing to download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub source: Source,
    pub destination: PathBuf,
}

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A repository of the hub at a branch, tag or commit.
    Hub { repository: String, revision: String },
    /// Every object of a bucket whose key starts with the prefix.
    S3 { bucket: String, prefix: String },
    /// One file, with the headers that its host wants.
    Plain { url: Url, headers: BTreeMap<String, String> },
    /// Files that are mounted in this container.
    Local(PathBuf),
}

/// The hub's server.
#[derive(Debug, Clone)]
pub struct HubConfig {
    pub endpoint: Url,
    pub token: Option<String>,
}

/// The S3 server. Without keys requests are anonymous.
#[derive(Debug, Clone)]
pub struct S3Config {
    pub endpoint: Url,
    pub region: String,
    pub keys: Option<S3Keys>,
    /// Whether the bucket is part of the host name.
    pub virtual_host: bool,
}

/// Keys of an S3 account.
#[derive(Clone)]
pub struct S3Keys {
    pub id: String,
    pub secret: String,
    pub session_token: Option<String>,
}

impl std::fmt::Debug for S3Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Keys").finish_non_exhaustive()
    }
}

/// Which certificates are trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM files besides the system's certificates.
    pub ca_files: Vec<PathBuf>,
    /// Whether any certificate is accepted.
    pub insecure: bool,
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
    #[error("not supported: {0}")]
    NotSupported(&'static str),
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
            Ok(Job { source: source(&pair[0], environment)?, destination: PathBuf::from(&pair[1]) })
        };
        Ok(Self {
            jobs: args.pairs.chunks(2).map(job).collect::<Result<_, ConfigError>>()?,
            allow: allow_patterns(environment)?,
            hub: HubConfig {
                endpoint: url(environment, "HF_ENDPOINT", "https://huggingface.co")?,
                token: environment.get("HF_TOKEN").map(|it| it.trim().to_owned()),
            },
            s3: s3(environment)?,
            tls: tls(environment),
            limits: Limits::default(),
        })
    }
}

/// Reads a URI.
fn source(uri: &str, environment: &Environment) -> Result<Source, ConfigError> {
    let wrong = |problem| ConfigError::Uri { uri: uri.to_owned(), problem };
    let Some((scheme, rest)) = uri.split_once("://") else {
        return if Path::new(uri).is_absolute() {
            Ok(Source::Local(PathBuf::from(uri)))
        } else {
            Err(wrong("it must start with hf://, s3://, https://, http:// or /"))
        };
    };
    if rest.is_empty() || rest.starts_with('/') {
        return Err(wrong("nothing follows the scheme"));
    }
    match scheme {
        "hf" => {
            let (repository, revision) = rest.split_once(':').unwrap_or((rest, "main"));
            let repository = repository.trim_matches('/').to_owned();
            Ok(Source::Hub { repository, revision: revision.to_owned() })
        }
        "s3" => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            Ok(Source::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
        }
        "http" | "https" => {
            let url: Url = uri.parse().map_err(|_invalid| wrong("it is no URL"))?;
            let headers = host_headers(&url, environment)?;
            Ok(Source::Plain { url, headers })
        }
        _ => Err(wrong("not supported: use hf://, s3://, https://, http:// or an absolute path")),
    }
}

/// Headers for a host: a JSON object in the variable that is named after it.
fn host_headers(url: &Url, environment: &Environment) -> Result<BTreeMap<String, String>, ConfigError> {
    let name = format!("{}-headers", url.host_str().unwrap_or_default());
    let Some(text) = environment.get(&name) else { return Ok(BTreeMap::new()) };
    serde_json::from_str(text).map_err(|source| ConfigError::Variable { name, source: source.into() })
}

fn allow_patterns(environment: &Environment) -> Result<Option<GlobSet>, ConfigError> {
    const NAME: &str = "STORAGE_ALLOW_PATTERNS";
    let invalid = |source| ConfigError::Variable { name: NAME.to_owned(), source };
    let Some(text) = environment.get(NAME) else { return Ok(None) };
    let patterns: Vec<String> = serde_json::from_str(text).map_err(|it| invalid(it.into()))?;
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(&pattern).map_err(|it| invalid(it.into()))?);
    }
    set.build().map(Some).map_err(|it| invalid(it.into()))
}

fn url(environment: &Environment, name: &str, default: &str) -> Result<Url, ConfigError> {
    let text = environment.get(name).unwrap_or(default);
    text.parse().map_err(|source: url::ParseError| ConfigError::Variable {
        name: name.to_owned(),
        source: source.into(),
    })
}

fn s3(environment: &Environment) -> Result<S3Config, ConfigError> {
    let region = ["AWS_DEFAULT_REGION", "AWS_REGION"].into_iter().find_map(|it| environment.get(it));
    let region = region.unwrap_or("us-east-1").to_owned();
    let own_server = environment.get("AWS_ENDPOINT_URL").is_some();
    let amazon = format!("https://s3.{region}.amazonaws.com");
    let keys = || {
        Some(S3Keys {
            id: environment.get("AWS_ACCESS_KEY_ID")?.to_owned(),
            secret: environment.get("AWS_SECRET_ACCESS_KEY")?.to_owned(),
            session_token: environment.get("AWS_SESSION_TOKEN").map(str::to_owned),
        })
    };
    if environment.is_true("S3_USE_ACCELERATE") {
        return Err(ConfigError::NotSupported("S3 transfer acceleration (S3_USE_ACCELERATE)"));
    }
    Ok(S3Config {
        endpoint: url(environment, "AWS_ENDPOINT_URL", &amazon)?,
        keys: if environment.is_true("awsAnonymousCredential") { None } else { keys() },
        virtual_host: environment.is_true("S3_USER_VIRTUAL_BUCKET") || !own_server,
        region,
    })
}

/// The bundle of the installation and the one of the S3 account, as far as they are mounted.
fn tls(environment: &Environment) -> TlsConfig {
    let mounted = environment.get("CA_BUNDLE_VOLUME_MOUNT_POINT");
    let mounted = mounted.map(|it| Path::new(it).join("cabundle.crt"));
    let of_account = environment.get("AWS_CA_BUNDLE").map(PathBuf::from);
    let ca_files = mounted.into_iter().chain(of_account).filter(|it| it.exists()).collect();
    TlsConfig { ca_files, insecure: environment.is_false("S3_VERIFY_SSL") }
}
