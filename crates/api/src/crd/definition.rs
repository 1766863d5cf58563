//! The CRD objects: names, versions, columns, subresources, conversion, and the schema of each version.

use kube::Resource;
use schemars::JsonSchema;
use serde_json::{Value, json};

use super::{Variant, edits, schema, slim};
use crate::inference::model_rewrite::{
    InferenceModelRewrite, InferenceModelRewriteSpec, InferenceModelRewriteStatus,
};
use crate::inference::objective::{InferenceObjective, InferenceObjectiveSpec, InferenceObjectiveStatus};
use crate::inference::pool_v1::{InferencePool, InferencePoolSpec, InferencePoolStatus};
use crate::serving::status::{LLMInferenceServiceConfigStatus, LLMInferenceServiceStatus};
use crate::serving::{v1alpha1, v1alpha2};

/// One CustomResourceDefinition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// `<plural>.<group>`, the object's name.
    pub name: String,
    /// The whole object.
    pub object: Value,
}

/// The service and its config, in one of the variants.
#[must_use]
pub fn serving(variant: Variant) -> Vec<Definition> {
    vec![service(variant), config(variant)]
}

/// The pool and what tunes its endpoint picker. They are small: there is one form of them.
#[must_use]
pub fn inference() -> Vec<Definition> {
    vec![pool(), objective(), model_rewrite()]
}

fn service(variant: Variant) -> Definition {
    let columns = json!([
        column("URL", "string", ".status.url"),
        column("Ready", "string", READY_STATUS),
        column("Reason", "string", READY_REASON),
        column("Mode", "string", ".status.mode"),
        column("Replicas", "integer", ".status.replicas"),
        age(),
        { "name": "URLs", "type": "string", "jsonPath": ".status.addresses[*].url", "priority": 1 },
    ]);
    let scale = json!({
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    });
    let version = |name, spec, storage| {
        let status = schema::of::<LLMInferenceServiceStatus>();
        let mut version = version(name, &serving_spec(spec, variant), &status, &columns, storage);
        version["subresources"]["scale"] = scale.clone();
        version
    };
    let versions = [
        version("v1alpha1", schema::of::<v1alpha1::LLMInferenceServiceSpec>(), false),
        version("v1alpha2", schema::of::<v1alpha2::LLMInferenceServiceSpec>(), true),
    ];
    definition::<v1alpha2::LLMInferenceService>(&versions, &["llmisvc"], Some(conversion()))
}

fn config(variant: Variant) -> Definition {
    let columns =
        json!([column("Ready", "string", READY_STATUS), column("Reason", "string", READY_REASON), age()]);
    let version = |name, spec, storage| {
        let mut spec = serving_spec(spec, variant);
        edits::template_text(&mut spec);
        version(name, &spec, &schema::of::<LLMInferenceServiceConfigStatus>(), &columns, storage)
    };
    let versions = [
        version("v1alpha1", schema::of::<v1alpha1::LLMInferenceServiceConfigSpec>(), false),
        version("v1alpha2", schema::of::<v1alpha2::LLMInferenceServiceConfigSpec>(), true),
    ];
    definition::<v1alpha2::LLMInferenceServiceConfig>(&versions, &[], Some(conversion()))
}

fn serving_spec(mut spec: Value, variant: Variant) -> Value {
    edits::partial_templates(&mut spec);
    if variant == Variant::Slim {
        slim::open(&mut spec);
    }
    spec
}

fn pool() -> Definition {
    let mut version = only_version::<InferencePoolSpec, InferencePoolStatus>("v1", &json!([]));
    version["schema"]["openAPIV3Schema"]["required"] = json!(["spec"]);
    let mut pool = definition::<InferencePool>(&[version], &["infpool"], None);
    pool.object["metadata"]["annotations"] = json!({ "api-approved.kubernetes.io": POOL_APPROVAL });
    pool
}

fn objective() -> Definition {
    let columns = json!([
        column("Inference Pool", "string", ".spec.poolRef.name"),
        column("Priority", "string", ".spec.priority"),
        age(),
    ]);
    let version = only_version::<InferenceObjectiveSpec, InferenceObjectiveStatus>("v1alpha2", &columns);
    definition::<InferenceObjective>(&[version], &[], None)
}

fn model_rewrite() -> Definition {
    let columns = json!([column("Inference Pool", "string", ".spec.poolRef.name"), age()]);
    let version =
        only_version::<InferenceModelRewriteSpec, InferenceModelRewriteStatus>("v1alpha2", &columns);
    definition::<InferenceModelRewrite>(&[version], &[], None)
}

const READY_STATUS: &str = ".status.conditions[?(@.type=='Ready')].status";
const READY_REASON: &str = ".status.conditions[?(@.type=='Ready')].reason";
/// Groups under `k8s.io` are installed only with the address of their review.
const POOL_APPROVAL: &str = "https://github.com/kubernetes-sigs/gateway-api-inference-extension/pull/1173";

fn column(name: &str, type_: &str, path: &str) -> Value {
    json!({ "name": name, "type": type_, "jsonPath": path })
}

fn age() -> Value {
    column("Age", "date", ".metadata.creationTimestamp")
}

fn only_version<Spec: JsonSchema, Status: JsonSchema>(name: &str, columns: &Value) -> Value {
    version(name, &schema::of::<Spec>(), &schema::of::<Status>(), columns, true)
}

fn version(name: &str, spec: &Value, status: &Value, columns: &Value, storage: bool) -> Value {
    json!({
        "name": name,
        "served": true,
        "storage": storage,
        "additionalPrinterColumns": columns,
        "subresources": { "status": {} },
        "schema": { "openAPIV3Schema": {
            "type": "object",
            "properties": {
                "apiVersion": { "type": "string" },
                "kind": { "type": "string" },
                "metadata": { "type": "object" },
                "spec": spec,
                "status": status,
            },
        } },
    })
}

/// The controller's webhook; chart values and the controller fill in namespace and certificate.
fn conversion() -> Value {
    json!({
        "strategy": "Webhook",
        "webhook": {
            "conversionReviewVersions": ["v1"],
            "clientConfig": { "service": {
                "name": "llmisvc-webhook-server-service",
                "namespace": "kserve",
                "path": "/convert",
            } },
        },
    })
}

fn definition<K: Resource<DynamicType = ()>>(
    versions: &[Value],
    short_names: &[&str],
    conversion: Option<Value>,
) -> Definition {
    let (group, kind, plural) = (K::group(&()), K::kind(&()), K::plural(&()));
    let mut spec = json!({
        "group": group,
        "scope": "Namespaced",
        "names": {
            "kind": kind,
            "listKind": format!("{kind}List"),
            "plural": plural,
            "singular": kind.to_lowercase(),
            "shortNames": short_names,
        },
        "versions": versions,
    });
    if let Some(conversion) = conversion {
        spec["conversion"] = conversion;
    }
    let name = format!("{plural}.{group}");
    let object = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": name },
        "spec": spec,
    });
    Definition { name, object }
}
