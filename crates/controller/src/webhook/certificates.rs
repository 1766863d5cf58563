//! The webhook server's certificate, and the API server's trust in it.
//!
//! Each process signs a certificate of its own with the installation's [`Authority`] and keeps it in memory; what
//! is shared is the authority's Secret. The bundle is written into the webhook configurations and CRDs before a
//! certificate of a new authority is served, and again whenever somebody resets it. CRDs are installed apart from the
//! controller, so their conversion may name another namespace: it is led to this one. Every write is a JSON patch
//! that tests what it was computed from, so replicas may race. Objects taken over from KServe may ask cert-manager for
//! the bundle, which would put the old one back: that annotation is removed.
//!
//! With `--webhook-cert-dir` none of this runs: the files are served, and whoever made them also tells the API
//! server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, TestOperation, jsonptr::PointerBuf};
use k8s_openapi::ByteString;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind, PartialObjectMeta};
use llmd_common::report::Report;
use llmd_common::tls::{self, Replaceable};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::manifests::{CONFIG_WEBHOOKS, CRDS, Endpoint, SERVICE, SERVICE_WEBHOOKS};
use crate::part::part_of;
use crate::pki::{Authority, Certificate, PkiError, SubjectNames};

/// Time between two looks at the objects that carry the bundle. An upgrade of the installation may reset it, and
/// nothing can be written until it is back.
const INTERVAL: Duration = Duration::from_secs(10);

/// What annotations begin with that name a bundle for cert-manager's injector to write.
const INJECTION: &str = "cert-manager.io/inject-";

