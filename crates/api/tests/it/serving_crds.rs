//! The CRDs on a real API server: upstream's samples go in, wrong objects do not, and services scale.
//!
//! Ours are compared with upstream's on one server: upstream's definition is installed under another group, and each
//! object is offered to both. Conversion is off here, since no controller runs.

use std::thread::sleep;
use std::time::{Duration, Instant};

use llmd_api::crd::{self, Definition, Variant};
use serde_json::{Value, json};

use crate::server::Server;
use crate::upstream;

const GROUP: &str = "serving.kserve.io";
const UPSTREAM_GROUP: &str = "upstream.test";

#[test]
fn full_definitions_take_every_sample_and_refuse_what_upstream_refuses() {
    let Some(server) = Server::start() else { return };
    for definition in [crd::serving(Variant::Full), crd::inference()].concat() {
        let apply = ["apply", "--server-side", "-f", "-"];
        server.must(&apply, &without_conversion(&definition).to_string());
    }
    established(&server);
    take_samples(&server);
    scale(&server);
    if let Some(file) = upstream::path("crds/serving.kserve.io_llminferenceservices.yaml") {
        let upstream = renamed(upstream::documents(&file).swap_remove(0));
        server.must(&["apply", "--server-side", "-f", "-"], &upstream.to_string());
        established(&server);
        same_verdicts(&server);
    }
}

#[test]
fn slim_definitions_install_with_a_client_side_apply_and_take_every_sample() {
    let Some(server) = Server::start() else { return };
    for definition in [crd::serving(Variant::Slim), crd::inference()].concat() {
        server.must(&["apply", "-f", "-"], &without_conversion(&definition).to_string());
        // A second apply merges against the annotation of the first.
        server.must(&["apply", "-f", "-"], &without_conversion(&definition).to_string());
    }
    established(&server);
    take_samples(&server);
    scale(&server);
}

/// Waits until every definition is served. A definition has no conditions at first, which `kubectl wait` takes ill.
fn established(server: &Server) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
    while !server.kubectl(&wait, "").status.success() {
        assert!(Instant::now() < deadline, "the definitions are not established");
        sleep(Duration::from_millis(100));
    }
}

fn without_conversion(definition: &Definition) -> Value {
    let mut object = definition.object.clone();
    object["spec"].as_object_mut().unwrap().remove("conversion");
    object
}

fn renamed(mut crd: Value) -> Value {
    crd["spec"]["group"] = json!(UPSTREAM_GROUP);
    crd["metadata"]["name"] = json!(format!("llminferenceservices.{UPSTREAM_GROUP}"));
    crd["spec"].as_object_mut().unwrap().remove("conversion");
    crd
}

/// Posts upstream's services and presets and reads them back: nothing that was written is lost.
fn take_samples(server: &Server) {
    let mut posted = 0;
    for folder in ["samples/llmisvc", "samples/presets"] {
        let Some(folder) = upstream::path(folder) else { return };
        for file in upstream::files(&folder) {
            for mut document in upstream::documents(&file) {
                if document["apiVersion"] != format!("{GROUP}/v1alpha2") {
                    continue;
                }
                document["spec"].as_object_mut().unwrap().remove("workload");
                posted += 1;
                document["metadata"] = json!({ "name": format!("sample-{posted}"), "namespace": "default" });
                let stored = server.must(&["create", "-o", "json", "-f", "-"], &document.to_string());
                let stored: Value = serde_json::from_str(&stored).unwrap();
                contains(&stored["spec"], &document["spec"], &file.display().to_string());
            }
        }
    }
    assert!(posted > 15, "{posted} samples");
}

/// Everything written is there; the server may have added defaults.
#[track_caller]
fn contains(stored: &Value, written: &Value, path: &str) {
    match (stored, written) {
        (Value::Object(stored), Value::Object(written)) => {
            for (name, value) in written.iter().filter(|(_, it)| !it.is_null()) {
                contains(stored.get(name).unwrap_or(&Value::Null), value, &format!("{path}.{name}"));
            }
        }
        (Value::Array(stored), Value::Array(written)) if stored.len() == written.len() => {
            for (index, value) in written.iter().enumerate() {
                contains(&stored[index], value, &format!("{path}[{index}]"));
            }
        }
        _ => assert_eq!(stored, written, "{path}"),
    }
}

fn scale(server: &Server) {
    server.must(&["create", "-f", "-"], &service(GROUP, "v1alpha2", &json!({ "replicas": 1 })).to_string());
    for version in ["v1alpha1", "v1alpha2"] {
        let resource = format!("llminferenceservices.{version}.{GROUP}/a");
        server.must(&["scale", &resource, "--replicas=3"], "");
        assert_eq!(server.must(&["get", &resource, "-o", "jsonpath={.spec.replicas}"], ""), "3");
        server.must(&["scale", &resource, "--current-replicas=3", "--replicas=1"], "");
    }
    let columns = server.must(&["get", "llmisvc", "a"], "");
    for column in ["URL", "READY", "REASON", "MODE", "REPLICAS", "AGE"] {
        assert!(columns.contains(column), "{columns}");
    }
}

