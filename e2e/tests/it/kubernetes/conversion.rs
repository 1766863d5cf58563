//! Both versions of the API are read and written, and neither loses what the other knows.

use std::path::Path;

use anyhow::{Context as _, Result};
use llmd_e2e::cluster::{Cluster, Level};
use serde_json::{Value, json};

use super::story::Story;

const V1: &str = "llminferenceservices.v1alpha1.serving.kserve.io";
const V2: &str = "llminferenceservices.v1alpha2.serving.kserve.io";

/// A client of the first version with everything that only this version has.
const OLD: &str = "
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: old}
spec:
  model:
    uri: hf://org/model
    name: model
    criticality: Critical
    lora: {adapters: [{name: a, uri: 'hf://org/a'}, {name: b, uri: 'hf://org/b', criticality: Sheddable}]}
  router:
    route: {}
    scheduler:
      pool:
        spec:
          targetPortNumber: 8000
          selector: {app: mine}
          extensionRef: {name: picker, portNumber: 9002, failureMode: FailOpen}
";

/// A client of the second version with everything that the first lacks.
const NEW: &str = "
apiVersion: serving.kserve.io/v1alpha2
kind: LLMInferenceService
metadata: {name: new}
spec:
  model: {uri: 'hf://org/model', name: model, confidential: {enabled: true, resourceId: 'kbs:///repo/type/tag'}}
  kvCacheOffloading: {cpu: 10Gi, evictionPolicy: arc, secondary: [{fileSystem: {emptyDir: {size: 1Gi}}}]}
  prefill: {kvCacheOffloading: {cpu: 5Gi}}
";

fn read(story: &Story, kind: &str, name: &str) -> Result<Value> {
    story.find(kind, name)?.with_context(|| format!("{kind}/{name} is gone"))
}

fn replace(story: &Story, object: &Value) -> Result<()> {
    let arguments = ["-n", story.namespace.as_str(), "replace", "-f", "-"];
    story.installation.cluster.kubectl_with_input(&arguments, &object.to_string()).map(drop)
}

#[test]
fn what_a_client_of_the_first_version_writes_it_reads_back() -> Result<()> {
    let Some(story) = Story::begin("conversion-old")? else { return Ok(()) };
    story.apply(OLD)?;
    let first = read(&story, V1, "old")?;
    let model = &first["spec"]["model"];
    assert_eq!(model["criticality"], "Critical");
    assert_eq!(model["lora"]["adapters"][1]["criticality"], "Sheddable");
    let pool = &first["spec"]["router"]["scheduler"]["pool"]["spec"];
    assert_eq!((&pool["targetPortNumber"], &pool["selector"]), (&json!(8000), &json!({"app": "mine"})));
    assert_eq!(pool["extensionRef"]["name"], "picker");
    assert_eq!(pool["extensionRef"]["failureMode"], "FailOpen");

    let second = read(&story, V2, "old")?;
    let pool = &second["spec"]["router"]["scheduler"]["pool"]["spec"];
    assert_eq!(pool["targetPorts"], json!([{ "number": 8000 }]));
    assert_eq!(pool["selector"]["matchLabels"], json!({"app": "mine"}));
    assert_eq!(pool["endpointPickerRef"]["port"], json!({ "number": 9002 }));
    assert_eq!(
        second["metadata"]["annotations"]["internal.serving.kserve.io/model-criticality"], "Critical",
        "the stored version remembers"
    );

    // Through the second version and back.
    story.eventually("an edit of the second version is stored", || {
        let mut second = read(&story, V2, "old")?;
        second["metadata"]["labels"]["edited"] = "yes".into();
        Ok(replace(&story, &second).ok())
    })?;
    let back = read(&story, V1, "old")?;
    assert_eq!(back["spec"], first["spec"]);
    assert_eq!(back["metadata"]["labels"]["edited"], "yes");
    Ok(())
}

#[test]
fn a_client_of_the_first_version_does_not_erase_the_second() -> Result<()> {
    let Some(story) = Story::begin("conversion-new")? else { return Ok(()) };
    story.apply(NEW)?;
    story.condition("new", "PresetsCombined", "True")?;
    let before = read(&story, V2, "new")?;
    story.eventually("an edit of the first version is stored", || {
        let mut first = read(&story, V1, "new")?;
        assert_eq!(first["spec"]["kvCacheOffloading"], Value::Null, "the first version does not know it");
        first["metadata"]["labels"] = json!({ "edited": "yes" });
        Ok(replace(&story, &first).ok())
    })?;
    let after = read(&story, V2, "new")?;
    assert_eq!(after["metadata"]["labels"]["edited"], "yes");
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(after["metadata"]["annotations"], before["metadata"]["annotations"], "nothing is left behind");
    assert_eq!(after["status"]["appliedConfigs"], before["status"]["appliedConfigs"]);
    let first = read(&story, V1, "new")?;
    assert_eq!(first["status"]["conditions"], read(&story, V2, "new")?["status"]["conditions"]);
    Ok(())
}

/// The second version only warns of it.
#[test]
fn the_first_version_does_not_let_gateways_be_named_twice() -> Result<()> {
    let Some(story) = Story::begin("conversion-parents")? else { return Ok(()) };
    let manifest = |version: &str| {
        format!(
            "
apiVersion: serving.kserve.io/{version}
kind: LLMInferenceService
metadata: {{name: twice}}
spec:
  model: {{uri: 'hf://a/b'}}
  router:
    gateway: {{refs: [{{name: a, namespace: x}}]}}
    route: {{http: {{spec: {{parentRefs: [{{name: a, namespace: x}}]}}}}}}
"
        )
    };
    let refused = story.apply(&manifest("v1alpha1")).err().context("it was stored")?.to_string();
    assert!(refused.contains("spec.router.route.http.spec: Forbidden: "), "{refused}");
    assert!(refused.contains("can be omitted"), "{refused}");
    story.apply(&manifest("v1alpha2"))
}

/// Client-side apply keeps a copy of the object in an annotation of at most 256 KiB.
#[test]
fn the_slim_definitions_take_a_service_and_every_preset_by_plain_apply() -> Result<()> {
    let cluster = match Cluster::start(Level::ControlPlane)? {
        Ok(cluster) => cluster,
        Err(reason) => {
            println!("skipped: {reason}");
            return Ok(());
        }
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the crate lies in the workspace")?;
    let path = |it: &str| root.join(it).display().to_string();
    cluster.kubectl(&["apply", "-f", &path("charts/llmd-crds/files/slim")])?;
    cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"])?;
    cluster.kubectl_with_input(&["apply", "-f", "-"], NEW)?;
    cluster.kubectl(&["apply", "-f", &path("crates/controller/presets")])?;
    let stored = cluster.get("default", V2, "new")?.context("the service is stored")?;
    assert_eq!(stored["spec"]["kvCacheOffloading"]["cpu"], "10Gi");
    let configs = cluster.kubectl(&["get", "llminferenceserviceconfigs", "-A", "-o", "name"])?;
    let n_files = std::fs::read_dir(root.join("crates/controller/presets"))?.count();
    assert!(configs.lines().count() >= n_files, "{configs}");
    Ok(())
}
