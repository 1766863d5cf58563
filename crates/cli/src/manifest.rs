//! A manifest as `kubectl apply -f` takes it: a service, and beside it the configs and settings it refers to.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use llmd_api::serving::conversion;
use llmd_api::serving::v1alpha2::{LLMInferenceService, WorkloadSpec};
use llmd_controller::llmisvc::combine::CombineError;
use llmd_controller::offline::{self, Plan, PlanError};
use llmd_controller::presets::{ConfigSet, PresetError};
use llmd_controller::settings::{ClusterSettings, Installation, SettingsError};
use serde_json::Value;

use crate::args::ManifestArgs;

/// The version that the controller works with.
const VERSION: &str = "serving.kserve.io/v1alpha2";

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The file is not YAML.
    #[error("{} is not YAML", path.display())]
    Yaml {
        path: PathBuf,
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    /// No document is a service, or several are.
    #[error("{} holds {found} LLMInferenceServices: give a file with exactly one", path.display())]
    NotOne { path: PathBuf, found: usize },
    /// The service is written in a version that cannot be converted.
    #[error(transparent)]
    Conversion(#[from] conversion::ConversionError),
    /// A field of the service has the wrong type.
    #[error("the LLMInferenceService is not valid")]
    Service(#[source] Box<serde_path_to_error::Error<serde_json::Error>>),
    /// The accompanying `inferenceservice-config` holds something else than texts.
    #[error("the data of the ConfigMap is not a list of texts")]
    ConfigMap(#[source] serde_json::Error),
    /// A preset folder or an accompanying config.
    #[error(transparent)]
    Preset(#[from] PresetError),
    /// An accompanying `inferenceservice-config`.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The service has no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A preset is missing that this program does not ship.
    #[error("{0}: add its file to a folder and pass --preset FOLDER")]
    NoConfig(CombineError),
}

/// What was read: the service, and what else its plan depends on.
#[derive(Debug)]
pub struct Manifest {
    pub service: LLMInferenceService,
    configs: ConfigSet,
    settings: ClusterSettings,
}

/// Reads the manifest and the presets that `args` name; `-` is standard input.
///
/// # Errors
/// See [`Error`].
pub fn read(args: &ManifestArgs) -> Result<Manifest, Error> {
    let path = &args.file;
    let text = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    }
    .map_err(|source| Error::Read { path: path.clone(), source })?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
        .map_err(|source| Error::Yaml { path: path.clone(), source: Box::new(source) })?;
    let of_kind = |kind: &'static str| documents.iter().filter(move |it| it["kind"] == kind);
    let services: Vec<&Value> = of_kind("LLMInferenceService").collect();
    let [service] = services[..] else {
        return Err(Error::NotOne { path: path.clone(), found: services.len() });
    };
    let mut service = parse(service)?;
    let namespace = service.metadata.namespace.get_or_insert_with(|| args.namespace.clone());
    let system_namespace = Installation::default().system_namespace;
    let mut configs = ConfigSet::shipped(&system_namespace);
    for folder in &args.preset {
        configs.insert_folder(folder, &system_namespace)?;
    }
    for config in of_kind("LLMInferenceServiceConfig") {
        configs.insert(&path.display().to_string(), &config.to_string(), namespace)?;
    }
    let settings =
        of_kind("ConfigMap").find(|it| it["metadata"]["name"] == llmd_controller::settings::CONFIG_MAP);
    let data = settings
        .map(|it| serde_json::from_value(it["data"].clone()))
        .transpose()
        .map_err(Error::ConfigMap)?;
    Ok(Manifest { service, configs, settings: ClusterSettings::parse(&data.unwrap_or_default())? })
}

fn parse(service: &Value) -> Result<LLMInferenceService, Error> {
    let service = conversion::convert(service.clone(), VERSION)?;
    let wrong = |error| Error::Service(Box::new(error));
    // The fields of the main workload lie flat in the spec, where errors lose their path: they are read alone first.
    serde_path_to_error::deserialize::<_, WorkloadSpec>(&service["spec"]).map_err(wrong)?;
    serde_path_to_error::deserialize(service).map_err(wrong)
}

impl Manifest {
    /// What the controller would make of the service.
    ///
    /// # Errors
    /// When it would refuse it.
    pub fn plan(self) -> Result<Plan, Error> {
        let plan = offline::plan(&self.service, &self.configs, Installation::default(), self.settings);
        plan.map_err(|error| match error {
            PlanError::Combine(missing @ CombineError::ConfigNotFound { .. }) => Error::NoConfig(missing),
            other => Error::Plan(other),
        })
    }
}
