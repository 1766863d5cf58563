//! Requests to create, change or delete, judged by the rules that the reconciler uses.

use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, Operation};
use llmd_api::meta::ALLOW_CONFIG_DELETION;
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceConfig};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::review::{as_json, object};
use super::{Cluster, convert};
use crate::llmisvc::validate::advice::{Surroundings, advise};
use crate::llmisvc::validate::config::{validate_config, validate_config_deletion};
use crate::llmisvc::validate::{FieldError, Verdict, validate, validate_v1alpha1};

pub(super) fn service(request: &AdmissionRequest<DynamicObject>, cluster: &dyn Cluster) -> Verdict {
    let Some(object) = object(request).filter(|_| !is_being_deleted(request)) else {
        return Verdict::default();
    };
    let service: LLMInferenceService = match typed(object) {
        Ok(service) => service,
        Err(error) => return refused(error),
    };
    let rules = if request.kind.version == "v1alpha1" { validate_v1alpha1 } else { validate };
    let mut verdict = rules(&service, old(request).as_ref());
    if verdict.is_valid() {
        verdict.warnings.extend(advise(&service, &surroundings(cluster)));
    }
    verdict
}

pub(super) fn config(request: &AdmissionRequest<DynamicObject>, cluster: &dyn Cluster) -> Verdict {
    let installation = cluster.installation();
    if request.operation == Operation::Delete {
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let protect = cluster.protects_presets() && !allows_deletion(request);
        return validate_config_deletion(namespace, &request.name, &installation, protect);
    }
    let Some(object) = object(request).filter(|_| !is_being_deleted(request)) else {
        return Verdict::default();
    };
    match typed::<LLMInferenceServiceConfig>(object) {
        Ok(config) => validate_config(&config, old(request).as_ref(), &installation, &cluster.settings()),
        Err(error) => refused(error),
    }
}

fn surroundings(cluster: &dyn Cluster) -> Surroundings<'_> {
    Surroundings {
        configs: cluster,
        routing: cluster,
        installation: cluster.installation(),
        settings: cluster.settings(),
        apis: cluster.apis(),
    }
}

/// The last updates of an object that is being deleted only remove finalizers, and must succeed.
fn is_being_deleted(request: &AdmissionRequest<DynamicObject>) -> bool {
    request.object.as_ref().is_some_and(|it| it.metadata.deletion_timestamp.is_some())
}

/// Whether the annotation of the stored config says that it may go.
fn allows_deletion(request: &AdmissionRequest<DynamicObject>) -> bool {
    let annotations = request.old_object.as_ref().and_then(|it| it.metadata.annotations.as_ref());
    annotations.and_then(|it| it.get(ALLOW_CONFIG_DELETION)).is_some_and(|it| it.eq_ignore_ascii_case("true"))
}

/// The stored object of an update. One that an earlier version of the rules let in and that cannot be read forbids
/// nothing.
fn old<K: DeserializeOwned>(request: &AdmissionRequest<DynamicObject>) -> Option<K> {
    typed(as_json(request.old_object.as_ref()?)).ok()
}

fn refused(error: FieldError) -> Verdict {
    Verdict { errors: vec![error], warnings: Vec::new() }
}

/// Reads an object of any served version as one of the version that the controller works with.
fn typed<K: DeserializeOwned>(object: Value) -> Result<K, FieldError> {
    let stored = convert::to_storage_version(object)
        .map_err(|it| FieldError::invalid("apiVersion", "object", it.to_string()))?;
    serde_path_to_error::deserialize(stored).map_err(|it| {
        let path = it.path().to_string();
        FieldError::invalid(path, "value", it.into_inner().to_string())
    })
}
