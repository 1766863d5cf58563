//! Why a download fails, and whether trying again may help.

use std::io;
use std::path::PathBuf;

use http::StatusCode;

use crate::checksum::Checksum;

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
    #[error("{url} has {got} instead of {expected}")]
    Digest { url: String, expected: Checksum, got: Checksum },
    #[error("cannot write {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{what} has no files{}", if *filtered { " that STORAGE_ALLOW_PATTERNS allows" } else { "" })]
    Empty { what: String, filtered: bool },
    #[error("{path:?} would lie outside the destination")]
    Outside { path: PathBuf },
    #[error("{} cannot be unpacked", path.display())]
    Archive {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("not supported: {entry:?} in {} is neither file nor folder", archive.display())]
    Entry { archive: PathBuf, entry: PathBuf },
    #[error(
        "{} MB are needed, but only {} MB are free in {}: give the volume more space",
        needed.div_ceil(1_000_000), free / 1_000_000, path.display()
    )]
    Space { path: PathBuf, needed: u64, free: u64 },
    #[error("cannot read the token of the service account from {}", path.display())]
    Token {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the role {role} is refused: {code}: {message}")]
    Role { role: String, code: String, message: String },
    #[error("the bucket of {url} lies in the region {region}: set AWS_DEFAULT_REGION to it")]
    Region { url: String, region: String },
    #[error("cannot read the CA bundle {}", path.display())]
    CaBundle {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
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
            Self::Connect { source, .. } => !is_untrusted(source.as_ref()),
            Self::Broken { .. } | Self::Stalled { .. } | Self::Size { .. } | Self::Digest { .. } => true,
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
            | Self::Archive { .. }
            | Self::Entry { .. }
            | Self::Space { .. }
            | Self::Token { .. }
            | Self::Role { .. }
            | Self::Region { .. }
            | Self::CaBundle { .. }
            | Self::Tls(_)
            | Self::Bucket(_)
            | Self::Missing { .. } => false,
        }
    }
}

/// Whether a server's certificate was refused, anywhere in the chain of causes. An I/O error that wraps another hides
/// it from `source`, so what it wraps is looked at first.
fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    if matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))) {
        return true;
    }
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    wrapped
        .map(|it| it as &(dyn std::error::Error + 'static))
        .or_else(|| error.source())
        .is_some_and(is_untrusted)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_untrusted_certificate_is_found_however_deep_it_lies() {
        let refused = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert!(is_untrusted(&refused()));
        assert!(is_untrusted(&io::Error::other(refused())));
        assert!(is_untrusted(&io::Error::other(io::Error::other(refused()))));
        assert!(!is_untrusted(&io::Error::other(rustls::Error::DecryptError)));
    }
}
