//! Which endpoint pickers speak without TLS.
//!
//! Endpoint pickers make certificates for themselves unless told otherwise, so TLS is the rule. The exception is said
//! by the Service's port, as Gateway API says it: `appProtocol: kubernetes.io/h2c` is HTTP/2 in clear text.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Service;
use kube::Client;
use kube::api::Api;

use super::picker::Picker;

/// How long the API server may take for a Service.
const DEADLINE: Duration = Duration::from_secs(2);
/// Services that are read at a time.
const N_READS: usize = 16;
const CLEAR_TEXT: &str = "kubernetes.io/h2c";

/// Names of the clusters of pickers without TLS.
pub(super) type ClearText = BTreeSet<String>;

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServiceError {
    /// The API server did not give the Service.
    #[error("cannot read Service {namespace}/{name}")]
    Read {
        namespace: String,
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
    /// It did not answer.
    #[error("the API server does not answer within {DEADLINE:?}")]
    Deadline,
}

/// Those of `pickers` that speak without TLS. One whose Service is not there counts as the others.
pub(super) async fn clear_text(
    client: &Client,
    pickers: impl Iterator<Item = Picker>,
) -> Result<ClearText, ServiceError> {
    let read = stream::iter(pickers).map(|picker| async move {
        let service = tokio::time::timeout(DEADLINE, read(client, &picker)).await;
        let service = service.map_err(|_| ServiceError::Deadline)??;
        let is_clear = service.is_some_and(|it| is_clear(&it, picker.port));
        Ok::<_, ServiceError>(is_clear.then(|| picker.cluster_name()))
    });
    let names: Vec<_> = read.buffer_unordered(N_READS).try_collect().await?;
    Ok(names.into_iter().flatten().collect())
}

async fn read(client: &Client, picker: &Picker) -> Result<Option<Service>, ServiceError> {
    let services: Api<Service> = Api::namespaced(client.clone(), &picker.namespace);
    services.get_opt(&picker.service).await.map_err(|source| ServiceError::Read {
        namespace: picker.namespace.clone(),
        name: picker.service.clone(),
        source: Box::new(source),
    })
}

fn is_clear(service: &Service, port: u16) -> bool {
    let mut ports = service.spec.iter().flat_map(|it| it.ports.iter().flatten());
    ports.any(|it| it.port == i32::from(port) && it.app_protocol.as_deref() == Some(CLEAR_TEXT))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_pickers_own_port_says_that_it_is_clear_text() {
        let service: Service = serde_json::from_value(json!({ "spec": { "ports": [
            { "port": 9002, "appProtocol": "kubernetes.io/h2c" },
            { "port": 9003, "appProtocol": "http2" }, { "port": 9090 },
        ] } }))
        .expect("a Service");
        assert_eq!([9002, 9003, 9090, 1].map(|it| is_clear(&service, it)), [true, false, false, false]);
    }
}
