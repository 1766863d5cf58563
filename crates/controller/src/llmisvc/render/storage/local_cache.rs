//! The local model cache: another controller keeps models on the nodes and marks the services that can use them;
//! their URI becomes a folder of the cache's claim.

use sha2::{Digest, Sha256};

use super::uri::ClaimPath;
use crate::llmisvc::service::Service;

/// Label of a service whose model is cached, with the cache's name.
pub const LABEL: &str = "internal.serving.kserve.io/localmodel";
/// Annotation: the URI that the cache was filled from.
pub const SOURCE_URI: &str = "internal.serving.kserve.io/localmodel-sourceuri";
/// Annotation: the claim with the cached files.
pub const CLAIM: &str = "internal.serving.kserve.io/localmodel-pvc-name";

/// Characters of the hash that names a cached model's folder.
const KEY_LENGTH: usize = 16;

/// Where the cache has the model `uri`; `None` when the service is not marked.
///
/// # Errors
/// The missing annotation, when the mark is incomplete.
pub(super) fn lookup(service: &Service, uri: &str) -> Option<Result<ClaimPath, &'static str>> {
    service.labels.get(LABEL)?;
    let annotation = |key: &'static str| service.annotations.get(key).ok_or(key);
    let place =
        annotation(SOURCE_URI).and_then(|source| annotation(CLAIM).map(|claim| in_claim(claim, source, uri)));
    Some(place)
}

fn in_claim(claim: &str, source: &str, uri: &str) -> ClaimPath {
    let rest = uri.strip_prefix(source).unwrap_or_default().trim_matches('/');
    let folder = format!("models/{}", key(source));
    let path = if rest.is_empty() { folder } else { format!("{folder}/{rest}") };
    ClaimPath { claim: claim.to_owned(), path }
}

/// The folder's name: the first characters of the URI's SHA-256, in hex.
fn key(source: &str) -> String {
    let digest = Sha256::digest(source.as_bytes());
    digest.iter().map(|it| format!("{it:02x}")).collect::<String>()[..KEY_LENGTH].to_owned()
}
