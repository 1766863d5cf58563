//! The ScaledObject: with the user's triggers, or with one that follows the variant autoscaler through Prometheus.

use std::collections::BTreeMap;

use kube::core::ObjectMeta;
use llmd_api::autoscaling::{AuthenticationRef, KedaTrigger, ScaledObject, ScaledObjectSpec};
use llmd_api::serving::v1alpha2::{DirectKedaSpec, KedaTuning};

use super::Scaled;
use super::wva::{DESIRED_REPLICAS, VARIANT};
use crate::children::{Child, ChildKind};
use crate::settings::PrometheusSettings;

/// Scales by the user's triggers.
pub(super) fn render_triggered(scaled: &Scaled<'_>, keda: &DirectKedaSpec) -> Child {
    let name = scaled.workload.service.names().scaled_object(scaled.workload.is_prefill());
    render(scaled, scaled.metadata(name), &keda.tuning, keda.triggers.clone())
}

/// Scales to what the variant autoscaler wants.
pub(super) fn render_following(scaled: &Scaled<'_>, tuning: &KedaTuning) -> Child {
    let name = scaled.workload.service.names().scaled_object(scaled.workload.is_prefill());
    let trigger = desired_replicas(scaled, &name);
    render(scaled, scaled.wva_metadata(name), tuning, vec![trigger])
}

/// What is wrong with the settings of Prometheus, which [`render_following`] needs.
pub(super) fn check_prometheus(prometheus: &PrometheusSettings) -> Option<&'static str> {
    if prometheus.url.is_empty() {
        return Some(
            "wva.keda needs a Prometheus; set prometheus.url in key autoscaling-wva-controller-config of ConfigMap \
             inferenceservice-config",
        );
    }
    (prometheus.auth_modes.is_empty() != prometheus.trigger_auth_name.is_empty()).then_some(
        "prometheus.authModes and prometheus.triggerAuthName in key autoscaling-wva-controller-config of ConfigMap \
         inferenceservice-config belong together; set both or none",
    )
}

fn render(
    scaled: &Scaled<'_>,
    metadata: ObjectMeta,
    tuning: &KedaTuning,
    triggers: Vec<KedaTrigger>,
) -> Child {
    let KedaTuning {
        polling_interval,
        cooldown_period,
        initial_cooldown_period,
        idle_replica_count,
        fallback,
        advanced,
    } = tuning.clone();
    let spec = ScaledObjectSpec {
        scale_target_ref: scaled.target(),
        min_replica_count: Some(scaled.min_replicas()),
        max_replica_count: Some(scaled.scaling.max_replicas),
        polling_interval,
        cooldown_period,
        initial_cooldown_period,
        idle_replica_count,
        fallback,
        advanced,
        triggers,
    };
    Child::new(ChildKind::ScaledObject, &ScaledObject { metadata, spec, status: None })
}

fn desired_replicas(scaled: &Scaled<'_>, variant: &str) -> KedaTrigger {
    let prometheus = &scaled.workload.service.settings.autoscaling.prometheus;
    let namespace = &scaled.workload.service.namespace;
    let query = format!("{DESIRED_REPLICAS}{{{VARIANT}=\"{variant}\",exported_namespace=\"{namespace}\"}}");
    let mut metadata = BTreeMap::from([
        ("serverAddress".to_owned(), prometheus.url.clone()),
        ("query".to_owned(), query),
        ("threshold".to_owned(), "1".to_owned()),
        ("unsafeSsl".to_owned(), prometheus.tls_insecure_skip_verify.to_string()),
    ]);
    if !prometheus.auth_modes.is_empty() {
        metadata.insert("authModes".to_owned(), prometheus.auth_modes.clone());
    }
    KedaTrigger {
        type_: "prometheus".to_owned(),
        name: Some("wva-desired-replicas".to_owned()),
        metadata,
        authentication_ref: authentication(prometheus),
        ..KedaTrigger::default()
    }
}

fn authentication(prometheus: &PrometheusSettings) -> Option<AuthenticationRef> {
    let name = Some(prometheus.trigger_auth_name.clone()).filter(|it| !it.is_empty())?;
    Some(AuthenticationRef {
        name,
        kind: Some(prometheus.trigger_auth_kind.clone()).filter(|it| !it.is_empty()),
    })
}
