//! What is wrong with a service's storage, all of it, before anything is rendered; and what is merely odd.

use k8s_openapi::api::core::v1::PodSpec;
use llmd_api::serving::conditions;

use super::source::{self, Source, SourceError};
use super::{image_volume, initializer, lora};
use crate::llmisvc::facts::storage::{CA_BUNDLE_KEY, CaBundle, annotated_secret};
use crate::llmisvc::render::workload::Workload;
use crate::llmisvc::render::workload::pod::{self, MAIN};
use crate::llmisvc::section::SectionError;
use crate::llmisvc::service::Service;

/// Something to tell the user that keeps nothing from working: a warning event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Reason of the event.
    pub reason: &'static str,
    pub message: String,
}

/// Everything that keeps the model from being attached.
#[must_use]
pub fn check(service: &Service) -> Vec<SectionError> {
    let adapters = adapter_errors(service)
        .map(|it| SectionError::new(conditions::PRESETS_COMBINED, "CombineBaseError", it));
    let others = [model_error(service), secret_error(service), ca_bundle_error(service)];
    let others = others.into_iter().flatten().chain(container_errors(service));
    adapters.chain(others.map(|it| of_workload(service, it))).collect()
}

/// What the cluster's version lacks for the service's image volume, as a condition that advises and blocks nothing.
#[must_use]
pub fn image_volume_gap(service: &Service) -> Option<SectionError> {
    match source::of(service) {
        Ok(Some(Source::ImageVolume(_))) => image_volume::gap(service.facts.apis.server_minor),
        _ => None,
    }
}

/// What the user should know.
#[must_use]
pub fn warnings(service: &Service) -> Vec<Warning> {
    overridden(service).into_iter().chain(missing_secrets(service)).collect()
}

/// An error of the main workload, on the condition of its topology.
fn of_workload(service: &Service, message: String) -> SectionError {
    if Workload::main(service).is_multi_node() {
        SectionError::new(conditions::WORKER_WORKLOAD_READY, "ReconcileMultiNodeWorkloadError", message)
    } else {
        SectionError::new(conditions::MAIN_WORKLOAD_READY, "ReconcileSingleNodeWorkloadError", message)
    }
}

fn model_error(service: &Service) -> Option<String> {
    let error = source::of(service).err()?;
    Some(match error {
        SourceError::LocalCache(_) => error.to_string(),
        SourceError::Uri(_) | SourceError::OciDisabled => {
            format!("spec.model.uri: {error}")
        }
    })
}

fn adapter_errors(service: &Service) -> impl Iterator<Item = String> {
    let disabled = source::is_disabled(service);
    lora::adapters(service).into_iter().filter_map(move |(name, adapter)| match adapter {
        Err(error) => Some(format!("spec.model.lora.adapters[name={name}].uri: {error}")),
        Ok(_) if disabled => Some(format!(
            "spec.storageInitializer.enabled: must not be false, because the LoRA adapter {name:?} has to be \
             attached: remove the field, or remove the adapter and attach it yourself"
        )),
        Ok(_) => None,
    })
}

/// The Secret that the user names must exist; what an account lists may be stale.
fn secret_error(service: &Service) -> Option<String> {
    let name = annotated_secret(&service.annotations, &service.settings)?;
    let annotation = &service.settings.credentials.storage_secret_name_annotation;
    service.facts.storage.missing_secrets.contains(name).then(|| {
        format!(
            "metadata.annotations[{annotation}]: Secret {name:?} not found in namespace {:?}: create it, or \
             remove the annotation to use the Secrets of the service account",
            service.namespace
        )
    })
}

fn ca_bundle_error(service: &Service) -> Option<String> {
    let name = &service.settings.storage_initializer.ca_bundle_config_map_name;
    let namespace = &service.installation.system_namespace;
    let problem = match service.facts.storage.ca_bundle {
        CaBundle::None | CaBundle::Found(_) => return None,
        CaBundle::NoConfigMap => "does not exist: create it with the key",
        CaBundle::NoKey => "lacks its certificates: add the key",
    };
    Some(format!(
        "the CA bundle ConfigMap {namespace}/{name} {problem} {CA_BUNDLE_KEY:?}, or clear caBundleConfigMapName \
         under storageInitializer of ConfigMap inferenceservice-config"
    ))
}

/// Pods that have no container to attach the model to.
fn container_errors(service: &Service) -> Vec<String> {
    if !matches!(source::of(service), Ok(Some(_))) {
        return Vec::new();
    }
    pods(service)
        .filter(|(_, pod)| pod.containers.iter().all(|it| it.name != MAIN))
        .map(|(path, _)| {
            format!(
                "{path}.containers: no container {MAIN:?} to attach the model to: name the serving container \
                 {MAIN:?}, or set spec.storageInitializer.enabled to false"
            )
        })
        .collect()
}

/// Arguments and command of the user's init container, which are never used.
fn overridden(service: &Service) -> Vec<Warning> {
    if !matches!(source::of(service), Ok(Some(_))) {
        return Vec::new();
    }
    pods(service)
        .filter_map(|(path, pod)| Some((path, pod::init_container(pod, initializer::NAME)?)))
        .filter(|(_, it)| it.args.is_some() || it.command.is_some())
        .map(|(path, _)| Warning {
            reason: "StorageInitializerOverride",
            message: format!(
                "{path}.initContainers[name={}]: args and command are ignored, because the controller decides \
                 what is downloaded; environment, resources, mounts and image are used",
                initializer::NAME
            ),
        })
        .collect()
}

fn missing_secrets(service: &Service) -> Vec<Warning> {
    if annotated_secret(&service.annotations, &service.settings).is_some() {
        return Vec::new();
    }
    let missing = service.facts.storage.missing_secrets.iter();
    missing
        .map(|name| Warning {
            reason: "StorageSecretNotFound",
            message: format!(
                "a service account lists the Secret {name:?}, which does not exist in namespace {:?}: it gives \
                 the model's download no credentials",
                service.namespace
            ),
        })
        .collect()
}

/// The pods of every workload with their paths in the manifest.
fn pods(service: &Service) -> impl Iterator<Item = (String, &PodSpec)> {
    Workload::all(service)
        .flat_map(|workload| workload.pods().map(move |(position, pod)| (workload.pod_path(position), pod)))
}
