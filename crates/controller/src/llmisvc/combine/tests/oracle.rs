//! The outcome is KServe's, but for differences that are intended. See `testdata/combine/oracle/README.md`.

use sha2::{Digest, Sha256};

use super::*;

/// Services for which KServe fails and this controller does not.
const MENDED: &[(&str, &str)] = &[
    ("braces-of-user.yaml", "texts of the service's own spec are no templates"),
    ("parallelism-of-base.yaml", "templates see the merged spec, not only the service's own"),
    ("quotes-in-values.yaml", "values are filled into texts, not into JSON"),
];

/// Fields that KServe keeps beside a sibling that excludes them, by service.
const CLEARED: &[(&str, &[&str])] = &[(
    "one-of.yaml",
    &[
        "/replicas",
        "/template/containers/0/env/0/value",
        "/template/containers/0/env/1/valueFrom/configMapKeyRef",
        "/template/containers/0/env/2/valueFrom",
        "/template/containers/0/lifecycle/preStop/exec",
        "/template/containers/0/readinessProbe/httpGet",
        "/template/volumes/2/emptyDir",
    ],
)];

#[test]
fn services_become_what_kserve_makes_of_them() {
    let (Some(_), Some(samples)) = (upstream_presets(), shared("samples/llmisvc")) else { return };
    let mut compared = 0;
    let entries = std::fs::read_dir(testdata("oracle")).unwrap();
    let mut paths: Vec<_> = entries.map(|it| it.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.extension().is_none_or(|it| it != "yaml") {
            continue;
        }
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let own = testdata("oracle/services").join(&file);
        let input = if own.exists() { own } else { samples.join(&file) };
        compare(&file, &std::fs::read_to_string(input).unwrap(), &std::fs::read_to_string(path).unwrap());
        compared += 1;
    }
    assert_eq!(compared, 34);
}

fn compare(file: &str, input: &str, expected: &str) {
    let expected: Value = serde_saphyr::from_str(expected).unwrap();
    let outcome = run(input);
    if MENDED.iter().any(|(it, _)| *it == file) {
        assert!(expected["error"].is_string(), "{file} does not fail in KServe");
        outcome.unwrap();
        return;
    }
    if let Some(error) = expected["error"].as_str() {
        assert_eq!(outcome.unwrap_err().to_string().replace('"', ""), error.replace('"', ""), "{file}");
        return;
    }
    let effective = outcome.unwrap_or_else(|error| panic!("{file}: {error}"));
    assert_eq!(json(&effective.applied), expected["applied"], "{file}");
    let mut wanted = expected["spec"].clone();
    for pointer in CLEARED.iter().filter(|(it, _)| *it == file).flat_map(|(_, it)| *it) {
        remove(&mut wanted, pointer);
    }
    let mut actual = json(&effective.spec);
    shorten(&mut actual);
    normalize(&mut actual);
    normalize(&mut wanted);
    let (actual, wanted) = (yaml(&actual), yaml(&wanted));
    let lines = |of: &str, other: &str| -> Vec<String> {
        of.lines().filter(|it| !other.lines().any(|other| other == *it)).map(str::to_owned).collect()
    };
    assert!(
        actual == wanted,
        "{file}: {:#?} instead of {:#?}",
        lines(&actual, &wanted),
        lines(&wanted, &actual)
    );
}

fn run(input: &str) -> Result<Effective, CombineError> {
    let mut configs = upstream_presets().unwrap();
    let mut documents = input.split("\n---\n");
    let mut service = service(documents.next().unwrap());
    let namespace = service.metadata.namespace.get_or_insert_with(|| "models".to_owned()).clone();
    documents.for_each(|it| configs.add(&namespace, it));
    let mut settings = ClusterSettings::default();
    settings.ingress.enable_tls =
        service.metadata.annotations.as_ref().is_some_and(|it| it.contains_key("oracle/tls"));
    combine(&service, &configs, &Installation::default(), &settings)
}

/// One line for each leaf, sorted.
fn yaml(value: &Value) -> String {
    fn walk(value: &Value, path: &str, lines: &mut Vec<String>) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                let mut keys: Vec<_> = fields.keys().collect();
                keys.sort_unstable();
                keys.iter().for_each(|it| walk(&fields[*it], &format!("{path}.{it}"), lines));
            }
            Value::Array(items) if !items.is_empty() => {
                items.iter().enumerate().for_each(|(i, it)| walk(it, &format!("{path}[{i}]"), lines));
            }
            leaf => lines.push(format!("{path}: {leaf}")),
        }
    }
    let mut lines = Vec::new();
    walk(value, "", &mut lines);
    lines.join("\n")
}

/// As the fixtures were shortened.
fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > 160 => *text = hash(text),
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(fields) => {
            for (key, value) in fields {
                if let (true, Value::Array(rules)) = (key == "rules", &mut *value) {
                    rules.iter_mut().for_each(|it| *it = Value::String(hash(&sorted(it))));
                }
                shorten(value);
            }
        }
        _ => {}
    }
}

fn sorted(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut entries: Vec<_> = fields
                .iter()
                .map(|(key, it)| format!("{}:{}", Value::from(key.as_str()), sorted(it)))
                .collect();
            entries.sort_unstable();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(sorted).collect::<Vec<_>>().join(",")),
        leaf => leaf.to_string(),
    }
}

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text);
    format!("sha256:{}", digest.iter().map(|it| format!("{it:02x}")).collect::<String>())
}

/// Takes away what Go writes though nobody gave it, its rewriting of quantities, and the empty arguments that are
/// dropped on purpose.
fn normalize(value: &mut Value) {
    match value {
        Value::String(text) if let Some(thousands) = text.strip_suffix("000m") => {
            *text = thousands.to_owned();
        }
        Value::Array(items) => items.iter_mut().for_each(normalize),
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                normalize(value);
                if let (true, Value::Array(items)) = (["args", "command"].contains(&key.as_str()), value) {
                    items.retain(|it| it != "");
                }
            }
            fields.retain(|key, it| {
                !(it == &json(&[0; 0]) || key == "resources" && it == &json(&BTreeMap::<(), ()>::new()))
            });
        }
        _ => {}
    }
}

fn remove(value: &mut Value, pointer: &str) {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = if parent.is_empty() { value } else { value.pointer_mut(parent).unwrap() };
    parent.as_object_mut().unwrap().remove(field).unwrap_or_else(|| panic!("{pointer} is absent"));
}
