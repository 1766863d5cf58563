//! Which endpoint pickers speak without TLS.
//!
//! Endpoint pickers make certificates for themselves unless told otherwise, so TLS is the rule. The exception is said
//! by the Service's port, as Gateway API says it: `appProtocol: kubernetes.io/h2c` is HTTP/2 in clear text.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Service;
use kube::Client;

use super::lookup::{self, LookupError, N_READS};
use super::picker::Picker;

const CLEAR_TEXT: &str = "kubernetes.io/h2c";

/// Names of the clusters of pickers without TLS.
pub(super) type ClearText = BTreeSet<String>;

/// Those of `pickers` that speak without TLS. One whose Service is not there counts as the others.
pub(super) async fn clear_text(
    client: &Client,
    pickers: impl Iterator<Item = Picker>,
) -> Result<ClearText, LookupError> {
    let read = stream::iter(pickers).map(|picker| async move {
        let service = lookup::get::<Service>(client, &picker.namespace, &picker.service).await?;
        let is_clear = service.is_some_and(|it| is_clear(&it, picker.port));
        Ok::<_, LookupError>(is_clear.then(|| picker.cluster_name()))
    });
    let names: Vec<_> = read.buffer_unordered(N_READS).try_collect().await?;
    Ok(names.into_iter().flatten().collect())
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
