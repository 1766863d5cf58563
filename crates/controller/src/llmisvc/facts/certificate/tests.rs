use std::collections::BTreeMap;

use jiff::SignedDuration;
use llmd_api::serving::v1alpha2::LLMInferenceService;
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;

use super::*;
use crate::live::LiveChild;
use crate::llmisvc::facts::Facts;
use crate::llmisvc::render;
use crate::settings::Installation;

fn at(days: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_hours(24 * days)
}

fn hosts(hosts: &[&str]) -> SubjectNames {
    let mut names = SubjectNames::default();
    hosts.iter().for_each(|it| names.insert(it));
    names
}

/// A certificate for `a` that was issued on day 0.
fn issued(authority: &Authority) -> LiveCertificate {
    as_live(authority.issue("llmd", &hosts(&["a", "10.0.0.1"]), at(0)).unwrap())
}

fn verdict(live: &LiveCertificate, needed: &[&str], authority: &Authority, day: i64) -> Decision {
    judge(Some(live), &hosts(needed), authority, &[EXPIRATION, "other/expiration"], at(day))
}

#[track_caller]
fn check(decision: Decision, expected: Result<bool, IssueReason>) {
    match (decision, expected) {
        (Decision::Keep { ours, .. }, Ok(expected)) => assert_eq!(ours, expected),
        (Decision::Issue(reason), Err(expected)) => assert_eq!(reason, expected),
        (actual, expected) => panic!("{actual:?} instead of {expected:?}"),
    }
}

#[test]
fn a_certificate_stays_while_it_fits() {
    let authority = Authority::create(at(0)).unwrap();
    let live = issued(&authority);
    check(verdict(&live, &["a"], &authority, 0), Ok(true));
    check(verdict(&live, &["a", "10.0.0.1"], &authority, 242), Ok(true));
    check(verdict(&live, &["a"], &authority, 244), Err(IssueReason::Expiring));
    check(verdict(&live, &["a", "b"], &authority, 0), Err(IssueReason::Names));
    check(verdict(&live, &["10.0.0.2"], &authority, 0), Err(IssueReason::Names));
    check(judge(None, &hosts(&[]), &authority, &[], at(0)), Err(IssueReason::Missing));
    let other = Authority::create(at(0)).unwrap();
    check(verdict(&live, &["a"], &other, 0), Err(IssueReason::UnknownAuthority));
}

#[test]
fn a_damaged_secret_is_replaced() {
    let authority = Authority::create(at(0)).unwrap();
    let live = issued(&authority);
    let damaged = [
        LiveCertificate { certificate: b"nonsense".to_vec(), ..live.clone() },
        LiveCertificate { key: b"nonsense".to_vec(), ..live.clone() },
        LiveCertificate { key: issued(&authority).key, ..live.clone() },
        LiveCertificate { certificate: Vec::new(), ..live },
    ];
    for live in damaged {
        check(verdict(&live, &["a"], &authority, 0), Err(IssueReason::Unusable));
    }
}

#[test]
fn the_annotated_time_decides_within_the_validity() {
    let authority = Authority::create(at(0)).unwrap();
    let annotated = |key: &str, value: String| LiveCertificate {
        annotations: BTreeMap::from([(key.to_owned(), value)]),
        ..issued(&authority)
    };
    check(verdict(&annotated(EXPIRATION, at(10).to_string()), &[], &authority, 9), Ok(true));
    check(
        verdict(&annotated(EXPIRATION, at(10).to_string()), &[], &authority, 10),
        Err(IssueReason::Expiring),
    );
    check(
        verdict(&annotated("other/expiration", at(10).to_string()), &[], &authority, 10),
        Err(IssueReason::Expiring),
    );
    check(verdict(&annotated("unread", at(10).to_string()), &[], &authority, 10), Ok(true));
    check(verdict(&annotated(EXPIRATION, "soon".to_owned()), &[], &authority, 10), Ok(true));
    let late = annotated(EXPIRATION, at(5000).to_string());
    check(verdict(&late, &[], &authority, 364), Ok(true));
    check(verdict(&late, &[], &authority, 365), Err(IssueReason::Expiring));
}

