//! Presets, baseRefs and the service's own spec become the effective spec. Pure: configs come from a
//! [`ConfigSource`], which is a cache in the controller and a folder on the command line.
//!
//! First the service and its baseRefs are merged to see what is asked for; that chooses the [`presets`]. Then
//! presets, baseRefs and service are merged in this order ([`strategic_merge`]), the templates of the configs are
//! filled in ([`rendering`]), and what only the controller can know is added ([`completion`]).

mod completion;
pub(crate) mod document;
pub mod explain;
pub(crate) mod place;
pub mod presets;
mod rendering;
pub(crate) mod strategic_merge;
mod template;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use llmd_api::serving::status::{AppliedConfig, ConfigSource as AppliedAs};
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceConfig, LLMInferenceServiceSpec};
use serde_json::Value;

use self::document::Node;
use self::place::Place;
use crate::names::Names;
use crate::settings::{ClusterSettings, Installation};

/// Where configs are looked up.
pub trait ConfigSource {
    /// The config of this namespace and name.
    fn get(&self, namespace: &str, name: &str) -> Option<Arc<LLMInferenceServiceConfig>>;
}

/// The outcome of combining.
#[derive(Debug, Clone)]
pub struct Effective {
    /// Merged and rendered.
    pub spec: LLMInferenceServiceSpec,
    /// The configs that went in, lowest first.
    pub applied: Vec<AppliedConfig>,
    /// Preset names to keep in `status.annotations`.
    pub pins: BTreeMap<String, String>,
    /// What each layer gives, lowest first; the last one is the service itself.
    pub layers: Vec<Layer>,
    /// The merged spec before the controller completed it, with the layer of every leaf.
    merged: Node,
}

/// One layer of the merge.
#[derive(Debug, Clone)]
pub struct Layer {
    /// `None` for the service's own spec.
    pub config: Option<AppliedConfig>,
    /// The fields that this layer gives, templates unfilled.
    pub given: Value,
}

/// Why a service's configs cannot be combined.
#[derive(Debug, thiserror::Error)]
pub enum CombineError {
    /// A preset or baseRef does not exist in the service's or the system namespace.
    #[error(
        "LLMInferenceServiceConfig {name:?} not found in namespaces [{}]{}", namespaces.join(" "),
        presets::way_out(name).map(|it| format!(": {it}")).unwrap_or_default()
    )]
    ConfigNotFound { name: String, namespaces: Vec<String> },
    /// A template in a config cannot be evaluated.
    #[error("config {config}: field {path}: {message}")]
    Template { config: String, path: String, message: String },
    /// The merged document is no valid spec.
    #[error("field {path}: {message}")]
    Merge { path: String, message: String },
}

impl CombineError {
    /// Reason of the condition `PresetsCombined`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ConfigNotFound { .. } => "ConfigNotFound",
            Self::Template { .. } | Self::Merge { .. } => "CombineBaseError",
        }
    }
}

