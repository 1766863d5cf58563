//! llmd in the cluster, installed as its documents say, and the demo model served by it.

use std::path::Path;

use anyhow::Result;
use llmd_e2e::helm::{clear, helm, is_deployed};
use serde_json::{Value, json};

use crate::hello;
use crate::world::{Reach, World};

/// Namespace of the installation.
pub(crate) const SYSTEM: &str = "llmd-system";
/// Name of every service of the stories, and of the model as clients call it.
pub(crate) const SERVICE: &str = "tiny";
pub(crate) const MODEL: &str = "llmd-tiny";
/// Port of the endpoint picker's own proxy.
pub(crate) const PROXY: u16 = 8081;
/// Labels of pods: the controller's, a service's endpoint pickers', its engines', and those of either role.
pub(crate) const CONTROLLER: &str = "app.kubernetes.io/name=llmd-controller";
pub(crate) const PICKER: &str = "app.kubernetes.io/component=llminferenceservice-router-scheduler";
pub(crate) const WORKLOAD: &str = "app.kubernetes.io/component=llminferenceservice-workload";
pub(crate) const DECODE: &str = "llm-d.ai/role=decode";
pub(crate) const PREFILL: &str = "llm-d.ai/role=prefill";
const IMAGES: [&str; 6] =
    ["llmd-controller", "llmd-engine", "llmd-epp", "llmd-sidecar", "llmd-storage", "llmd-tiny"];

/// Folder of the charts.
pub(crate) fn charts() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("charts").display().to_string()
}

/// Makes the images of a serving stack known to the nodes.
pub(crate) fn provide(world: &World) -> Result<()> {
    IMAGES.iter().try_for_each(|it| world.provide(it))
}

/// The charts' values that choose the stories' images.
pub(crate) fn images(world: &World) -> String {
    format!("global.imageRegistry={},global.imageTag={}", world.registry(), world.tag())
}

/// Installs both charts, or upgrades what is there.
pub(crate) fn install(world: &World) -> Result<()> {
    let definitions = format!("{}/llmd-crds", charts());
    helm(world.kubectl(), &["upgrade", "--install", "llmd-crds", &definitions, "--wait", "--timeout=60s"])?;
    with(world, &[])?;
    conversion_is_led(world)
}

/// Installs llmd with values beside the stories' own, or upgrades it to them; the definitions are there.
pub(crate) fn with(world: &World, values: &[&str]) -> Result<()> {
    let chart = format!("{}/llmd", charts());
    let images = images(world);
    let release = ["upgrade", "--install", "llmd", &chart, "--namespace", SYSTEM, "--create-namespace"];
    let how = ["--wait", "--timeout=180s", "--set", &images];
    let values = values.iter().flat_map(|it| ["--set", it]).collect::<Vec<_>>();
    helm(world.kubectl(), &[release.as_slice(), how.as_slice(), values.as_slice()].concat()).map(drop)
}

/// Waits until the controller leads the conversion of its definitions to itself: an upgrade of their chart that looked
/// before and writes afterwards would conflict with it.
fn conversion_is_led(world: &World) -> Result<()> {
    let definitions = ["llminferenceservices", "llminferenceserviceconfigs"];
    let names = definitions.map(|it| format!("crd/{it}.serving.kserve.io"));
    let path = "{.items[*].spec.conversion.webhook.clientConfig.service.namespace}";
    world.eventually("the definitions lead to the controller", || {
        let namespaces = world.field("default", &[&names[0], &names[1]], path)?;
        Ok(namespaces.split(' ').all(|it| it == SYSTEM).then_some(()))
    })
}

/// As [`install`], unless an earlier story did it. What that one left unfinished goes first.
pub(crate) fn installed(world: &World) -> Result<()> {
    if is_deployed(world.kubectl(), "llmd", SYSTEM)? {
        return Ok(());
    }
    provide(world)?;
    clear(world.kubectl(), "llmd", SYSTEM)?;
    install(world)
}

/// A namespace whose pods have to follow the strictest rules that Kubernetes knows.
pub(crate) fn restricted(world: &World, name: &'static str) -> Result<()> {
    world.namespace(name)?;
    let label = "pod-security.kubernetes.io/enforce=restricted";
    world.kubectl().run(&["label", "namespace", name, label]).map(drop)
}

/// The manifest of a service of the demo model with `spec` over the plainest one.
pub(crate) fn manifest(world: &World, spec: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": { "name": SERVICE },
        "spec": {
            "model": { "name": MODEL, "uri": format!("oci+native://{}", world.image("llmd-tiny")) },
            "replicas": 1,
            "router": { "scheduler": {} },
        },
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        object["spec"][key] = value.clone();
    }
    object
}

/// Applies the manifest of [`manifest`] and waits until the service is ready; returns its entrance.
pub(crate) fn serve(world: &World, namespace: &'static str, spec: &Value) -> Result<Reach> {
    installed(world)?;
    restricted(world, namespace)?;
    hello::apply(world, namespace, &manifest(world, spec).to_string())?;
    world.wait_for(namespace, "llmisvc/tiny", "Ready")?;
    entrance(world, namespace)
}

/// The endpoint picker's own proxy before a service.
pub(crate) fn entrance(world: &World, namespace: &str) -> Result<Reach> {
    let entrance = world.reach(namespace, "tiny-epp-service", PROXY)?;
    // The API server knows of the Service before the node does.
    world.eventually("the entrance is open", || {
        world.get(&entrance, "/v1/models").map(|it| (it.status == 200).then_some(()))
    })?;
    Ok(entrance)
}
