use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::webhook::manifests;

fn at(days: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_hours(24 * days)
}

#[test]
fn the_certificate_names_the_host_of_either_endpoint() {
    let names = |endpoint: &Endpoint| {
        let names = subject_names(endpoint);
        let addresses = names.addresses.iter().map(ToString::to_string);
        names.dns.iter().cloned().chain(addresses).collect::<Vec<_>>()
    };
    let url = |it: &str| names(&Endpoint::Url(it.to_owned()));
    assert_eq!(
        names(&Endpoint::in_cluster("kserve")),
        [
            "llmisvc-webhook-server-service.kserve.svc",
            "llmisvc-webhook-server-service.kserve.svc.cluster.local",
            "localhost",
        ]
    );
    assert_eq!(url("https://127.0.0.1:9443"), ["localhost", "127.0.0.1"]);
    assert_eq!(url("https://[fd00::1]:9443/x"), ["localhost", "fd00::1"]);
    assert_eq!(url("https://hooks.example"), ["hooks.example", "localhost"]);
}

#[test]
fn the_certificate_is_renewed_by_time_and_by_a_new_signer() {
    let first = Arc::new(Authority::create(at(0)).unwrap());
    let names = subject_names(&Endpoint::in_cluster("kserve"));
    let mut serving = ServingCertificate::new(Arc::clone(&first), names, at(0)).unwrap();
    assert!(!serving.renew(&first, at(243)).unwrap());
    assert!(serving.renew(&first, at(244)).unwrap());
    assert!(!serving.renew(&first, at(244)).unwrap());

    let announced = Arc::new(first.advance(at(2440)).unwrap().unwrap());
    assert!(serving.renew(&first, at(2440)).unwrap());
    assert!(
        !serving.renew(&announced, at(2440)).unwrap(),
        "a successor that only was announced changes nothing"
    );
    let promoted = Arc::new(announced.advance(at(2441)).unwrap().unwrap());
    assert!(serving.renew(&promoted, at(2441)).unwrap());
}

/// Applies the patch, and expects that nothing is left to do.
fn patched(mut object: Value, bundle: &str) -> Value {
    let patch = bundle_patch(&object, "kserve", bundle);
    json_patch::patch(&mut object, &patch).unwrap();
    assert_eq!(bundle_patch(&object, "kserve", bundle).0, []);
    object
}

#[test]
fn the_bundle_reaches_every_entry_and_nothing_else_changes() {
    let endpoint = Endpoint::in_cluster("kserve");
    let objects = |bundle: Option<&str>| {
        let [services, configs] = manifests::validating(&endpoint, bundle);
        [
            serde_json::to_value(manifests::mutating(&endpoint, bundle)).unwrap(),
            serde_json::to_value(services).unwrap(),
            serde_json::to_value(configs).unwrap(),
            json!({"spec": {"group": "g", "conversion": manifests::conversion(&endpoint, bundle)}}),
        ]
    };
    for (without, with) in objects(None).into_iter().zip(objects(Some("new"))) {
        assert_eq!(patched(without, "new"), with);
    }
    for (old, new) in objects(Some("old")).into_iter().zip(objects(Some("new"))) {
        assert_eq!(patched(old, "new"), new);
    }
}

#[test]
fn a_crd_without_conversion_is_left_alone() {
    assert_eq!(bundle_patch(&json!({"spec": {"conversion": {"strategy": "None"}}}), "kserve", "b").0, []);
}

#[test]
fn conversion_is_led_to_the_service_of_this_installation() {
    let crd = |endpoint: &Endpoint, bundle| json!({"spec": {"conversion": manifests::conversion(endpoint, bundle)}});
    let (elsewhere, here) = (Endpoint::in_cluster("default"), Endpoint::in_cluster("kserve"));
    assert_eq!(patched(crd(&elsewhere, Some("b")), "b"), crd(&here, Some("b")));
    assert_eq!(patched(crd(&elsewhere, None), "b"), crd(&here, Some("b")));
    let url = Endpoint::Url("https://127.0.0.1:9443".to_owned());
    assert_eq!(patched(crd(&url, None), "b"), crd(&url, Some("b")), "a URL stays");
}

#[test]
fn nobody_else_writes_the_bundle_any_more() {
    let conversion = manifests::conversion(&Endpoint::in_cluster("kserve"), Some("b"));
    let crd = json!({
        "metadata": { "annotations": { "cert-manager.io/inject-ca-from": "kserve/cert", "other": "stays" } },
        "spec": { "conversion": conversion },
    });
    let mut expected = crd.clone();
    expected["metadata"]["annotations"] = json!({ "other": "stays" });
    assert_eq!(patched(crd, "b"), expected);
}

#[test]
fn a_patch_does_not_hit_an_entry_that_moved() {
    let object = serde_json::to_value(manifests::mutating(&Endpoint::in_cluster("kserve"), None)).unwrap();
    let patch = bundle_patch(&object, "kserve", "b");
    let mut moved = object;
    moved["webhooks"].as_array_mut().unwrap().reverse();
    assert!(json_patch::patch(&mut moved, &patch).is_err());
}
