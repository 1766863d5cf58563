//! Our schemas against the upstream CRDs, field by field: ours accept whatever upstream's accept.

use std::collections::BTreeSet;

use llmd_api::crd::{self, CLIENT_SIDE_LIMIT, Definition, Variant};
use serde_json::{Map, Value};

use crate::upstream;

/// Keywords that must say the same. `required`, `format` and rules are compared on their own.
const KEYWORDS: [&str; 20] = [
    "type",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "default",
    "nullable",
    "anyOf",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
];

/// Upstream file and our definition.
const SERVING: [(&str, &str); 2] = [
    ("serving.kserve.io_llminferenceservices.yaml", "llminferenceservices.serving.kserve.io"),
    ("serving.kserve.io_llminferenceserviceconfigs.yaml", "llminferenceserviceconfigs.serving.kserve.io"),
];
const INFERENCE: [(&str, &str); 3] = [
    ("inference.networking.k8s.io_inferencepools.yaml", "inferencepools.inference.networking.k8s.io"),
    ("llm-d.ai_inferenceobjectives.yaml", "inferenceobjectives.llm-d.ai"),
    ("llm-d.ai_inferencemodelrewrites.yaml", "inferencemodelrewrites.llm-d.ai"),
];

/// Fields that ours have and upstream's have not, by the end of their path.
const ADDED: [&str; 20] = [
    // what `kubectl scale` and the columns read
    "status.replicas",
    "status.selector",
    "status.mode",
    // one status for both versions, so that no version loses a report
    "v1alpha1.status.addresses[].models",
    "v1alpha1.status.addresses[].origin",
    "v1alpha1.status.appliedConfigs",
    "v1alpha1.status.referencedBy",
    "v1alpha1.status.router.group",
    "v1alpha1.status.workloads",
    // one type for an address and for all references
    "status.address.models",
    "status.address.origin",
    "status.workloads.service.readyReplicas",
    "router.ingress.refs[].sectionName",
    "status.parents[].parentRef.port",
    "status.parents[].parentRef.sectionName",
    // newer Kubernetes
    "podCertificate.userAnnotations",
    "template.schedulingGroup",
    "worker.schedulingGroup",
    // upstream drops the metadata of claim templates
    "volumeClaimTemplate.metadata.annotations",
    "volumeClaimTemplate.metadata.labels",
];

/// Rules that are grouped differently: end of the path, number upstream, number here. What they accept is compared
/// on a server.
const REGROUPED: [(&str, usize, usize); 7] = [
    (".filters[]", 14, 7),
    (".externalAuth", 4, 2),
    (".requestRedirect.path", 4, 2),
    (".urlRewrite.path", 4, 2),
    (".matches[].path", 11, 2),
    (".scaling", 8, 4),
    (".wva", 3, 2),
];

/// What the slim variant leaves open.
const OPEN: [&str; 6] = [
    "spec.prefill.template",
    "spec.prefill.worker",
    "spec.router.scheduler.template",
    "spec.router.scheduler.tokenizer.template",
    "spec.template",
    "spec.worker",
];

#[test]
fn full_schemas_say_what_upstream_says() {
    compare(&SERVING, &crd::serving(Variant::Full), &[]);
    compare(&INFERENCE, &crd::inference(), &[]);
}

#[test]
fn slim_schemas_say_the_same_around_open_pod_templates() {
    compare(&SERVING, &crd::serving(Variant::Slim), &OPEN);
}

#[test]
fn slim_definitions_fit_into_the_annotation_of_a_client_side_apply() {
    for definition in [crd::serving(Variant::Slim), crd::inference()].concat() {
        let size = definition.object.to_string().len();
        assert!(size < CLIENT_SIDE_LIMIT, "{}: {size} bytes", definition.name);
    }
}

#[test]
fn every_version_of_a_service_can_be_scaled() {
    let services = crd::serving(Variant::Full).swap_remove(0);
    let versions = services.object["spec"]["versions"].as_array().unwrap().clone();
    assert_eq!(versions.len(), 2);
    for version in versions {
        let properties = &version["schema"]["openAPIV3Schema"]["properties"];
        assert_eq!(version["subresources"]["scale"]["specReplicasPath"], ".spec.replicas");
        assert_eq!(properties["spec"]["properties"]["replicas"]["type"], "integer");
        assert_eq!(properties["status"]["properties"]["replicas"]["type"], "integer");
        assert_eq!(properties["status"]["properties"]["selector"]["type"], "string");
    }
}

