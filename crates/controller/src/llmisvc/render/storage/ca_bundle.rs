//! Certificates of private servers: a ConfigMap that the storage initializer mounts. The installation keeps one in
//! its system namespace; every namespace with services gets a copy, which all its services share.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, ConfigMapVolumeSource, Container, PodSpec, Volume, VolumeMount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{edit, s3};
use crate::children::{Child, ChildKind};
use crate::llmisvc::facts::storage::{CA_BUNDLE_KEY, CaBundle};
use crate::llmisvc::render::workload::pod;
use crate::llmisvc::service::Service;

/// Name of the copy.
const COPY: &str = "global-ca-bundle";
const VOLUME: &str = "cabundle-cert";

/// The copy in the service's namespace. It belongs to no service.
pub(super) fn render(service: &Service) -> Option<Child> {
    let CaBundle::Found(bundle) = &service.facts.storage.ca_bundle else { return None };
    if in_system_namespace(service) {
        return None;
    }
    let copy = ConfigMap {
        metadata: ObjectMeta {
            name: Some(COPY.to_owned()),
            namespace: Some(service.namespace.clone()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(CA_BUNDLE_KEY.to_owned(), bundle.clone())])),
        ..ConfigMap::default()
    };
    Some(Child::new(ChildKind::ConfigMap, &copy).unowned())
}

/// Mounts the bundle into the init container `container` of `pod`: the installation's, or the one that the
/// container's S3 credentials name.
pub(super) fn attach(service: &Service, pod: &mut PodSpec, container: &mut Container) {
    let settings = &service.settings.storage_initializer;
    let of_credentials = edit::value(container, s3::CA_BUNDLE_CONFIG_MAP);
    if settings.ca_bundle_config_map_name.is_empty() && of_credentials.is_none() {
        return;
    }
    let shared =
        if in_system_namespace(service) { settings.ca_bundle_config_map_name.as_str() } else { COPY };
    let config_map = of_credentials.unwrap_or(shared).to_owned();
    let path = edit::value(container, s3::CA_BUNDLE)
        .and_then(folder)
        .map_or_else(|| settings.ca_bundle_volume_mount_path.clone(), str::to_owned);
    pod::set_variable_default(container, pod::variable("CA_BUNDLE_CONFIGMAP_NAME", config_map.clone()));
    pod::set_variable_default(container, pod::variable("CA_BUNDLE_VOLUME_MOUNT_POINT", path.clone()));
    let source = ConfigMapVolumeSource { name: config_map, ..ConfigMapVolumeSource::default() };
    edit::add_volume(pod, Volume { name: VOLUME.to_owned(), config_map: Some(source), ..Volume::default() });
    edit::add_mount(
        container,
        VolumeMount {
            name: VOLUME.to_owned(),
            mount_path: path,
            read_only: Some(true),
            ..VolumeMount::default()
        },
    );
}

fn in_system_namespace(service: &Service) -> bool {
    service.namespace == service.installation.system_namespace
}

/// The folder of a file's path.
fn folder(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(folder, _)| folder).filter(|it| !it.is_empty())
}
