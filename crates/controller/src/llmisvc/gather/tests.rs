use super::*;
use crate::context::Caches;
use crate::watch::Sink;
use crate::watch::objects::Objects;
use kube::runtime::watcher::Event;
use llmd_api::gateway::{Gateway, HTTPRoute};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

fn put<K: crate::watch::objects::Cached>(store: &Arc<crate::watch::objects::Store<K>>, object: Value) {
    let object = serde_json::from_value(object).unwrap();
    Objects::new(Arc::clone(store), |_: Option<&K>, _: Option<&K>| {}).take(Event::Apply(object));
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_service_depends_on_what_its_routes_and_gateways_name() {
    let caches = Caches::default();
    put::<HTTPRoute>(
        &caches.routes,
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "own", "namespace": "team"},
            "spec": {"parentRefs": [{"name": "shared", "namespace": "gateways"}]},
        }),
    );
    put::<Gateway>(
        &caches.gateways,
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "shared", "namespace": "gateways"},
            "spec": {"gatewayClassName": "envoy", "listeners": []},
        }),
    );
    let service: LLMInferenceService = read(json!({
        "apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceService",
        "metadata": {"name": "chat", "namespace": "team"},
        "spec": {
            "model": {"uri": "hf://a/b"},
            "template": {"serviceAccountName": "reader", "containers": []},
            "router": {"route": {"http": {"refs": [{"name": "own"}]}}},
        },
    }));
    let mut settings = ClusterSettings::default();
    settings.storage_initializer.ca_bundle_config_map_name = "trust".to_owned();
    let references = references(&service, None, &Installation::default(), &settings, &caches);
    for expected in [
        Reference::AnyConfig,
        Reference::Route(Key::new("team", "own")),
        Reference::Gateway(Key::new("gateways", "shared")),
        Reference::GatewayClass("envoy".to_owned()),
        Reference::ServiceAccount(Key::new("team", "reader")),
        Reference::ServiceAccount(Key::new("team", "default")),
        Reference::ConfigMap(Key::new("kserve", "trust")),
    ] {
        assert!(references.contains(&expected), "{expected:?} in {references:?}");
    }
}