fn service(group: &str, version: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("{group}/{version}"), "kind": "LLMInferenceService",
        "metadata": { "name": "a", "namespace": "default" }, "spec": spec,
    })
}

/// Both definitions give the same answer to each object, and the expected one.
fn same_verdicts(server: &Server) {
    server.must(&["delete", &format!("llminferenceservices.{GROUP}"), "a"], "");
    let mut wrong = Vec::new();
    for (version, accepted, what, spec) in cases() {
        let verdict = |group: &str| {
            let object = service(group, version, &spec);
            server
                .kubectl(&["create", "--dry-run=server", "--validate=false", "-f", "-"], &object.to_string())
        };
        let (ours, theirs) = (verdict(GROUP), verdict(UPSTREAM_GROUP));
        if ours.status.success() != accepted || theirs.status.success() != accepted {
            let say = |it: std::process::Output| String::from_utf8_lossy(&it.stderr).into_owned();
            wrong.push(format!(
                "{version} {what}: accepted={accepted}\n  ours: {}\n  upstream: {}",
                say(ours),
                say(theirs)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

type Case = (&'static str, bool, &'static str, Value);

fn cases() -> Vec<Case> {
    let mut cases = vec![
        ("v1alpha2", true, "nothing", json!({})),
        ("v1alpha2", false, "replicas and scaling", json!({ "replicas": 1, "scaling": hpa() })),
        (
            "v1alpha2",
            false,
            "replicas and scaling in prefill",
            json!({ "prefill": { "replicas": 1, "scaling": hpa() } }),
        ),
        ("v1alpha2", false, "negative replicas", json!({ "replicas": -1 })),
        ("v1alpha2", false, "model without uri", json!({ "model": { "name": "a" } })),
        ("v1alpha2", false, "no LoRA rank", json!({ "model": { "uri": "a", "lora": { "maxRank": 0 } } })),
        (
            "v1alpha2",
            true,
            "odd adapters",
            json!({ "model": { "uri": "a", "lora": { "adapters": [{ "x": 1 }] } } }),
        ),
        ("v1alpha2", false, "no tensor rank", json!({ "parallelism": { "tensor": 0 } })),
        ("v1alpha2", false, "port out of range", json!({ "parallelism": { "dataRPCPort": 65536 } })),
        ("v1alpha2", true, "partial pod template", json!({ "template": { "nodeSelector": { "a": "b" } } })),
        (
            "v1alpha2",
            false,
            "container without a name",
            json!({ "template": { "containers": [{ "image": "a" }] } }),
        ),
        (
            "v1alpha2",
            false,
            "two containers of one name",
            json!({ "worker": { "containers": [{ "name": "a" }, { "name": "a" }] } }),
        ),
        ("v1alpha2", false, "a quantity that is none", json!({ "kvCacheOffloading": { "cpu": "much" } })),
        (
            "v1alpha2",
            false,
            "unknown eviction",
            json!({ "kvCacheOffloading": { "cpu": 1, "evictionPolicy": "fifo" } }),
        ),
        ("v1alpha2", false, "group with capitals", json!({ "router": { "route": { "group": "A" } } })),
        ("v1alpha2", false, "weight too large", json!({ "router": { "route": { "weight": 1_000_001 } } })),
        ("v1alpha1", false, "unknown criticality", json!({ "model": { "uri": "a", "criticality": "High" } })),
        ("v1alpha1", true, "criticality", json!({ "model": { "uri": "a", "criticality": "Critical" } })),
    ];
    cases.extend(pools());
    cases.extend(
        scalings().map(|(accepted, what, it)| ("v1alpha2", accepted, what, json!({ "scaling": it }))),
    );
    cases.extend(routes().map(|(accepted, what, it)| {
        (
            "v1alpha2",
            accepted,
            what,
            json!({ "router": { "route": { "http": { "spec": { "rules": it } } } } }),
        )
    }));
    cases
}

fn pools() -> Vec<Case> {
    let pool = |spec: Value| json!({ "router": { "scheduler": { "pool": { "spec": spec } } } });
    let v1 = |ports: Value, picker: Value| {
        pool(
            json!({ "selector": { "matchLabels": { "a": "b" } }, "targetPorts": ports, "endpointPickerRef": picker }),
        )
    };
    let ports = json!([{ "number": 8000 }]);
    vec![
        ("v1alpha2", true, "pool", v1(ports.clone(), json!({ "name": "a", "port": { "number": 9002 } }))),
        ("v1alpha2", false, "picker Service without port", v1(ports.clone(), json!({ "name": "a" }))),
        (
            "v1alpha2",
            true,
            "other picker without port",
            v1(ports.clone(), json!({ "name": "a", "kind": "Other" })),
        ),
        (
            "v1alpha2",
            false,
            "pool without picker",
            pool(json!({ "selector": { "matchLabels": { "a": "b" } }, "targetPorts": ports })),
        ),
        (
            "v1alpha2",
            false,
            "one port twice",
            v1(json!([{ "number": 1 }, { "number": 1 }]), json!({ "name": "a", "kind": "O" })),
        ),
        ("v1alpha2", false, "pool without ports", v1(json!([]), json!({ "name": "a", "kind": "O" }))),
        ("v1alpha1", true, "old pool", pool(json!({ "selector": { "a": "b" }, "targetPortNumber": 8000 }))),
        ("v1alpha1", false, "old pool without port", pool(json!({ "selector": { "a": "b" } }))),
    ]
}

fn hpa() -> Value {
    json!({ "maxReplicas": 2, "wva": { "hpa": {} } })
}

fn scalings() -> impl Iterator<Item = (bool, &'static str, Value)> {
    let trigger = json!([{ "type": "cron", "metadata": {} }]);
    let keda = |more: Value| {
        let mut keda = json!({ "triggers": trigger });
        keda.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        keda
    };
    let wva_keda = |keda: Value| json!({ "minReplicas": 2, "maxReplicas": 3, "wva": { "keda": keda } });
    let full_modifiers = |formula: &str| {
        json!({ "advanced": { "scalingModifiers": {
        "formula": formula, "target": "", "activationTarget": "" } } })
    };
    [
        (true, "wva with hpa", hpa()),
        (true, "wva with keda", wva_keda(json!({ "idleReplicaCount": 1 }))),
        (true, "keda", json!({ "maxReplicas": 2, "keda": keda(json!({})) })),
        (false, "neither wva nor keda", json!({ "maxReplicas": 2 })),
        (false, "wva and keda", json!({ "maxReplicas": 2, "wva": { "hpa": {} }, "keda": keda(json!({})) })),
        (false, "no actuator", json!({ "maxReplicas": 2, "wva": {} })),
        (false, "two actuators", json!({ "maxReplicas": 2, "wva": { "hpa": {}, "keda": {} } })),
        (false, "no triggers", json!({ "maxReplicas": 2, "keda": { "triggers": [] } })),
        (false, "least above most", json!({ "minReplicas": 3, "maxReplicas": 2, "wva": { "hpa": {} } })),
        (false, "idle not below least", wva_keda(json!({ "idleReplicaCount": 2 }))),
        (
            false,
            "idle not below the default least",
            json!({ "maxReplicas": 3, "keda": keda(json!({ "idleReplicaCount": 1 })) }),
        ),
        (true, "idle zero", json!({ "maxReplicas": 3, "keda": keda(json!({ "idleReplicaCount": 0 })) })),
        (false, "modifiers", wva_keda(full_modifiers("a + b"))),
        (
            false,
            "name of the autoscaler",
            json!({ "maxReplicas": 3, "keda": keda(json!({ "advanced": {
            "horizontalPodAutoscalerConfig": { "name": "a" } } })) }),
        ),
        (
            false,
            "cost that is no number",
            json!({ "maxReplicas": 2, "wva": { "hpa": {}, "variantCost": "-1" } }),
        ),
    ]
    .into_iter()
}

fn routes() -> impl Iterator<Item = (bool, &'static str, Value)> {
    let filters = |filters: Value| json!([{ "filters": filters }]);
    let path =
        |type_: &str, value: &str| json!([{ "matches": [{ "path": { "type": type_, "value": value } }] }]);
    let backend = json!([{ "name": "a", "port": 80 }]);
    let rewrite = json!({ "type": "URLRewrite", "urlRewrite": { "path": { "type": "ReplacePrefixMatch", "replacePrefixMatch": "/" } } });
    let redirect = json!({ "type": "RequestRedirect", "requestRedirect": { "port": 80 } });
    let prefixes =
        |count: usize| Value::Array(vec![json!({ "path": { "type": "PathPrefix", "value": "/a" } }); count]);
    let exact = json!([{ "path": { "type": "Exact", "value": "/a" } }]);
    let wide =
        |rules: usize, matches: usize| Value::Array(vec![json!({ "matches": prefixes(matches) }); rules]);
    let mirror = |more: Value| {
        let mut mirror = json!({ "backendRef": { "name": "a", "port": 80 } });
        mirror.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([{ "type": "RequestMirror", "requestMirror": mirror }])
    };
    let session = |it: Value| json!([{ "sessionPersistence": it }]);
    [
        (true, "rule", json!([{ "backendRefs": backend }])),
        (false, "Service without port", json!([{ "backendRefs": [{ "name": "a" }] }])),
        (true, "pool without port", json!([{ "backendRefs": [{ "name": "a", "group": "g", "kind": "InferencePool" }] }])),
        (false, "no rules", json!([])),
        (true, "128 matches", wide(2, 64)),
        (false, "129 matches", json!([wide(2, 64)[0], wide(2, 64)[1], {}])),
        (false, "65 matches of one rule", wide(1, 65)),
        (false, "17 rules", wide(17, 1)),
        (false, "relative path", path("Exact", "a")),
        (false, "empty segment", path("PathPrefix", "/a//b")),
        (false, "dot segment", path("PathPrefix", "/a/./b")),
        (false, "parent segment", path("PathPrefix", "/a/../b")),
        (false, "ends with a parent", path("PathPrefix", "/a/..")),
        (false, "ends with a dot", path("PathPrefix", "/a/.")),
        (false, "encoded slash", path("Exact", "/a%2Fb")),
        (false, "encoded slash in small letters", path("Exact", "/a%2fb")),
        (false, "fragment", path("Exact", "/a#b")),
        (false, "space", path("Exact", "/a b")),
        (true, "anything as a regular expression", path("RegularExpression", "a//b #.*")),
        (false, "unknown type of path", path("Suffix", "/a")),
        (true, "rewrite of the one prefix", json!([{ "matches": prefixes(1), "filters": [rewrite] }])),
        (false, "rewrite of two prefixes", json!([{ "matches": prefixes(2), "filters": [rewrite] }])),
        (false, "rewrite of an exact path", json!([{ "matches": exact, "filters": [rewrite] }])),
        (false, "rewrite of two prefixes for a backend", json!([{ "matches": prefixes(2),
            "backendRefs": [{ "name": "a", "port": 80, "filters": [rewrite] }] }])),
        (true, "redirect", filters(json!([redirect]))),
        (false, "redirect with backends", json!([{ "filters": [redirect], "backendRefs": backend }])),
        (false, "redirect and rewrite", filters(json!([redirect, rewrite]))),
        (false, "two redirects", filters(json!([redirect, redirect]))),
        (false, "type without its member", filters(json!([{ "type": "CORS" }]))),
        (false, "member of another type", filters(json!([{ "type": "CORS", "cors": {}, "urlRewrite": {} }]))),
        (true, "cors", filters(json!([{ "type": "CORS", "cors": { "allowMethods": ["*"], "allowOrigins": ["https://*.a.b:80"] } }]))),
        (false, "any method and another", filters(json!([{ "type": "CORS", "cors": { "allowMethods": ["*", "GET"] } }]))),
        (false, "unknown filter", filters(json!([{ "type": "ExternalAuth", "externalAuth": {} }]))),
        (true, "mirror of a share", filters(mirror(json!({ "fraction": { "numerator": 1 } })))),
        (false, "mirror of more than all", filters(mirror(json!({ "fraction": { "numerator": 101 } })))),
        (false, "mirror of two shares", filters(mirror(json!({ "percent": 1, "fraction": { "numerator": 1 } })))),
        (false, "prefix without value", filters(json!([{ "type": "URLRewrite", "urlRewrite": { "path": { "type": "ReplacePrefixMatch" } } }]))),
        (true, "timeouts", json!([{ "timeouts": { "request": "10s", "backendRequest": "5s" } }])),
        (true, "no limit", json!([{ "timeouts": { "request": "0s", "backendRequest": "5s" } }])),
        (false, "backend slower than all", json!([{ "timeouts": { "request": "5s", "backendRequest": "10s" } }])),
        (false, "no duration", json!([{ "timeouts": { "request": "soon" } }])),
        (true, "retry", json!([{ "retry": { "codes": [500], "attempts": 2, "backoff": "1s" } }])),
        (false, "retry of success", json!([{ "retry": { "codes": [200] } }])),
        (true, "session", session(json!({ "cookieConfig": {} }))),
        (false, "permanent session without end", session(json!({ "cookieConfig": { "lifetimeType": "Permanent" } }))),
        (false, "cookie settings for a header", session(json!({ "type": "Header", "cookieConfig": {} }))),
        (false, "long query value", json!([{ "matches": [{ "queryParams": [{ "name": "a", "value": "x".repeat(1025) }] }] }])),
        (true, "long header value", json!([{ "matches": [{ "headers": [{ "name": "a", "value": "x".repeat(1025) }] }] }])),
    ]
    .into_iter()
}
