//! The listener and who may use it.

use std::fmt;
use std::time::Duration;

use llmd_common::tls::CertFiles;
use sha2::{Digest, Sha256};

use super::{ConfigError, to_usize};
use crate::args::HttpArgs;

/// The HTTP server.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Address.
    pub host: String,
    /// Port; 0 takes a free one.
    pub port: u16,
    /// Keys of which a client must send one; empty lets everybody in.
    pub api_keys: ApiKeys,
    /// Prefix under which all routes exist too; empty or beginning with a slash and not ending with one.
    pub root_path: String,
    /// For running requests after SIGTERM.
    pub shutdown_timeout: Duration,
    /// Longest request body in bytes.
    pub max_body_bytes: usize,
    /// Without a finished step while requests run, after which the server is unhealthy.
    pub stall_timeout: Duration,
    /// Whether responses carry the request id.
    pub echo_request_id: bool,
    /// Whether `/load` counts.
    pub track_load: bool,
    /// Certificate, for TLS.
    pub tls: Option<CertFiles>,
}

/// Digests of the keys, so that none stays in memory or in a debug print.
#[derive(Clone, Default)]
pub struct ApiKeys(Vec<[u8; 32]>);

impl ApiKeys {
    /// Keeps the digests of `keys`. Empty ones, as an unset variable leaves them, are none.
    #[must_use]
    pub fn new(keys: &[String]) -> Self {
        Self(keys.iter().filter(|it| !it.is_empty()).map(|it| Sha256::digest(it).into()).collect())
    }

    /// Whether everybody may come in.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `key` is one of them, in a time that does not depend on how much of it is right.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(key).into();
        let differs = |known: &[u8; 32]| known.iter().zip(digest).fold(0, |sum, (a, b)| sum | (a ^ b));
        self.0.iter().fold(false, |found, known| found | (differs(known) == 0))
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({})", self.0.len())
    }
}

pub(super) fn from_args(args: HttpArgs) -> Result<HttpConfig, ConfigError> {
    let HttpArgs {
        host,
        port,
        api_key,
        root_path,
        shutdown_timeout,
        max_body_bytes,
        stall_timeout,
        enable_request_id_headers,
        enable_server_load_tracking,
        ssl_certfile,
        ssl_keyfile,
    } = args;
    let tls = match (ssl_certfile, ssl_keyfile) {
        (Some(cert), Some(key)) => Some(CertFiles { cert, key }),
        (None, None) => None,
        (Some(_), None) => return Err(needs("--ssl-certfile", "--ssl-keyfile")),
        (None, Some(_)) => return Err(needs("--ssl-keyfile", "--ssl-certfile")),
    };
    Ok(HttpConfig {
        host,
        port,
        api_keys: ApiKeys::new(&api_key),
        root_path: root_path_of(&root_path)?,
        shutdown_timeout: Duration::from_secs(shutdown_timeout),
        max_body_bytes: to_usize(max_body_bytes),
        stall_timeout: Duration::from_secs(stall_timeout),
        echo_request_id: enable_request_id_headers,
        track_load: enable_server_load_tracking,
        tls,
    })
}

fn needs(flag: &'static str, other: &str) -> ConfigError {
    ConfigError::Value { flag, problem: format!("needs {other} too") }
}

fn root_path_of(text: &str) -> Result<String, ConfigError> {
    let path = text.trim_end_matches('/');
    if path.is_empty() || (path.starts_with('/') && !path.contains(['{', '}', '*'])) {
        return Ok(path.to_owned());
    }
    Err(ConfigError::Value {
        flag: "--root-path",
        problem: format!("{text:?} is no path; it begins with a slash"),
    })
}
