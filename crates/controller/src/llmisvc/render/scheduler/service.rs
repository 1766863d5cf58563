//! The Service that gateways call the endpoint picker through, and clients its own proxy.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{self, ContainerPort, PodSpec, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use llmd_api::meta::component;
use llmd_api::serving::v1alpha2::SchedulerSpec;

use crate::children::{Child, ChildKind};
use crate::llmisvc::picker::{MAIN, command_line};
use crate::llmisvc::service::Service;

/// Names of the container ports that are published: picking, its health, the proxy, metrics, KV events.
const PUBLISHED: [&str; 5] = ["grpc", "grpc-health", PROXY, "metrics", "zmq"];

pub(super) fn render(service: &Service, scheduler: &SchedulerSpec, template: &PodSpec) -> Child {
    let labels = service.child_labels(component::ROUTER_SCHEDULER);
    let object = v1::Service {
        metadata: service.child_meta(name(service, scheduler), labels.clone()),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(labels),
            ports: Some(ports(template)),
            ..ServiceSpec::default()
        }),
        status: None,
    };
    Child::new(ChildKind::Service, &object)
}

/// The name that the pool gives its endpoint picker, or the default one.
pub(super) fn name(service: &Service, scheduler: &SchedulerSpec) -> String {
    let picker = scheduler.pool.as_ref().and_then(|it| it.spec.as_ref()?.endpoint_picker_ref.as_ref());
    picker
        .map(|it| it.name.clone())
        .filter(|it| !it.is_empty())
        .unwrap_or_else(|| service.names().scheduler_service())
}

/// Name of the container port that gateways ask.
const PICKING: &str = "grpc";
/// What Gateway API calls HTTP/2 without TLS: gateways expect TLS of endpoint pickers unless they are told.
const CLEAR_TEXT: &str = "kubernetes.io/h2c";
/// Name of the container port of the endpoint picker's own proxy.
const PROXY: &str = "http";

/// Whether the endpoint picker answers requests itself, by a proxy that speaks plain HTTP.
pub(super) fn has_proxy(template: &PodSpec) -> bool {
    let mut ports = template.containers.iter().flat_map(|it| it.ports.iter().flatten());
    ports.any(|it| it.name.as_deref() == Some(PROXY))
}

/// The published ports of all containers, sorted by name.
fn ports(template: &PodSpec) -> Vec<ServicePort> {
    let declared = template.containers.iter().flat_map(|it| it.ports.iter().flatten());
    let picker = template.containers.iter().find(|it| it.name == MAIN);
    let is_clear_text = picker.is_some_and(|it| command_line::is_off(it, "secure-serving"));
    let published: BTreeMap<&str, &ContainerPort> = declared
        .filter_map(|port| Some((port.name.as_deref()?, port)))
        .filter(|(name, _)| PUBLISHED.contains(name))
        .collect();
    published
        .into_iter()
        .map(|(name, port)| ServicePort {
            name: Some(name.to_owned()),
            port: port.container_port,
            target_port: Some(IntOrString::String(name.to_owned())),
            app_protocol: (name == PICKING && is_clear_text).then(|| CLEAR_TEXT.to_owned()),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
            ..ServicePort::default()
        })
        .collect()
}