/// Why the webhook server has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot sign the webhook server's certificate")]
    Sign(#[from] PkiError),
    #[error("cannot serve the webhook server's certificate")]
    Serve(#[from] tls::Error),
}

/// The names under which the API server reaches the webhook server.
#[must_use]
pub fn subject_names(endpoint: &Endpoint) -> SubjectNames {
    let mut names = SubjectNames::default();
    names.insert("localhost");
    match endpoint {
        Endpoint::Service { namespace, name } => {
            for suffix in ["", ".cluster.local"] {
                names.insert(&format!("{name}.{namespace}.svc{suffix}"));
            }
        }
        Endpoint::Url(base) => names.insert(host(base)),
    }
    names
}

/// The host of a URL, without port and without the brackets of an IPv6 address.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// The certificate that is served, and when it has to change.
#[derive(Debug)]
pub struct ServingCertificate {
    served: Replaceable,
    names: SubjectNames,
    signed_by: Arc<Authority>,
    renewal: Timestamp,
}

impl ServingCertificate {
    /// Signs the first certificate.
    ///
    /// # Errors
    /// When it cannot be signed or served.
    pub fn new(
        authority: Arc<Authority>,
        names: SubjectNames,
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        let pair = authority.issue("llmd-controller", &names, now)?;
        let renewal = Certificate::parse(pair.certificate.as_bytes())?.renewal();
        let served = Replaceable::new(pair.certificate.as_bytes(), pair.key.as_bytes())?;
        Ok(Self { served, names, signed_by: authority, renewal })
    }

    /// What the server is configured with; it follows every renewal.
    #[must_use]
    pub const fn served(&self) -> &Replaceable {
        &self.served
    }

    /// Replaces the certificate when its time has come or another authority signs now. Tells whether it did.
    ///
    /// # Errors
    /// When no new one can be signed; the old one stays.
    pub fn renew(&mut self, authority: &Arc<Authority>, now: Timestamp) -> Result<bool, CertificateError> {
        let same_signer = self.signed_by.signing() == authority.signing();
        if same_signer && now < self.renewal {
            return Ok(false);
        }
        let pair = authority.issue("llmd-controller", &self.names, now)?;
        let renewal = Certificate::parse(pair.certificate.as_bytes())?.renewal();
        self.served.replace(pair.certificate.as_bytes(), pair.key.as_bytes())?;
        (self.signed_by, self.renewal) = (Arc::clone(authority), renewal);
        Ok(true)
    }
}

/// Keeps the API server's trust and the served certificate in step with `authority` until `stop`, for a webhook server
/// whose Service is in `namespace`.
pub async fn maintain(
    client: Client,
    namespace: String,
    mut authority: watch::Receiver<Arc<Authority>>,
    mut serving: ServingCertificate,
    stop: CancellationToken,
) {
    loop {
        let current = Arc::clone(&authority.borrow_and_update());
        let trusted = publish(&client, &namespace, current.bundle()).await;
        let renewed = if trusted { serving.renew(&current, Timestamp::now()) } else { Ok(false) };
        match renewed {
            Ok(true) => tracing::info!("the webhook server's certificate is renewed"),
            Ok(false) => {}
            Err(error) => tracing::warn!(error = %Report(&error), "keeping the webhook server's certificate"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = authority.changed() => {
                // Without an authority to follow, what there is stays until the process ends.
                if changed.is_err() {
                    stop.cancelled().await;
                    return;
                }
            }
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// Writes the bundle into every object that lacks it. Tells whether all that exist have it now.
pub async fn publish(client: &Client, namespace: &str, bundle: &str) -> bool {
    let mut complete = true;
    for (resource, name) in holders() {
        if let Err(error) = publish_in(client, &resource, name, namespace, bundle).await {
            tracing::warn!(kind = resource.kind, name, error = %Report(&error), "the CA bundle is not up to date");
            complete = false;
        }
    }
    complete
}

/// The objects that carry the bundle.
fn holders() -> Vec<(ApiResource, &'static str)> {
    let resource = |group: &str, kind: &str, plural: &str| {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural)
    };
    let admission = "admissionregistration.k8s.io";
    let mutating = resource(admission, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations");
    let validating = resource(admission, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations");
    let crd = resource("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions");
    vec![
        (mutating, SERVICE_WEBHOOKS),
        (validating.clone(), SERVICE_WEBHOOKS),
        (validating, CONFIG_WEBHOOKS),
        (crd.clone(), CRDS[0]),
        (crd, CRDS[1]),
    ]
}

/// An object that does not exist needs no bundle.
async fn publish_in(
    client: &Client,
    resource: &ApiResource,
    name: &str,
    namespace: &str,
    bundle: &str,
) -> Result<(), kube::Error> {
    let live: Holder = match part_of(client, resource, name).await {
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        live => live?,
    };
    let live = serde_json::to_value(live).map_err(kube::Error::SerdeError)?;
    let patch = bundle_patch(&live, namespace, bundle);
    if patch.0.is_empty() {
        return Ok(());
    }
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client.clone(), resource);
    api.patch_metadata(name, &PatchParams::default(), &Patch::Json::<()>(patch)).await.map(drop)
}

/// Of a webhook configuration or a CRD, what is read here: a CRD's schemas are a megabyte.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    #[serde(default)]
    metadata: HolderMetadata,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spec: Option<HolderSpec>,
    #[serde(default)]
    webhooks: Vec<Value>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct HolderMetadata {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct HolderSpec {
    #[serde(default)]
    conversion: Value,
}

/// What brings `bundle` into a webhook configuration or CRD, leads the conversion of a CRD to the Service in
/// `namespace`, and has nobody else write the bundle; empty when all is so.
#[must_use]
pub fn bundle_patch(object: &Value, namespace: &str, bundle: &str) -> json_patch::Patch {
    let encoded = serde_json::to_value(ByteString(bundle.as_bytes().to_vec())).unwrap_or_default();
    let mut operations = Vec::new();
    let mut set = |object: &Value, at: &[&str], field: &str, value: &Value| {
        if object.get(field) != Some(value) {
            let path = PointerBuf::from_tokens(at.iter().copied().chain([field]));
            operations.push(PatchOperation::Add(AddOperation { path, value: value.clone() }));
        }
    };
    if let Some(conversion) = object.pointer("/spec/conversion/webhook/clientConfig") {
        let at = ["spec", "conversion", "webhook", "clientConfig", "service"];
        set(conversion, &at[..4], "caBundle", &encoded);
        if conversion["service"]["name"] == SERVICE {
            set(&conversion["service"], &at, "namespace", &namespace.into());
        }
    }
    let webhooks = object.get("webhooks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (index, webhook) in webhooks.iter().enumerate() {
        let index = index.to_string();
        set(&webhook["clientConfig"], &["webhooks", &index, "clientConfig"], "caBundle", &encoded);
    }
    operations.extend(injections(object));
    if !operations.is_empty() {
        operations.splice(0..0, webhooks.iter().enumerate().map(|(index, it)| still_named(index, it)));
    }
    json_patch::Patch(operations)
}

/// Removes what has cert-manager's injector write a bundle.
fn injections(object: &Value) -> impl Iterator<Item = PatchOperation> {
    let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
    let names = annotations.into_iter().flat_map(|it| it.keys());
    names.filter(|it| it.starts_with(INJECTION)).map(|name| {
        let path = PointerBuf::from_tokens(["metadata", "annotations", name]);
        PatchOperation::Remove(RemoveOperation { path })
    })
}

/// Paths count webhooks, so the patch only holds while each is still at its place.
fn still_named(index: usize, webhook: &Value) -> PatchOperation {
    let index = index.to_string();
    PatchOperation::Test(TestOperation {
        path: PointerBuf::from_tokens(["webhooks", &index, "name"]),
        value: webhook["name"].clone(),
    })
}

#[cfg(test)]
mod tests;
