use super::*;
use crate::apis::Apis;
use crate::llmisvc::render::testing;

const SERVICE: &str = include_str!("../../../../testdata/render/monitoring/service.yaml");

fn monitored() -> Service {
    let mut service = testing::service(SERVICE);
    want_monitoring(&mut service);
    service
}

fn want_monitoring(service: &mut Service) {
    let mut installation = (*service.installation).clone();
    installation.monitoring = true;
    service.installation = installation.into();
}

fn kinds(service: &Service) -> Vec<ChildKind> {
    render(service).into_iter().map(|it| it.kind).collect()
}

#[test]
fn the_monitors_of_a_service() {
    testing::assert_snapshots("monitoring", want_monitoring, render);
}

#[test]
fn monitors_are_opt_in() {
    assert_eq!(render(&testing::service(SERVICE)), []);
}

#[test]
fn only_monitors_that_the_cluster_knows_are_made() {
    let mut service = monitored();
    service.facts.apis = Apis::new([ChildKind::PodMonitor], 36);
    assert_eq!(kinds(&service), [ChildKind::PodMonitor]);
    service.facts.apis = Apis::new([], 36);
    assert_eq!(kinds(&service), []);
}

#[test]
fn without_an_endpoint_picker_only_the_model_servers_are_read() {
    let mut service = monitored();
    service.spec.router = None;
    assert_eq!(kinds(&service), [ChildKind::PodMonitor]);
}

#[test]
fn an_endpoint_picker_that_reviews_nobody_is_shown_no_token() {
    let mut service = monitored();
    let scheduler = service.spec.router.as_mut().unwrap().scheduler.as_mut().unwrap();
    let main = &mut scheduler.template.as_mut().unwrap().containers[0];
    main.args = Some(vec!["--metrics-endpoint-auth=false".to_owned()]);
    assert_eq!(kinds(&service), [ChildKind::PodMonitor, ChildKind::ServiceMonitor]);
    assert!(render(&service)[1].body["spec"]["endpoints"][0].get("authorization").is_none());
}

#[test]
fn encrypted_model_servers_are_verified_by_the_services_certificate() {
    let mut service = monitored();
    let mut settings = (*service.settings).clone();
    settings.ingress.enable_tls = true;
    service.settings = settings.into();
    let endpoint = &render(&service)[0].body["spec"]["podMetricsEndpoints"][0];
    assert_eq!(endpoint["scheme"], "https");
    assert_eq!(
        endpoint["tlsConfig"],
        json!({
            "ca": { "secret": { "name": "qwen-kserve-self-signed-certs", "key": "ca.crt" } },
            "serverName": "qwen-kserve-workload-svc.team.svc",
        })
    );
}
