//! The endpoint picker of an InferencePool, as its cluster's metadata carries it.

use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};
use serde_json::Value as Json;

/// Where a pool's endpoint picker listens, and what happens when it does not answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Picker {
    /// The pool's.
    pub namespace: String,
    pub pool: String,
    /// The Service's.
    pub service: String,
    pub port: u16,
    pub fail_open: bool,
}

/// An object that is no InferencePool of a served version, or one without a picker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("InferencePool {namespace}/{pool} has no {field}")]
pub(super) struct NoPicker {
    namespace: String,
    pool: String,
    field: &'static str,
}

/// Where the picker listens when the pool does not say.
const DEFAULT_PORT: u16 = 9002;
/// Of the one that may be given to either version's reference.
const FAIL_OPEN: &str = "FailOpen";

impl Picker {
    /// Reads a pool of version v1 (`endpointPickerRef`) or v1alpha2 (`extensionRef`).
    pub(super) fn of_pool(pool: &Json) -> Result<Self, NoPicker> {
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text(&pool["metadata"]["namespace"]), text(&pool["metadata"]["name"]));
        let missing = |field| NoPicker { namespace: namespace.clone(), pool: name.clone(), field };
        let spec = &pool["spec"];
        let reference =
            [&spec["endpointPickerRef"], &spec["extensionRef"]].into_iter().find(|it| it.is_object());
        let reference = reference.ok_or_else(|| missing("spec.endpointPickerRef"))?;
        let service = reference["name"].as_str().ok_or_else(|| missing("spec.endpointPickerRef.name"))?;
        let port =
            [&reference["port"]["number"], &reference["portNumber"]].into_iter().find_map(Json::as_u64);
        let port = port.map_or(Some(DEFAULT_PORT), |it| u16::try_from(it).ok());
        Ok(Self {
            service: service.to_owned(),
            port: port.ok_or_else(|| missing("valid spec.endpointPickerRef.port"))?,
            fail_open: reference["failureMode"] == FAIL_OPEN,
            namespace,
            pool: name,
        })
    }

    /// Name of the cluster that reaches the picker.
    pub(super) fn cluster_name(&self) -> String {
        format!("llmd-picker/{}/{}", self.namespace, self.pool)
    }

    /// DNS name of the Service.
    pub(super) fn host(&self, cluster_domain: &str) -> String {
        format!("{}.{}.svc.{cluster_domain}", self.service, self.namespace)
    }
}

/// Pickers as metadata.
pub(super) fn to_metadata(pickers: &[Picker]) -> Struct {
    let text = |it: &str| Value { kind: Some(Kind::StringValue(it.to_owned())) };
    let values = pickers.iter().map(|it| {
        let fields = [
            ("namespace", text(&it.namespace)),
            ("pool", text(&it.pool)),
            ("service", text(&it.service)),
            ("port", Value { kind: Some(Kind::NumberValue(f64::from(it.port))) }),
            ("failOpen", Value { kind: Some(Kind::BoolValue(it.fail_open)) }),
        ];
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Value { kind: Some(Kind::StructValue(Struct { fields })) }
    });
    let list = Kind::ListValue(ListValue { values: values.collect() });
    Struct { fields: [(PICKERS.to_owned(), Value { kind: Some(list) })].into() }
}

/// What [`to_metadata`] wrote; empty for other metadata.
pub(super) fn from_metadata(metadata: &Struct) -> Vec<Picker> {
    let Some(Kind::ListValue(list)) = metadata.fields.get(PICKERS).and_then(|it| it.kind.as_ref()) else {
        return Vec::new();
    };
    list.values.iter().filter_map(read).collect()
}

const PICKERS: &str = "pickers";

fn read(value: &Value) -> Option<Picker> {
    let Kind::StructValue(entry) = value.kind.as_ref()? else { return None };
    let kind = |name: &str| entry.fields.get(name).and_then(|it| it.kind.as_ref());
    let text = |name: &str| match kind(name) {
        Some(Kind::StringValue(it)) => Some(it.clone()),
        _ => None,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was a port")]
    let port = match kind("port")? {
        Kind::NumberValue(it) => *it as u16,
        _ => return None,
    };
    let fail_open = matches!(kind("failOpen"), Some(Kind::BoolValue(true)));
    Some(Picker {
        namespace: text("namespace")?,
        pool: text("pool")?,
        service: text("service")?,
        port,
        fail_open,
    })
}
