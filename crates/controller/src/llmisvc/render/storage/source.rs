//! How a service's model reaches its pods: the URI, the local model cache and the installation's settings together.

use super::local_cache;
use super::uri::{ClaimPath, ModelUri, UriError};
use crate::llmisvc::service::Service;
use crate::settings::StorageInitializerSettings;

/// Value of `ociModelMode`: images run beside the server.
const MODELCAR: &str = "modelcar";
/// Value of `ociModelMode`: images are mounted by the kubelet.
const NATIVE: &str = "native";

/// What is attached for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// Downloaded by the storage initializer, by URI.
    Download(String),
    Claim(ClaimPath),
    /// An image that runs beside the server, by reference.
    Modelcar(String),
    /// An image that the kubelet mounts, by reference.
    ImageVolume(String),
}

/// Why nothing can be attached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SourceError {
    #[error(transparent)]
    Uri(#[from] UriError),
    #[error(
        "OCI modelcars is not enabled: use oci+native://, or set ociModelMode to \"modelcar\" or \"native\" under \
         storageInitializer of ConfigMap inferenceservice-config"
    )]
    OciDisabled,
    #[error(
        "annotation {0} not found although the label {label} says that the model is cached: remove the label, or \
         annotate the service with serving.kserve.io/disable-localmodel",
        label = llmd_api::meta::LOCAL_MODEL
    )]
    LocalCache(&'static str),
}

/// Whether the user turned off every attachment of models.
pub(super) fn is_disabled(service: &Service) -> bool {
    service.spec.storage_initializer.as_ref().and_then(|it| it.enabled) == Some(false)
}

/// What to attach; `None` when the service has no model or wants nothing attached.
///
/// # Errors
/// When the URI cannot be used in this installation.
pub(super) fn of(service: &Service) -> Result<Option<Source>, SourceError> {
    let Some(model) = &service.spec.model else { return Ok(None) };
    if is_disabled(service) {
        return Ok(None);
    }
    if let Some(cached) = local_cache::lookup(service, &model.uri) {
        return cached.map(|it| Some(Source::Claim(it))).map_err(SourceError::LocalCache);
    }
    let source = match model.uri.parse()? {
        ModelUri::Download(it) => Source::Download(it.uri),
        ModelUri::Claim(it) => Source::Claim(it),
        ModelUri::Image { reference, native: true } => Source::ImageVolume(reference),
        ModelUri::Image { reference, native: false } => {
            image(&service.settings.storage_initializer, reference)?
        }
    };
    Ok(Some(source))
}

/// What the installation makes of `oci://`.
fn image(settings: &StorageInitializerSettings, reference: String) -> Result<Source, SourceError> {
    match settings.oci_model_mode.as_str() {
        NATIVE => Ok(Source::ImageVolume(reference)),
        MODELCAR => Ok(Source::Modelcar(reference)),
        _ if settings.enable_modelcar || settings.enable_oci_model_support => Ok(Source::Modelcar(reference)),
        _ => Err(SourceError::OciDisabled),
    }
}
