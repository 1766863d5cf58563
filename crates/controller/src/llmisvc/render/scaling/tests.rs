use super::*;
use crate::apis::Apis;
use crate::llmisvc::render::testing;
use crate::settings::PrometheusSettings;

const HPA: &str = include_str!("../../../../testdata/render/scaling/wva-hpa.yaml");
const KEDA: &str = include_str!("../../../../testdata/render/scaling/keda.yaml");
const WVA_KEDA: &str = include_str!("../../../../testdata/render/scaling/wva-keda.yaml");

fn set_prometheus(service: &mut Service, prometheus: PrometheusSettings) {
    let mut settings = (*service.settings).clone();
    settings.autoscaling.prometheus = prometheus;
    service.settings = settings.into();
}

fn prometheus() -> PrometheusSettings {
    PrometheusSettings {
        url: "https://prometheus.monitoring:9090".to_owned(),
        tls_insecure_skip_verify: true,
        auth_modes: "bearer".to_owned(),
        trigger_auth_name: "prometheus-auth".to_owned(),
        trigger_auth_kind: "ClusterTriggerAuthentication".to_owned(),
    }
}

#[test]
fn the_objects_of_each_way_to_scale() {
    testing::assert_snapshots("scaling", |it| set_prometheus(it, prometheus()), render);
}

#[test]
fn a_service_that_does_not_scale_has_no_autoscaler() {
    let mut service = testing::service(HPA);
    service.spec.workload.scaling = None;
    assert_eq!(render(&service), []);
    assert_eq!(check(&service), []);
}

#[test]
fn an_open_prometheus_needs_no_authentication() {
    let mut service = testing::service(WVA_KEDA);
    set_prometheus(&mut service, PrometheusSettings { url: "http://p".to_owned(), ..Default::default() });
    assert_eq!(check(&service), []);
    let trigger = &render(&service)[0].body["spec"]["triggers"][0];
    assert_eq!(trigger["metadata"]["unsafeSsl"], "false");
    assert!(trigger["metadata"].get("authModes").is_none());
    assert!(trigger.get("authenticationRef").is_none());
}

#[test]
fn keda_must_be_installed_for_each_workload_that_uses_it() {
    for manifest in [KEDA, WVA_KEDA] {
        let mut service = testing::service(manifest);
        service.facts.apis = Apis::new([], 36);
        let errors = check(&service);
        let facts: Vec<_> = errors.iter().map(|it| (it.condition, it.reason)).collect();
        assert_eq!(
            facts,
            [("MainWorkloadReady", "ScalingCRDNotFound"), ("PrefillWorkloadReady", "ScalingCRDNotFound")]
        );
        assert!(errors[1].message.starts_with("spec.prefill.scaling: "), "{}", errors[1]);
    }
    let mut service = testing::service(HPA);
    service.facts.apis = Apis::new([], 36);
    assert_eq!(check(&service), []);
}

#[test]
fn following_the_autoscaler_with_keda_needs_a_prometheus() {
    let mut service = testing::service(WVA_KEDA);
    let errors = check(&service);
    assert_eq!(errors.len(), 2);
    assert_eq!(errors[0].reason, "ReconcileScalingError");
    assert!(
        errors[0].message.contains("prometheus.url in key autoscaling-wva-controller-config"),
        "{}",
        errors[0]
    );
    set_prometheus(&mut service, prometheus());
    assert_eq!(check(&service), []);
    set_prometheus(&mut service, PrometheusSettings { auth_modes: String::new(), ..prometheus() });
    assert!(check(&service)[0].message.contains("belong together"));
    assert_eq!(check(&testing::service(KEDA)), []);
}