/// Combines the configs that `service` uses.
///
/// # Errors
/// When a config is missing, a template cannot be evaluated, or the result is no valid spec.
pub fn combine(
    service: &LLMInferenceService,
    configs: &dyn ConfigSource,
    installation: &Installation,
    settings: &ClusterSettings,
) -> Result<Effective, CombineError> {
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let lookup = Lookup { configs, namespaces: [namespace, &installation.system_namespace] };
    let bases = (service.spec.base_refs.iter())
        .map(|it| lookup.find(&it.name, AppliedAs::UserRef))
        .collect::<Result<Vec<_>, _>>()?;

    let mut own = service.clone();
    let probe = probe(&own.spec, &bases)?;
    take_model_name(&mut own, &probe);

    let annotations = service.status.as_ref().map(|it| &it.annotations);
    let pins = presets::pins(annotations, installation);
    let mut found = (presets::choose(&probe).into_iter())
        .map(|preset| lookup.find(&presets::name(preset, &pins, installation), AppliedAs::Preset))
        .collect::<Result<Vec<_>, _>>()?;
    found.extend(bases);

    let applied: Vec<_> = found.iter().map(|(it, _)| it.clone()).collect();
    let mut layers: Vec<_> = (found.into_iter())
        .map(|(applied, config)| Layer { config: Some(applied), given: given(&config.spec.0) })
        .collect();
    layers.push(Layer { config: None, given: given(&own.spec) });

    let mut merged = merge(&layers);
    let context = rendering::context(&own, &merged.to_value(), installation, settings);
    rendering::render(&mut merged, applied.len(), &context).map_err(|it| CombineError::Template {
        config: applied.get(it.layer).map(|it| format!("{}/{}", it.namespace, it.name)).unwrap_or_default(),
        path: it.path,
        message: it.error.to_string(),
    })?;

    let mut spec = typed(merged.to_value())?;
    let name = service.metadata.name.as_deref().unwrap_or_default();
    completion::complete(&mut spec, name, Names::new(namespace, name));
    Ok(Effective { spec, applied, pins, layers, merged })
}

/// A config and how it is reported.
type Found = (AppliedConfig, Arc<LLMInferenceServiceConfig>);

/// Looks in the service's namespace first, then in the system namespace.
struct Lookup<'a> {
    configs: &'a dyn ConfigSource,
    namespaces: [&'a str; 2],
}

impl Lookup<'_> {
    fn find(&self, name: &str, source: AppliedAs) -> Result<Found, CombineError> {
        for namespace in self.namespaces {
            if let Some(config) = self.configs.get(namespace, name) {
                let applied =
                    AppliedConfig { name: name.to_owned(), namespace: namespace.to_owned(), source };
                return Ok((applied, config));
            }
        }
        let namespaces = self.namespaces.map(str::to_owned).to_vec();
        Err(CombineError::ConfigNotFound { name: name.to_owned(), namespaces })
    }
}

/// What the service and its baseRefs ask for; here the baseRefs win, as only their presence counts.
fn probe(own: &LLMInferenceServiceSpec, bases: &[Found]) -> Result<LLMInferenceServiceSpec, CombineError> {
    let specs = std::iter::once(own).chain(bases.iter().map(|(_, it)| &it.spec.0));
    let layers: Vec<_> = specs.map(|it| Layer { config: None, given: given(it) }).collect();
    typed(merge(&layers).to_value())
}

/// A model name of a baseRef replaces the service's, which may be a mere default. Without any, the model is named
/// like the service.
fn take_model_name(own: &mut LLMInferenceService, probe: &LLMInferenceServiceSpec) {
    let given = probe.model.as_ref().and_then(|it| it.name.clone()).filter(|it| !it.is_empty());
    if let Some(name) = given.or_else(|| own.metadata.name.clone()) {
        own.spec.model.get_or_insert_default().name = Some(name);
    }
}

fn given(spec: &LLMInferenceServiceSpec) -> Value {
    let value = serde_json::to_value(spec).expect("a spec has text keys only, so it is always JSON");
    strategic_merge::given(value, Place::SPEC).unwrap_or_default()
}

fn merge(layers: &[Layer]) -> Node {
    let mut merged = Node::Map(BTreeMap::new());
    for (index, layer) in layers.iter().enumerate() {
        strategic_merge::merge(&mut merged, Node::new(layer.given.clone(), index), Place::SPEC);
    }
    merged
}

fn typed(mut merged: Value) -> Result<LLMInferenceServiceSpec, CombineError> {
    if let Some(Value::Object(model)) = merged.get_mut("model") {
        model.entry("uri").or_insert_with(|| Value::String(String::new()));
    }
    serde_path_to_error::deserialize(merged).map_err(|error| CombineError::Merge {
        path: format!("spec.{}", error.path()),
        message: error.inner().to_string(),
    })
}
