//! The Service in front of the pods that answer whole requests.

use k8s_openapi::api::core::v1::{Service as KubeService, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use llmd_api::meta::{self, component};

use super::labels::{self, Map};
use super::{Workload, template};
use crate::children::{Child, ChildKind};
use crate::llmisvc::service::Service;

/// Port of the Service and of the pods, fixed by contract with routes and gateways.
pub const PORT: i32 = 8000;

/// The workload Service.
#[must_use]
pub fn render(service: &Service) -> Child {
    let scheme = service.settings.workload_scheme();
    let mut object_labels = service.spec.workload.labels.clone();
    object_labels.extend(service.child_labels(component::WORKLOAD));
    let mut metadata = service.child_meta(service.names().workload_service(), object_labels);
    metadata.annotations = template::non_empty(labels::user_annotations(&service.spec.workload.annotations));
    let object = KubeService {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(selector(service)),
            ports: Some(vec![ServicePort {
                name: Some(scheme.to_owned()),
                app_protocol: Some(scheme.to_owned()),
                protocol: Some("TCP".to_owned()),
                port: PORT,
                target_port: Some(IntOrString::Int(PORT)),
                node_port: None,
            }]),
            ..Default::default()
        }),
        status: None,
    };
    Child::new(ChildKind::Service, &object)
}

/// Every serving pod; in a disaggregated service only those of the main workload, because a prefill server must not
/// get whole requests.
fn selector(service: &Service) -> Map {
    let mut selector = labels::identity(service);
    selector.insert(meta::KSERVE_COMPONENT.to_owned(), meta::WORKLOAD.to_owned());
    if service.is_disaggregated() {
        selector.extend(main_only(&Workload::main(service)));
    }
    selector
}

/// The label that the serving pods of the main workload share and prefill pods do not. The component is preferred:
/// unlike the role it stays when prefill is added, so the Service keeps its endpoints meanwhile.
fn main_only(main: &Workload<'_>) -> Option<(String, String)> {
    let serving = main.positions().iter().filter(|&&it| labels::is_serving(main, it));
    let pods: Vec<_> = serving.map(|&it| labels::of_pods(main, it)).collect();
    let of_first = |key: &str| Some((key.to_owned(), pods.first()?.get(key)?.clone()));
    let shared =
        |key: &str| of_first(key).filter(|(_, value)| pods.iter().all(|it| it.get(key) == Some(value)));
    shared(meta::COMPONENT).or_else(|| shared(meta::ROLE)).or_else(|| of_first(meta::COMPONENT))
}
