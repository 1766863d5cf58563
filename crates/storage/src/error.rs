//! Why a download fails, and whether trying again may help.

use std::io;
use std::path::PathBuf;

use http::StatusCode;

/// A failed download.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot connect to the server of {url}")]
    Connect {
        url: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{url} answers {status}{}", hint(*.status))]
    Status { url: String, status: StatusCode },
    #[error("the connection to {url} broke")]
    Broken {
        url: String,
        #[source]
        source: hyper::Error,
    },
    #[error("{url} sends nothing any more")]
    Stalled { url: String },
    #[error("{url} was redirected too often, or to nowhere")]
    Redirect { url: String },
    #[error("{url} gives an answer that is not understood")]
    Answer {
        url: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{url} was replaced during the download")]
    Changed { url: String },
    #[error("{url} has {got} bytes instead of {expected}")]
    Size { url: String, expected: u64, got: u64 },
    #[error("{url} has SHA-256 {got} instead of {expected}")]
    Digest { url: String, expected: String, got: String },
    #[error("cannot write {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{what} has no files{}", if *filtered { " that STORAGE_ALLOW_PATTERNS allows" } else { "" })]
    Empty { what: String, filtered: bool },
    #[error("{path:?} would lie outside the destination")]
    Outside { path: String },
    #[error("cannot set up TLS")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("S3 server or bucket cannot be addressed")]
    Bucket(#[from] rusty_s3::BucketError),
    #[error("{} does not exist in this container", path.display())]
    Missing { path: PathBuf },
}

impl Error {
    /// Whether the next attempt may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Broken { .. }
            | Self::Stalled { .. }
            | Self::Size { .. }
            | Self::Digest { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error()
                    || matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            }
            Self::Changed { .. }
            | Self::Redirect { .. }
            | Self::Answer { .. }
            | Self::File { .. }
            | Self::Empty { .. }
            | Self::Outside { .. }
            | Self::Tls(_)
            | Self::Bucket(_)
            | Self::Missing { .. } => false,
        }
    }
}

/// What a user can do about a status.
fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            ": give the pod's service account a Secret with credentials that may read it"
        }
        StatusCode::NOT_FOUND => ": there is no such model, revision or file, or it is private",
        _ => "",
    }
}