/// As KServe makes them: self-signed, with `ca.crt` equal to `tls.crt`, valid for twelve years.
fn of_kserve() -> LiveCertificate {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(vec!["a".to_owned()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2026, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2038, 1, 1);
    let certificate = parameters.self_signed(&key).unwrap().pem().into_bytes();
    LiveCertificate {
        annotations: BTreeMap::from([(EXPIRATION.to_owned(), "2034-01-01T00:00:00Z".to_owned())]),
        ca: certificate.clone(),
        certificate,
        key: key.serialize_pem().into_bytes(),
    }
}

#[test]
fn a_certificate_of_kserve_is_adopted_until_it_no_longer_fits() {
    let authority = Authority::create(at(0)).unwrap();
    check(verdict(&of_kserve(), &["a"], &authority, 0), Ok(false));
    check(verdict(&of_kserve(), &["a", "b"], &authority, 0), Err(IssueReason::Names));
    check(verdict(&of_kserve(), &["a"], &authority, 3000), Err(IssueReason::Expiring));
}

#[expect(clippy::needless_pass_by_value, reason = "literals read better at the call")]
fn service(spec: serde_json::Value) -> Service {
    let object: LLMInferenceService = serde_json::from_value(json!({
        "metadata": {"name": "qwen", "namespace": "team", "uid": "u"}, "spec": spec,
    }))
    .unwrap();
    let spec = object.spec.clone();
    Service::new(&object, spec, Arc::new(Installation::default()), Arc::default(), Facts::default())
}

fn issuer() -> (watch::Sender<Arc<Authority>>, CertificateIssuer) {
    let (sender, receiver) = watch::channel(Arc::new(Authority::create(at(0)).unwrap()));
    (sender, CertificateIssuer::new(receiver))
}

fn with_live(mut service: Service, certificate: LiveCertificate) -> Service {
    service.facts.live.children = vec![LiveChild {
        kind: ChildKind::Secret,
        namespace: Some("team".to_owned()),
        name: service.names().certificate(),
        uid: String::new(),
        owner_uid: None,
        service: "qwen".to_owned(),
        resource_version: String::new(),
        generation: 0,
        deleting: false,
        digest: 0,
        adoptable: false,
        detail: LiveDetail::Certificate(Arc::new(certificate)),
    }];
    service
}

fn secret(facts: &CertificateFacts) -> &ServiceCertificate {
    facts.secret.as_ref().unwrap()
}

fn live_of(secret: &ServiceCertificate) -> LiveCertificate {
    LiveCertificate {
        certificate: secret.certificate.clone(),
        key: secret.key.clone(),
        ca: secret.ca.clone(),
        ..LiveCertificate::default()
    }
}

#[test]
fn a_new_certificate_covers_every_name_of_the_service() {
    let (_sender, issuer) = issuer();
    let mut service = service(
        json!({"router": {"scheduler": {"pool": {"spec": {"endpointPickerRef": {"name": "mine"}}}}}}),
    );
    service.facts.live.pod_ips = vec!["10.0.0.9".parse().unwrap()];
    let facts = issuer.gather(&service, at(0)).unwrap();
    let certificate = Certificate::parse(&secret(&facts).certificate).unwrap();
    assert_eq!(
        certificate.names,
        hosts(&[
            "localhost",
            "127.0.0.1",
            "10.0.0.9",
            "qwen-kserve-workload-svc.team.svc",
            "qwen-kserve-workload-svc.team.svc.cluster.local",
            "qwen-epp-service.team.svc",
            "qwen-epp-service.team.svc.cluster.local",
            "qwen-tokenizer.team.svc",
            "qwen-tokenizer.team.svc.cluster.local",
            "mine.team.svc",
            "mine.team.svc.cluster.local",
        ])
    );
    assert_eq!(secret(&facts).ca, issuer.bundle().into_bytes());
    assert_eq!(secret(&facts).renewal, certificate.renewal());
}

#[test]
fn a_certificate_that_the_caches_do_not_show_yet_is_not_made_twice() {
    let (_sender, issuer) = issuer();
    let service = service(json!({}));
    let first = issuer.gather(&service, at(0)).unwrap();
    assert_eq!(issuer.gather(&service, at(0)).unwrap(), first);
    let shown = with_live(service.clone(), live_of(secret(&first)));
    assert_eq!(issuer.gather(&shown, at(0)).unwrap(), first);
    assert_ne!(issuer.gather(&service, at(0)).unwrap(), first, "a Secret that was deleted gets a new key");
}

#[test]
fn a_new_pod_address_needs_a_new_certificate_and_a_gone_one_does_not() {
    let (_sender, issuer) = issuer();
    let mut service = service(json!({}));
    service.facts.live.pod_ips = vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
    let first = issuer.gather(&service, at(0)).unwrap();
    let mut service = with_live(service, live_of(secret(&first)));
    service.facts.live.pod_ips.pop();
    assert_eq!(issuer.gather(&service, at(0)).unwrap(), first);
    service.facts.live.pod_ips.push("10.0.0.3".parse().unwrap());
    assert_ne!(issuer.gather(&service, at(0)).unwrap(), first);
}

#[test]
fn a_rotated_authority_is_published_without_new_certificates() {
    let (sender, issuer) = issuer();
    let mut service = service(json!({}));
    let old = issuer.gather(&service, at(2400)).unwrap();
    service = with_live(service, live_of(secret(&old)));
    let announced = sender.borrow().advance(at(2440)).unwrap().unwrap();
    sender.send_replace(Arc::new(announced.clone()));
    let new = issuer.gather(&service, at(2440)).unwrap();
    assert_eq!(secret(&new).certificate, secret(&old).certificate);
    assert_eq!(secret(&new).ca, announced.bundle().as_bytes());
}

#[test]
fn the_secret_is_rendered_with_its_renewal_time() {
    let (_sender, issuer) = issuer();
    let mut service = service(json!({}));
    assert_eq!(render::certificate::render(&service), [], "nothing is known offline");
    service.facts.certificate = issuer.gather(&service, at(0)).unwrap();
    let children = render::certificate::render(&service);
    let [child] = children.as_slice() else { panic!("{children:?}") };
    assert_eq!((child.kind, child.name.as_str()), (ChildKind::Secret, "qwen-kserve-self-signed-certs"));
    assert_eq!(child.body["type"], "kubernetes.io/tls");
    let data: Vec<&String> = child.body["data"].as_object().unwrap().keys().collect();
    assert_eq!(data, ["ca.crt", "tls.crt", "tls.key"]);
    let annotation = child.body["metadata"]["annotations"][EXPIRATION].as_str().unwrap();
    assert_eq!(annotation.parse::<Timestamp>().unwrap(), secret(&service.facts.certificate).renewal);

    let mut settings = ClusterSettings::default();
    settings.scheduler.expiration_annotations = vec!["a/written".to_owned(), "b/read".to_owned()];
    service.settings = Arc::new(settings);
    let child = &render::certificate::render(&service)[0];
    let annotations: Vec<&String> =
        child.body["metadata"]["annotations"].as_object().unwrap().keys().collect();
    assert_eq!(annotations, ["a/written"]);
}
