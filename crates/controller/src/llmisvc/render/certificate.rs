//! The Secret with the certificate of the service's pods. It exists whether services speak TLS or not, because
//! presets mount it.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use llmd_api::meta;

use crate::children::{Child, ChildKind};
use crate::llmisvc::facts::certificate::expiration_annotations;
use crate::llmisvc::service::Service;

/// The objects of this part: none offline, where no certificate is known.
#[must_use]
pub fn render(service: &Service) -> Vec<Child> {
    let Some(certificate) = &service.facts.certificate.secret else { return Vec::new() };
    let mut metadata =
        service.child_meta(service.names().certificate(), service.child_labels(meta::component::WORKLOAD));
    let written = expiration_annotations(&service.settings).into_iter().take(1);
    // RFC 3339 in whole seconds, which every reader of the annotation understands.
    let renewal = certificate.renewal.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    metadata.annotations = Some(written.map(|it| (it.to_owned(), renewal.clone())).collect());
    let file = |name: &str, content: &[u8]| (name.to_owned(), ByteString(content.to_vec()));
    let secret = Secret {
        metadata,
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(BTreeMap::from([
            file("tls.crt", &certificate.certificate),
            file("tls.key", &certificate.key),
            file("ca.crt", &certificate.ca),
        ])),
        ..Secret::default()
    };
    vec![Child::new(ChildKind::Secret, &secret)]
}
