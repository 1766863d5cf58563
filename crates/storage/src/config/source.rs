//! Where files are: a URI and what the environment adds for its server.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use http::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::{ConfigError, s3};
use crate::archive::Archive;
use crate::args::Environment;

/// Where the files are. Displayed without anything secret.
#[derive(Debug, Clone)]
pub enum Source {
    /// A repository of the hub at a branch, tag or commit.
    Hub { repository: String, revision: String },
    /// Every object of a bucket below the prefix, or the object of that key.
    S3 { server: Box<s3::S3Config>, bucket: String, prefix: String },
    /// One file, with the headers that its host wants; unpacked if it is an archive.
    Plain { url: Url, headers: HeaderMap },
    /// Files that are mounted in this container.
    Local(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub { repository, revision } => write!(f, "hf://{repository}:{revision}"),
            Self::S3 { bucket, prefix, .. } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Plain { url, .. } => f.write_str(&crate::client::shown(url)),
            Self::Local(path) => path.display().fmt(f),
        }
    }
}

impl Source {
    /// Reads a URI.
    ///
    /// # Errors
    /// When it is unknown, incomplete, or what its server needs is not in the environment.
    pub fn new(uri: &str, environment: &Environment) -> Result<Self, ConfigError> {
        let wrong = |problem| ConfigError::Uri { uri: without_secrets(uri), problem };
        let Some((scheme, rest)) = uri.split_once("://") else {
            return if Path::new(uri).is_absolute() {
                Ok(Self::Local(PathBuf::from(uri)))
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
                Ok(Self::Hub { repository, revision: revision.to_owned() })
            }
            "s3" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let server = Box::new(s3::S3Config::new(environment)?);
                Ok(Self::S3 {
                    server,
                    bucket: bucket.to_owned(),
                    prefix: prefix.trim_matches('/').to_owned(),
                })
            }
            "http" | "https" => plain(uri, environment),
            _ => Err(wrong("not supported: use hf://, s3://, https://, http:// or an absolute path")),
        }
    }
}

fn plain(uri: &str, environment: &Environment) -> Result<Source, ConfigError> {
    let wrong = |problem| ConfigError::Uri { uri: without_secrets(uri), problem };
    let url: Url = uri.parse().map_err(|_invalid| wrong("it is no URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "not supported: a name or password in the URL: put the Authorization header into a Secret with the \
             keys https-host and headers",
        ));
    }
    let name = url.path_segments().and_then(|mut it| it.next_back()).unwrap_or_default();
    if name.is_empty() {
        return Err(wrong("it must end with the name of a file"));
    }
    if Archive::is_refused(name) {
        return Err(wrong("not supported: this kind of archive: use .tar, .tar.gz or .tgz"));
    }
    let headers = host_headers(&url, environment)?;
    Ok(Source::Plain { url, headers })
}

/// Headers for a host: a JSON object in the variable that is named after it.
fn host_headers(url: &Url, environment: &Environment) -> Result<HeaderMap, ConfigError> {
    let name = format!("{}-headers", url.host_str().unwrap_or_default());
    let Some(text) = environment.get(&name) else { return Ok(HeaderMap::new()) };
    let headers: BTreeMap<String, String> =
        serde_json::from_str(text).map_err(|it| ConfigError::variable(&name, it))?;
    let mut map = HeaderMap::new();
    for (header, value) in headers {
        let header = HeaderName::try_from(header).map_err(|it| ConfigError::variable(&name, it))?;
        let mut value = HeaderValue::try_from(value).map_err(|it| ConfigError::variable(&name, it))?;
        value.set_sensitive(true);
        map.insert(header, value);
    }
    Ok(map)
}

/// A URI for people: what stands before an `@` of the host, and the query, may be secret.
fn without_secrets(uri: &str) -> String {
    uri.parse().map_or_else(|_| uri.to_owned(), |it: Url| crate::client::shown(&it))
}
