//! The webhooks as the API server is told about them. Names, paths and rules are public: installations of the other
//! implementation of this controller are upgraded in place, and the API server calls what these objects say.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ServiceReference, ValidatingWebhook,
    ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::core::ObjectMeta;
use serde_json::{Value, json};

use super::server::CONVERT;

/// Name of the MutatingWebhookConfiguration, and of the ValidatingWebhookConfiguration of services.
pub const SERVICE_WEBHOOKS: &str = "llminferenceservice.serving.kserve.io";
/// Name of the ValidatingWebhookConfiguration of configs.
pub const CONFIG_WEBHOOKS: &str = "llminferenceserviceconfig.serving.kserve.io";
/// Names of the CRDs whose versions are converted.
pub const CRDS: [&str; 2] =
    ["llminferenceservices.serving.kserve.io", "llminferenceserviceconfigs.serving.kserve.io"];
/// Name of the Service in front of the webhook server.
pub const SERVICE: &str = "llmisvc-webhook-server-service";

const GROUP: &str = "serving.kserve.io";
const VERSIONS: [&str; 2] = ["v1alpha1", "v1alpha2"];

/// How the API server reaches the webhook server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Through a Service on port 443.
    Service { namespace: String, name: String },
    /// At a base URL such as `https://192.0.2.1:9443`, for a controller outside the cluster.
    Url(String),
}

impl Endpoint {
    /// The Service of an installation in `namespace`.
    #[must_use]
    pub fn in_cluster(namespace: &str) -> Self {
        Self::Service { namespace: namespace.to_owned(), name: SERVICE.to_owned() }
    }

    fn client_config(&self, path: &str, ca_bundle: Option<&str>) -> WebhookClientConfig {
        let ca_bundle = ca_bundle.map(|it| ByteString(it.as_bytes().to_vec()));
        match self {
            Self::Service { namespace, name } => WebhookClientConfig {
                ca_bundle,
                service: Some(ServiceReference {
                    namespace: namespace.clone(),
                    name: name.clone(),
                    path: Some(path.to_owned()),
                    port: None,
                }),
                url: None,
            },
            Self::Url(base) => WebhookClientConfig {
                ca_bundle,
                service: None,
                url: Some(format!("{}{path}", base.trim_end_matches('/'))),
            },
        }
    }
}

/// The defaults of services.
#[must_use]
pub fn mutating(endpoint: &Endpoint, ca_bundle: Option<&str>) -> MutatingWebhookConfiguration {
    let webhook = |version: &str| MutatingWebhook {
        name: format!("llminferenceservice.kserve-webhook-server.{version}.defaulter"),
        admission_review_versions: vec!["v1".to_owned()],
        client_config: endpoint
            .client_config(&format!("/mutate-serving-kserve-io-{version}-llminferenceservice"), ca_bundle),
        failure_policy: Some("Fail".to_owned()),
        match_policy: Some("Exact".to_owned()),
        rules: Some(vec![rule(version, "llminferenceservices", &["CREATE", "UPDATE"])]),
        side_effects: "None".to_owned(),
        ..MutatingWebhook::default()
    };
    MutatingWebhookConfiguration {
        metadata: named(SERVICE_WEBHOOKS),
        webhooks: Some(VERSIONS.into_iter().map(webhook).collect()),
    }
}

/// The rules of services and of configs.
#[must_use]
pub fn validating(endpoint: &Endpoint, ca_bundle: Option<&str>) -> [ValidatingWebhookConfiguration; 2] {
    let configuration = |name: &str, resource: &str, operations: &[&str]| {
        let webhook = |version: &str| ValidatingWebhook {
            name: format!("{resource}.kserve-webhook-server.{version}.validator"),
            admission_review_versions: vec!["v1".to_owned()],
            client_config: endpoint
                .client_config(&format!("/validate-serving-kserve-io-{version}-{resource}"), ca_bundle),
            failure_policy: Some("Fail".to_owned()),
            match_policy: Some("Exact".to_owned()),
            rules: Some(vec![rule(version, &format!("{resource}s"), operations)]),
            side_effects: "None".to_owned(),
            ..ValidatingWebhook::default()
        };
        ValidatingWebhookConfiguration {
            metadata: named(name),
            webhooks: Some(VERSIONS.into_iter().map(webhook).collect()),
        }
    };
    [
        configuration(SERVICE_WEBHOOKS, "llminferenceservice", &["CREATE", "UPDATE"]),
        configuration(CONFIG_WEBHOOKS, "llminferenceserviceconfig", &["CREATE", "UPDATE", "DELETE"]),
    ]
}

/// The stanza `spec.conversion` of both CRDs.
#[must_use]
pub fn conversion(endpoint: &Endpoint, ca_bundle: Option<&str>) -> Value {
    json!({
        "strategy": "Webhook",
        "webhook": {
            "clientConfig": endpoint.client_config(CONVERT, ca_bundle),
            "conversionReviewVersions": ["v1"],
        },
    })
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

fn rule(version: &str, resource: &str, operations: &[&str]) -> RuleWithOperations {
    let list = |it: &[&str]| Some(it.iter().map(|&it| it.to_owned()).collect());
    RuleWithOperations {
        api_groups: list(&[GROUP]),
        api_versions: list(&[version]),
        operations: list(operations),
        resources: list(&[resource]),
        scope: None,
    }
}

#[cfg(test)]
mod tests;
