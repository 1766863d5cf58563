//! The local model cache: another controller keeps models on the nodes and marks the services that can use them;
//! their URI becomes a folder of the cache's claim.

use llmd_api::meta::{LOCAL_MODEL, LOCAL_MODEL_CLAIM, LOCAL_MODEL_SOURCE_URI};
use sha2::{Digest, Sha256};

use super::uri::ClaimPath;
use crate::llmisvc::service::Service;

/// Characters of the hash that names a cached model's folder.
const KEY_LENGTH: usize = 16;

/// Where the cache has the model `uri`; `None` when the service is not marked.
///
/// # Errors
/// The missing annotation, when the mark is incomplete.
pub(super) fn lookup(service: &Service, uri: &str) -> Option<Result<ClaimPath, &'static str>> {
    service.labels.get(LOCAL_MODEL)?;
    let annotation = |key: &'static str| service.annotations.get(key).ok_or(key);
    let place = annotation(LOCAL_MODEL_SOURCE_URI)
        .and_then(|source| annotation(LOCAL_MODEL_CLAIM).map(|claim| in_claim(claim, source, uri)));
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