fn compare(pairs: &[(&str, &str)], ours: &[Definition], open: &[&str]) {
    for (file, name) in pairs {
        let Some(path) = upstream::path(&format!("crds/{file}")) else { return };
        let theirs = upstream::documents(&path).swap_remove(0);
        let ours = ours.iter().find(|it| it.name == *name).unwrap();
        let mut differences = Differences::default();
        for version in theirs["spec"]["versions"].as_array().unwrap() {
            let name = version["name"].as_str().unwrap();
            let own = ours.object["spec"]["versions"].as_array().unwrap();
            let own = own.iter().find(|it| it["name"] == name).unwrap();
            let schema = |it: &Value| it["schema"]["openAPIV3Schema"].clone();
            differences.walk(&schema(version), &schema(own), name);
        }
        assert!(differences.found.is_empty(), "{name}:\n{}", differences.found.join("\n"));
        assert_eq!(differences.open, open.iter().map(|it| (*it).to_owned()).collect(), "{name}");
    }
}

#[derive(Default)]
struct Differences {
    found: Vec<String>,
    /// Open objects of ours, without the version.
    open: BTreeSet<String>,
}

impl Differences {
    fn walk(&mut self, theirs: &Value, ours: &Value, path: &str) {
        if is_open(ours) && !is_open(theirs) {
            self.open.extend(path.split_once('.').map(|(_, it)| it.to_owned()));
            return;
        }
        for keyword in KEYWORDS {
            let (theirs, ours) = (normal(keyword, theirs), normal(keyword, ours));
            // How appliers merge a list that only the controller writes.
            let is_reported = keyword == "x-kubernetes-list-type" && path == "v1alpha1.status.addresses";
            if theirs != ours && !is_reported {
                self.found.push(format!("{path}: {keyword} is {ours:?}, upstream {theirs:?}"));
            }
        }
        self.formats(theirs, ours, path);
        self.required(theirs, ours, path);
        self.rules(theirs, ours, path);
        self.properties(theirs, ours, path);
        for (keyword, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
            match (&theirs[keyword], &ours[keyword]) {
                (Value::Null, Value::Null) => {}
                (theirs @ Value::Object(_), ours @ Value::Object(_)) => {
                    self.walk(theirs, ours, &format!("{path}{mark}"));
                }
                _ => self.found.push(format!("{path}: {keyword} differs")),
            }
        }
    }

    /// Ours name the width of an integer where upstream's leave it open.
    fn formats(&mut self, theirs: &Value, ours: &Value, path: &str) {
        let (theirs, ours) = (&theirs["format"], &ours["format"]);
        let only_width = theirs.is_null() && (ours == "int32" || ours == "int64");
        if theirs != ours && !only_width {
            self.found.push(format!("{path}: format is {ours}, upstream {theirs}"));
        }
    }

    /// Nothing is required that upstream does not require, but for what the API server fills in.
    fn required(&mut self, theirs: &Value, ours: &Value, path: &str) {
        let names = |it: &Value| -> BTreeSet<String> {
            let names = it["required"].as_array().cloned().unwrap_or_default();
            names.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect()
        };
        for name in names(ours).difference(&names(theirs)) {
            self.found.push(format!("{path}: {name} is required here and not upstream"));
        }
        for name in names(theirs).difference(&names(ours)) {
            let is_loose = path.ends_with("pool.spec.extensionRef") && name == "failureMode";
            if !is_loose {
                self.found.push(format!("{path}: {name} is required upstream and not here"));
            }
        }
    }

    fn rules(&mut self, theirs: &Value, ours: &Value, path: &str) {
        let count = |it: &Value| it["x-kubernetes-validations"].as_array().map_or(0, Vec::len);
        let counts = (count(theirs), count(ours));
        let is_known =
            REGROUPED.iter().any(|(end, theirs, ours)| path.ends_with(end) && counts == (*theirs, *ours));
        if counts.0 != counts.1 && !is_known {
            self.found.push(format!("{path}: {} rules, upstream {}", counts.1, counts.0));
        }
    }

    fn properties(&mut self, theirs: &Value, ours: &Value, path: &str) {
        let none = Map::new();
        let (theirs, ours) = (&theirs["properties"], &ours["properties"]);
        let (theirs, ours) = (theirs.as_object().unwrap_or(&none), ours.as_object().unwrap_or(&none));
        for (name, schema) in theirs {
            match ours.get(name) {
                Some(own) => self.walk(schema, own, &format!("{path}.{name}")),
                None => self.found.push(format!("{path}.{name}: missing")),
            }
        }
        for name in ours.keys().filter(|it| !theirs.contains_key(*it)) {
            let path = format!("{path}.{name}");
            if !ADDED.iter().any(|it| path.ends_with(it)) {
                self.found.push(format!("{path}: upstream has no such field"));
            }
        }
    }
}

fn is_open(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true && schema.get("properties").is_none()
}

/// The value of a keyword, without differences that mean nothing.
fn normal(keyword: &str, schema: &Value) -> Option<Value> {
    let value = schema.get(keyword)?;
    match (keyword, value) {
        ("minLength", value) if *value == 0 => None,
        ("enum", Value::Array(values)) => {
            let mut values = values.clone();
            values.sort_by_key(ToString::to_string);
            Some(Value::Array(values))
        }
        _ => Some(value.clone()),
    }
}
