//! OpenTelemetry environment of a container.

use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector};

use crate::llmisvc::render::workload::pod::{set_variable_default, variable};
use crate::llmisvc::service::Service;

/// Adds the OTLP settings of `spec.tracing` as environment variables of `container`, which reports as
/// `otel_service`. Variables that the container already has stay as they are. Does nothing without an endpoint.
pub fn export_env(service: &Service, otel_service: &str, container: &mut Container) {
    let Some(tracing) = &service.spec.tracing else { return };
    let Some(endpoint) = tracing.exporter_endpoint.as_deref().filter(|it| !it.is_empty()) else { return };
    let attributes = format!(
        "k8s.namespace.name={},k8s.node.name=$({NODE_NAME}),k8s.pod.name=$({POD_NAME}),llmisvc.name={}",
        service.namespace, service.name
    );
    let given = [
        ("OTEL_TRACES_EXPORTER", &tracing.exporter),
        ("OTEL_TRACES_SAMPLER", &tracing.sampler),
        ("OTEL_TRACES_SAMPLER_ARG", &tracing.sampler_arg),
    ];
    let mut variables =
        vec![variable("OTEL_SERVICE_NAME", otel_service), variable("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)];
    variables.extend(given.iter().filter_map(|(name, value)| Some(variable(name, value.as_deref()?))));
    variables.push(from_pod(NODE_NAME, "spec.nodeName"));
    variables.push(from_pod(POD_NAME, "metadata.name"));
    variables.push(variable("OTEL_RESOURCE_ATTRIBUTES", attributes));
    variables.into_iter().for_each(|it| set_variable_default(container, it));
}

const NODE_NAME: &str = "OTEL_RESOURCE_ATTRIBUTES_NODE_NAME";
const POD_NAME: &str = "OTEL_RESOURCE_ATTRIBUTES_POD_NAME";

fn from_pod(name: &str, field_path: &str) -> EnvVar {
    let field_ref =
        ObjectFieldSelector { api_version: Some("v1".to_owned()), field_path: field_path.to_owned() };
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource { field_ref: Some(field_ref), ..Default::default() }),
    }
}
