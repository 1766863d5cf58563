//! What the API server answers to whoever writes a service or a config: refusals that name the field and the way out,
//! warnings, defaults.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use llmd_e2e::installation::SYSTEM_NAMESPACE;
use serde_json::{Value, json};

use super::story::Story;
use refusals::REFUSALS;

mod refusals;

/// Annotations that ask for devices, as a flow mapping, the blamed key and a part of the advice.
const DEVICES: [(&str, &str, &str, &str); 6] = [
    ("count-alone", "{K-count: '2'}", "count", "add that, or remove it"),
    ("cel-alone", "{K-cel: x}", "cel", "add that, or remove it"),
    ("class-name", "{K-class: GPU}", "class", "lower-case letters"),
    ("count-zero", "{K-class: gpu, K-count: '0'}", "count", "1 or more"),
    ("cel-empty", "{K-class: gpu, K-cel: ' '}", "cel", "at least one CEL expression"),
    ("container-name", "{K-class: gpu, K-container: Main}", "container", "lower-case letters"),
];

fn device_key(short: &str) -> String {
    let long = match short {
        "count" => "device-count",
        "cel" => "cel-selector",
        "class" => "device-class",
        _ => "container-name",
    };
    format!("serving.kserve.io/exp-dra-{long}")
}

/// A service as a YAML document; `spec` is one field, or a flow mapping of several.
fn service(name: &str, annotations: &str, spec: &str) -> String {
    let spec = if spec.starts_with('{') { spec.to_owned() } else { format!("{{{spec}}}") };
    format!(
        "---\napiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\n\
         metadata: {{name: {name}, annotations: {annotations}}}\nspec: {spec}\n"
    )
}

/// What kubectl says about each object of `names`, in their order.
fn parts<'a>(text: &'a str, names: &[&str]) -> Vec<&'a str> {
    let starts: Vec<usize> =
        names.iter().map(|it| text.find(&format!("\"{it}\"")).unwrap_or(text.len())).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).map(|(&start, end)| text.get(start..end).unwrap_or_default()).collect()
}

#[test]
fn every_rule_names_the_field_and_the_way_out() -> Result<()> {
    let Some(story) = Story::begin("admission-rules")? else { return Ok(()) };
    let devices = DEVICES.map(|(name, annotations, blamed, advice)| {
        let annotations =
            ["count", "cel", "class", "container"].iter().fold(annotations.to_owned(), |it, short| {
                it.replace(&format!("K-{short}:"), &format!("{}:", device_key(short)))
            });
        (name, annotations, format!("metadata.annotations[{}]", device_key(blamed)), advice)
    });
    let mut manifests = String::new();
    let mut expected = Vec::new();
    for (name, spec, path, advice) in REFUSALS {
        manifests += &service(name, "{}", spec);
        expected.push((name, path.to_owned(), advice));
    }
    for (name, annotations, path, advice) in devices {
        manifests += &service(name, &annotations, "model: {uri: 'hf://a/b'}");
        expected.push((name, path, advice));
    }
    let arguments = ["-n", story.namespace.as_str(), "apply", "-f", "-"];
    let refused = story.installation.cluster.kubectl_with_input(&arguments, &manifests).err();
    let refused = refused.context("nothing was refused")?.to_string();

    let names: Vec<&str> = expected.iter().map(|(name, ..)| *name).collect();
    let mut wrong = String::new();
    for ((name, path, advice), said) in expected.iter().zip(parts(&refused, &names)) {
        if !said.contains(&format!("{path}: ")) || !said.contains(advice) {
            writeln!(wrong, "{name}: expected {path:?} and {advice:?} in: {}", said.trim())?;
        }
    }
    assert_eq!(wrong, "");
    assert_eq!(story.kubectl(&["get", "llmisvc", "-o", "name"])?, "", "nothing of it is stored");
    Ok(())
}

#[test]
fn several_errors_come_in_one_answer() -> Result<()> {
    let Some(story) = Story::begin("admission-several")? else { return Ok(()) };
    let wrong = service("wrong", "{}", "router: {route: {weight: 1}, scheduler: {replicas: 0, config: {}}}");
    let refused = story.apply(&wrong).err().context("it was stored")?.to_string();
    for path in ["spec.router.route.group", "spec.router.scheduler.replicas", "spec.router.scheduler.config"]
    {
        assert!(refused.contains(path), "{path} is missing in {refused}");
    }
    Ok(())
}

#[test]
fn what_will_not_work_is_a_warning() -> Result<()> {
    let Some(story) = Story::begin("admission-warnings")? else { return Ok(()) };
    let arguments = ["-n", story.namespace.as_str(), "apply", "-f", "-"];
    let cluster = &story.installation.cluster;
    for (name, spec, warning) in [
        (
            "same-gateways",
            "router: {gateway: {refs: [{name: a, namespace: x}]}, \
             route: {http: {spec: {parentRefs: [{name: a, namespace: x}]}}}}",
            "can be omitted",
        ),
        (
            "mounted",
            "model: {uri: 'oci://a/b', confidential: {enabled: true, resourceId: 'kbs:///a/b/c'}}",
            "oci://",
        ),
        (
            "claimed",
            "model: {uri: 'pvc://a/b', confidential: {enabled: true, resourceId: 'kbs:///a/b/c'}}",
            "pvc://",
        ),
        ("single-node", "parallelism: {data: 4, dataLocal: 2}", "no effect without spec.worker"),
        (
            "uneven",
            "{worker: {containers: []}, parallelism: {data: 5, dataLocal: 2}}",
            "room for only 4 of the 5",
        ),
        ("no-preset", "baseRefs: [{name: not-there}]", "LLMInferenceServiceConfig \"not-there\" not found"),
        ("no-gateway", "router: {gateway: {refs: [{name: absent, namespace: x}]}, route: {}}", "absent"),
        ("first", "model: {uri: 'hf://a/b', name: shared}", ""),
        (
            "second",
            "model: {uri: 'hf://a/b', name: shared}",
            "\"shared\" is also served by LLMInferenceService \"first\"",
        ),
    ] {
        let mut attempt = 0;
        story.eventually(&format!("{name} is warned of: {warning}"), || {
            // Caches follow the API server, and an object is only judged again when it changes.
            attempt += 1;
            let manifest = service(name, &format!("{{attempt: '{attempt}'}}"), spec);
            let said = cluster.kubectl_warnings(&arguments, &manifest)?;
            let is_warning = warning.is_empty() || said.starts_with("Warning: ");
            Ok((is_warning && said.contains(warning)).then_some(()))
        })?;
    }
    Ok(())
}

