//! Objects that a hook reads from the API server.
//!
//! Envoy Gateway waits for a hook as long as it takes, but asks again only when something changes in the cluster: an
//! API server that is away for a moment is waited for, because what is refused now may stay out of Envoy for hours.

use std::fmt::Debug;
use std::time::Duration;

use kube::api::Api;
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use llmd_common::backoff::Backoff;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

/// How long the API server may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long it is asked again.
const PATIENCE: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Objects that are read at a time.
pub(super) const N_READS: usize = 16;

/// Why an object is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    /// The API server did not give it.
    #[error("cannot read {kind} {namespace}/{name}")]
    Read {
        kind: String,
        namespace: String,
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
    /// It did not answer.
    #[error("the API server does not answer within {DEADLINE:?}")]
    Deadline,
}

/// The object, if it is there.
pub(super) async fn get<K>(client: &Client, namespace: &str, name: &str) -> Result<Option<K>, LookupError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let objects: Api<K> = Api::namespaced(client.clone(), namespace);
    let (start, mut backoff) = (Instant::now(), Backoff::new(FIRST_PAUSE, LONGEST_PAUSE));
    loop {
        let error = match tokio::time::timeout(DEADLINE, objects.get_opt(name)).await {
            Ok(Ok(object)) => return Ok(object),
            Ok(Err(source)) => LookupError::Read {
                kind: K::kind(&()).into_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                source: Box::new(source),
            },
            Err(_) => LookupError::Deadline,
        };
        if start.elapsed() > PATIENCE {
            return Err(error);
        }
        tokio::time::sleep(backoff.next_delay(rand::random())).await;
    }
}
