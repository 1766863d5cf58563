//! Where a model is, as `spec.model.uri` and the adapters' `uri` say it.
//!
//! The scheme decides how the files reach the pod; the rest is read only as far as that needs. What a downloader
//! makes of a repository or a bucket is the storage initializer's business.

use std::fmt;
use std::str::FromStr;

/// The schemes that [`ModelUri`] knows, for messages.
pub const SUPPORTED: &str = "hf://, s3://, https://, http://, pvc://, oci:// or oci+native://";

/// A model's place, by the way its files reach the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelUri {
    /// Fetched into the pod before its containers start.
    Download(Download),
    /// A folder of a PersistentVolumeClaim in the service's namespace.
    Claim(ClaimPath),
    /// An image whose folder `/models` holds the files.
    Image {
        reference: String,
        /// Mounted by the kubelet (`oci+native://`), whatever the installation prefers for `oci://`.
        native: bool,
    },
}

/// A URI that the storage initializer downloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    pub source: DownloadSource,
    /// The whole URI, as given.
    pub uri: String,
}

/// The kinds of servers that models are downloaded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownloadSource {
    HuggingFace,
    S3,
    Http,
}

/// A folder of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath {
    pub claim: String,
    /// Relative to the volume's root; empty = the root.
    pub path: String,
}

/// Why a text is no model URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// There is no `scheme://`, or what follows it is incomplete.
    #[error("invalid model URI: {uri:?}: {problem}")]
    Invalid { uri: String, problem: &'static str },
    /// Nobody downloads from this scheme.
    #[error("unsupported schema in model URI: {uri}: use {SUPPORTED}")]
    Unsupported { uri: String },
}

impl FromStr for ModelUri {
    type Err = UriError;

    fn from_str(uri: &str) -> Result<Self, UriError> {
        let invalid = |problem| UriError::Invalid { uri: uri.to_owned(), problem };
        let (scheme, rest) =
            uri.split_once("://").ok_or_else(|| invalid("it must start with a scheme such as hf://"))?;
        if uri.chars().any(|it| it.is_whitespace() || it.is_control()) {
            return Err(invalid("it must not contain white space"));
        }
        if rest.split(['/', ':', '@']).next().is_none_or(str::is_empty) {
            return Err(invalid("nothing follows the scheme"));
        }
        let download = |source| Self::Download(Download { source, uri: uri.to_owned() });
        match scheme {
            "hf" => Ok(download(DownloadSource::HuggingFace)),
            "s3" => Ok(download(DownloadSource::S3)),
            "http" | "https" => Ok(download(DownloadSource::Http)),
            "pvc" => ClaimPath::parse(rest).map(Self::Claim).map_err(invalid),
            "oci" => Ok(Self::Image { reference: rest.to_owned(), native: false }),
            "oci+native" => Ok(Self::Image { reference: rest.to_owned(), native: true }),
            _ => Err(UriError::Unsupported { uri: uri.to_owned() }),
        }
    }
}

impl ClaimPath {
    /// Reads `claim[/path]`.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (claim, path) = text.split_once('/').unwrap_or((text, ""));
        if path.split('/').any(|it| it == "..") {
            return Err("the path in a volume must not contain \"..\"");
        }
        Ok(Self { claim: claim.to_owned(), path: path.trim_matches('/').to_owned() })
    }
}

impl fmt::Display for ModelUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Download(it) => f.write_str(&it.uri),
            Self::Claim(ClaimPath { claim, path }) if path.is_empty() => write!(f, "pvc://{claim}"),
            Self::Claim(ClaimPath { claim, path }) => write!(f, "pvc://{claim}/{path}"),
            Self::Image { reference, native: false } => write!(f, "oci://{reference}"),
            Self::Image { reference, native: true } => write!(f, "oci+native://{reference}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(uri: &str) -> Result<ModelUri, UriError> {
        uri.parse()
    }

    #[test]
    fn the_scheme_decides_how_the_files_come() {
        for (uri, source) in [
            ("hf://Qwen/Qwen3-8B", DownloadSource::HuggingFace),
            ("hf://Qwen/Qwen3-8B:main", DownloadSource::HuggingFace),
            ("s3://bucket/models/qwen", DownloadSource::S3),
            ("https://models.example.com/qwen.safetensors", DownloadSource::Http),
            ("http://models.example.com:8080/qwen", DownloadSource::Http),
        ] {
            assert_eq!(parse(uri), Ok(ModelUri::Download(Download { source, uri: uri.to_owned() })), "{uri}");
        }
        let claim = |claim: &str, path: &str| {
            Ok(ModelUri::Claim(ClaimPath { claim: claim.to_owned(), path: path.to_owned() }))
        };
        assert_eq!(parse("pvc://models"), claim("models", ""));
        assert_eq!(parse("pvc://models/"), claim("models", ""));
        assert_eq!(parse("pvc://models/llama/v1"), claim("models", "llama/v1"));
        let image = |native| Ok(ModelUri::Image { reference: "ghcr.io/org/qwen:v1".to_owned(), native });
        assert_eq!(parse("oci://ghcr.io/org/qwen:v1"), image(false));
        assert_eq!(parse("oci+native://ghcr.io/org/qwen:v1"), image(true));
    }

    #[test]
    fn what_is_wrong_with_a_uri_is_said_with_the_way_out() {
        for (uri, expected) in [
            ("", "invalid model URI: \"\": it must start with a scheme such as hf://"),
            (
                "Qwen/Qwen3-8B",
                "invalid model URI: \"Qwen/Qwen3-8B\": it must start with a scheme such as hf://",
            ),
            ("hf://", "invalid model URI: \"hf://\": nothing follows the scheme"),
            ("pvc:///models", "invalid model URI: \"pvc:///models\": nothing follows the scheme"),
            ("s3://bucket/a b", "invalid model URI: \"s3://bucket/a b\": it must not contain white space"),
            (
                "pvc://m/../x",
                "invalid model URI: \"pvc://m/../x\": the path in a volume must not contain \"..\"",
            ),
            (
                "gs://bucket/x",
                "unsupported schema in model URI: gs://bucket/x: use hf://, s3://, https://, http://, pvc://, \
                 oci:// or oci+native://",
            ),
        ] {
            assert_eq!(parse(uri).unwrap_err().to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_accepted_or_refused(text in ".*") {
            let _verdict = parse(&text);
        }

        #[test]
        fn accepted_uris_print_as_they_were_read(
            scheme in "(hf|s3|https?|pvc|oci|oci\\+native)",
            rest in "[a-z0-9][a-z0-9.-]{0,20}(/[A-Za-z0-9._-]{1,10}){0,3}",
        ) {
            let uri = format!("{scheme}://{rest}");
            if let Ok(parsed) = parse(&uri) {
                prop_assert_eq!(parsed.to_string(), uri.clone());
                prop_assert_eq!(parse(&parsed.to_string()), Ok(parsed));
            } else {
                prop_assert!(uri.contains(".."), "{}", uri);
            }
        }
    }
}