#[test]
fn defaults_are_stored() -> Result<()> {
    let Some(story) = Story::begin("admission-defaults")? else { return Ok(()) };
    story.apply(&service("plain", "{}", "{model: {uri: 'hf://a/b'}, template: {}}"))?;
    let plain = story.object("llmisvc", "plain")?;
    assert_eq!(plain["spec"]["model"]["name"], "plain");
    assert_eq!(plain["spec"]["template"]["containers"], json!([]));

    let grouped = "{model: {uri: 'hf://a/b', name: m}, router: {route: {group: canary, weight: 1}}}";
    story.apply(&service("grouped", "{}", grouped))?;
    let label = || -> Result<Value> {
        let grouped = story.object("llmisvc", "grouped")?;
        assert_eq!(grouped["spec"]["model"]["name"], "m");
        Ok(grouped["metadata"]["labels"]["serving.kserve.io/routing-group"].clone())
    };
    assert_eq!(label()?, "canary");
    let ungroup = json!({ "spec": { "router": { "route": { "group": null, "weight": null } } } });
    story.kubectl(&["patch", "llmisvc/grouped", "--type=merge", "-p", &ungroup.to_string()])?;
    assert_eq!(label()?, Value::Null, "the label goes with the group");
    Ok(())
}

#[test]
fn the_size_of_a_group_is_for_life() -> Result<()> {
    let Some(story) = Story::begin("admission-immutable")? else { return Ok(()) };
    let with = |pipeline: u32, prefill: u32, tensor: u32| {
        let of = |it: u32| format!("{{pipeline: {it}, tensor: {tensor}}}");
        let spec = format!(
            "{{model: {{uri: 'hf://a/b'}}, worker: {{containers: []}}, parallelism: {}, \
             prefill: {{worker: {{containers: []}}, parallelism: {}}}}}",
            of(pipeline),
            of(prefill)
        );
        story.apply(&service("wide", "{}", &spec))
    };
    with(2, 3, 1)?;
    with(2, 3, 2).context("other parallelism may change")?;
    for (change, path) in [(with(4, 3, 2), "spec.parallelism"), (with(2, 4, 2), "spec.prefill.parallelism")] {
        let refused = change.err().context("it was stored")?.to_string();
        assert!(refused.contains(&format!("{path}: Unsupported value")), "{refused}");
        assert!(refused.contains("create a second service"), "{refused}");
    }
    Ok(())
}

fn config(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceServiceConfig\n\
         metadata: {{name: {name}}}\nspec: {spec}\n"
    )
}

#[test]
fn configs_are_judged_when_written() -> Result<()> {
    let Some(story) = Story::begin("admission-configs")? else { return Ok(()) };
    for (spec, path, advice) in [
        ("{baseRefs: [{name: other}]}", "spec.baseRefs", "in the service's baseRefs"),
        ("{router: {scheduler: {replicas: 0}}}", "spec.router.scheduler.replicas", "set it to 1 or more"),
        (
            "{template: {containers: [{name: main, args: ['{{ .Spec.Nonsense }}']}]}}",
            "spec.template",
            "cannot be rendered",
        ),
        ("{template: {containers: [{name: main, args: ['{{ if']}]}}", "spec.template", "cannot be rendered"),
    ] {
        let refused =
            story.apply(&config("wrong", spec)).err().with_context(|| format!("{spec} was stored"))?;
        let refused = refused.to_string();
        assert!(refused.contains(path) && refused.contains(advice), "{spec}: {refused}");
    }
    story
        .apply(&config("right", "{template: {containers: [{name: main, args: ['{{ .Spec.Model.Name }}']}]}}"))
}

#[test]
fn a_preset_is_deleted_only_on_purpose() -> Result<()> {
    let Some(story) = Story::begin("admission-presets")? else { return Ok(()) };
    let cluster = &story.installation.cluster;
    // Dry runs, because other stories use the preset.
    let preset = "llminferenceserviceconfig/kserve-config-llm-tracing";
    let delete = || {
        let arguments = ["-n", SYSTEM_NAMESPACE, "delete", preset, "--dry-run=server"];
        cluster.kubectl_warnings(&arguments, "")
    };
    let annotate = |value: &str| cluster.kubectl(&["-n", SYSTEM_NAMESPACE, "annotate", preset, value]);
    let refused = delete().err().context("the preset may be deleted")?.to_string();
    assert!(refused.contains("llmd.ai/allow-deletion=true"), "{refused}");
    annotate("llmd.ai/allow-deletion=true")?;
    let warning = delete();
    annotate("llmd.ai/allow-deletion-")?;
    assert!(warning?.contains("services that need it will not be ready"));
    // A config of the same name elsewhere is nobody's preset.
    story.apply(&config("kserve-config-llm-tracing", "{}"))?;
    story.kubectl(&["delete", preset])?;
    story.gone("llminferenceserviceconfig", "kserve-config-llm-tracing")
}
