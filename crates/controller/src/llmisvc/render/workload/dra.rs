//! Devices claimed for every pod of a service by dynamic resource allocation, asked for by annotations of the service.
//!
//! A ResourceClaimTemplate cannot be changed, so its name ends in a hash of its content: another wish is another
//! object, pods move over to it as they roll, and the old one is pruned.

use k8s_openapi::api::core::v1::{Container, PodResourceClaim, PodSpec, ResourceClaim};
use k8s_openapi::api::resource::v1::{
    CELDeviceSelector, DeviceClaim, DeviceRequest, DeviceSelector, ExactDeviceRequest, ResourceClaimSpec,
    ResourceClaimTemplate, ResourceClaimTemplateSpec,
};
use llmd_api::meta;
use sha2::{Digest, Sha256};

use super::labels::{self, Map};
use crate::children::{Child, ChildKind};
use crate::llmisvc::service::Service;

/// Name of the claim within a pod.
const CLAIM: &str = "managed-device";
/// Name of the only request within the claim.
const REQUEST: &str = "device";

/// The devices that each pod of a service claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedDevices<'a> {
    class: &'a str,
    /// More than one device; `None` for one.
    count: Option<i64>,
    selectors: Vec<&'a str>,
    container: Option<&'a str>,
}

impl<'a> ManagedDevices<'a> {
    /// Reads the annotations of a service, whose values admission has checked.
    #[must_use]
    pub fn of(annotations: &'a Map) -> Option<Self> {
        let text = |key: &str| annotations.get(key).map(|it| it.trim()).filter(|it| !it.is_empty());
        let lines = text(meta::DRA_CEL_SELECTOR).unwrap_or_default().lines().map(str::trim);
        Some(Self {
            class: text(meta::DRA_DEVICE_CLASS)?,
            count: text(meta::DRA_DEVICE_COUNT).and_then(|it| it.parse().ok()).filter(|&it| it > 1),
            selectors: lines.filter(|it| !it.is_empty()).collect(),
            container: text(meta::DRA_CONTAINER_NAME),
        })
    }

    /// The container of `pod` that gets the devices.
    #[must_use]
    pub fn container(&self, pod: &PodSpec) -> Option<usize> {
        match self.container {
            Some(name) => pod.containers.iter().position(|it| it.name == name),
            None => (!pod.containers.is_empty()).then_some(0),
        }
    }

    /// The container's name, where the user names it.
    #[must_use]
    pub const fn container_name(&self) -> Option<&'a str> {
        self.container
    }

    fn claim(&self) -> ResourceClaimSpec {
        let selector =
            |it: &&str| DeviceSelector { cel: Some(CELDeviceSelector { expression: (*it).to_owned() }) };
        let selectors: Vec<_> = self.selectors.iter().map(selector).collect();
        let exactly = ExactDeviceRequest {
            device_class_name: self.class.to_owned(),
            count: self.count,
            selectors: (!selectors.is_empty()).then_some(selectors),
            ..Default::default()
        };
        let request =
            DeviceRequest { name: REQUEST.to_owned(), exactly: Some(exactly), ..Default::default() };
        ResourceClaimSpec {
            devices: Some(DeviceClaim { requests: Some(vec![request]), ..Default::default() }),
        }
    }

    fn template_name(&self, service: &Service) -> String {
        let claim = serde_json::to_vec(&self.claim()).expect("Kubernetes objects are JSON");
        let hash: String = Sha256::digest(claim).iter().take(4).map(|it| format!("{it:02x}")).collect();
        format!("{}-{hash}", service.names().managed_dra())
    }
}

/// The template of the claims of the service's pods.
#[must_use]
pub fn render(service: &Service) -> Option<Child> {
    let devices = ManagedDevices::of(&service.annotations)?;
    let object = ResourceClaimTemplate {
        metadata: service.child_meta(devices.template_name(service), labels::identity(service)),
        spec: ResourceClaimTemplateSpec { metadata: None, spec: devices.claim() },
    };
    Some(Child::new(ChildKind::ResourceClaimTemplate, &object))
}

/// Makes the pod claim the service's devices.
pub fn claim(service: &Service, pod: &mut PodSpec) {
    let Some(devices) = ManagedDevices::of(&service.annotations) else { return };
    let Some(container) = devices.container(pod) else { return };
    let claims = pod.resource_claims.get_or_insert_default();
    claims.retain(|it| it.name != CLAIM);
    claims.push(PodResourceClaim {
        name: CLAIM.to_owned(),
        resource_claim_template_name: Some(devices.template_name(service)),
        resource_claim_name: None,
    });
    give(&mut pod.containers[container]);
}

fn give(container: &mut Container) {
    let claims = container.resources.get_or_insert_default().claims.get_or_insert_default();
    if !claims.iter().any(|it| it.name == CLAIM) {
        claims.push(ResourceClaim { name: CLAIM.to_owned(), request: None });
    }
}
