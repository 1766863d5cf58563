//! Fills in the templates of a merged document.
//!
//! Contract: only texts that come from configs are templates; what a service's own spec says is taken as it is.
//! Each text is filled in by itself, so no value can change the structure of the document. Templates see the
//! merged spec, not only the service's own. Secrets and storage settings are not reachable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use llmd_api::names::child_name;
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceSpec};
use schemars::schema_for;
use serde_json::{Value, json};

use super::document::{LayerIndex, Node};
use super::template::{self, Context, TemplateError};
use crate::settings::{ClusterSettings, Installation};

/// Lists of arguments: an element whose template makes nothing is left out.
const ARGUMENTS: &[&str] = &["args", "command"];

/// A template that could not be filled in.
#[derive(Debug)]
pub(super) struct RenderError {
    /// Whose text it is.
    pub layer: LayerIndex,
    /// The field, as in `spec.template.containers[0].image`.
    pub path: String,
    pub error: TemplateError,
}

/// What templates see of the service and its installation; `merged` is the spec with its templates unfilled.
pub(super) fn context(
    service: &LLMInferenceService,
    merged: &Value,
    installation: &Installation,
    settings: &ClusterSettings,
) -> Context {
    let metadata = json!(service.metadata);
    let name = metadata["name"].as_str().unwrap_or_default();
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    let pool = merged["router"]["scheduler"]["pool"]["ref"]["name"]
        .as_str()
        .map_or_else(|| child_name(name, "-inference-pool"), str::to_owned);
    let (gateway_namespace, gateway) = settings.default_gateway(installation);
    let global = json!({
        "SystemNamespace": installation.system_namespace,
        "IngressGatewayName": gateway,
        "IngressGatewayNamespace": gateway_namespace,
        "EnableTLS": settings.ingress.enable_tls,
        "ModelBasedRoutingHeaderName": settings.ingress.model_based_routing_header_name,
        "InferencePoolNamespacedName": format!("{namespace}/{pool}"),
    });
    let root = json!({
        "ObjectMeta": metadata,
        "Name": name,
        "Namespace": namespace,
        "UID": metadata["uid"],
        "Labels": metadata["labels"],
        "Annotations": metadata["annotations"],
        "Spec": merged,
        "Status": service.status,
        "GlobalConfig": global,
    });
    Context { root, fields: FIELDS.clone() }
}

/// Every field name of a service and its metadata, in lower case.
static FIELDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let mut names = BTreeSet::new();
    collect_properties(schema_for!(LLMInferenceServiceSpec).as_value(), &mut names);
    collect_properties(
        schema_for!(llmd_api::serving::status::LLMInferenceServiceStatus).as_value(),
        &mut names,
    );
    collect_properties(
        schema_for!(k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta).as_value(),
        &mut names,
    );
    names
});

fn collect_properties(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                names.extend(properties.keys().map(|it| it.to_lowercase()));
            }
            fields.values().for_each(|it| collect_properties(it, names));
        }
        Value::Array(items) => items.iter().for_each(|it| collect_properties(it, names)),
        _ => {}
    }
}

/// Fills in every template of the document that comes from a layer below `service`.
///
/// # Errors
/// The first template that cannot be filled in.
pub(super) fn render(document: &mut Node, service: LayerIndex, context: &Context) -> Result<(), RenderError> {
    Rendering { service, context }.node(document, "spec").map(drop)
}

struct Rendering<'a> {
    service: LayerIndex,
    context: &'a Context,
}

/// What became of a value.
#[derive(PartialEq, Eq)]
enum Outcome {
    Kept,
    /// A template that made the empty text.
    Emptied,
}

impl Rendering<'_> {
    fn node(&self, node: &mut Node, path: &str) -> Result<Outcome, RenderError> {
        match node {
            Node::Leaf(Value::String(text), layer)
                if *layer < self.service && template::is_template(text) =>
            {
                let rendered = template::render(text, self.context).map_err(|error| RenderError {
                    layer: *layer,
                    path: path.to_owned(),
                    error,
                })?;
                *text = rendered;
                return Ok(if text.is_empty() { Outcome::Emptied } else { Outcome::Kept });
            }
            Node::Leaf(..) => {}
            Node::Map(fields) => self.map(fields, path)?,
            Node::List(items) => self.list(items, path)?,
        }
        Ok(Outcome::Kept)
    }

    fn map(&self, fields: &mut BTreeMap<String, Node>, path: &str) -> Result<(), RenderError> {
        for (field, value) in fields {
            self.node(value, &format!("{path}.{field}"))?;
        }
        Ok(())
    }

    fn list(&self, items: &mut Vec<Node>, path: &str) -> Result<(), RenderError> {
        let drops_empty = ARGUMENTS.iter().any(|it| path.rsplit('.').next() == Some(it));
        let mut kept = Vec::with_capacity(items.len());
        for (index, mut item) in std::mem::take(items).into_iter().enumerate() {
            let outcome = self.node(&mut item, &format!("{path}[{index}]"))?;
            if !drops_empty || outcome == Outcome::Kept {
                kept.push(item);
            }
        }
        *items = kept;
        Ok(())
    }
}
