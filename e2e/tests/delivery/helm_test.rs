//! What a release says about itself is true: `helm test` passes with real pods, and what its notes tell people to type
//! works as printed.

use anyhow::{Result, ensure};
use llmd_e2e::helm::helm;
use serde_json::{Value, json};

use crate::guides;
use crate::stack::{self, MODEL, SYSTEM};
use crate::victims::answers_again;
use crate::world::World;

const ALONE: &str = "charts-alone";
/// The service of the demo.
const QUICKSTART: &str = "llmisvc/quickstart";
/// Ports take a moment to be forwarded; people are slower than that.
const PATIENCE: &str = "curl() {
  command curl --fail --silent --show-error --retry 20 --retry-connrefused --retry-delay 1 \"$@\"
}
";

pub(crate) fn story(world: &World) -> Result<()> {
    stack::provide(world)?;
    world.load("curl.tar")?;
    stack::installed(world)?;
    stack::with(world, &["quickstart.enabled=true"])?;
    world.wait_for(SYSTEM, QUICKSTART, "Ready")?;
    let told = tests(world, "llmd", SYSTEM).and_then(|()| notes(world, "llmd", SYSTEM));
    stack::with(world, &[])?;
    // Its manifest stays on purpose when the chart's value goes.
    world.kubectl().run(&["-n", SYSTEM, "delete", QUICKSTART, "--timeout=120s"])?;
    told
}

/// Model servers and a router by their charts alone, as a cluster without the controller has them.
pub(crate) fn charts_alone(world: &World) -> Result<()> {
    stack::provide(world)?;
    world.load("curl.tar")?;
    stack::restricted(world, ALONE)?;
    let folder = tempfile::tempdir()?;
    let values = folder.path().join("values.yaml");
    std::fs::write(&values, model_servers(world).to_string())?;
    let values = values.display().to_string();
    install(world, "models", "llmd-modelservice", &["--values", &values])?;
    // Without a pool, and so without any definition in the cluster.
    let selects = "router.inferencePool.create=false,router.modelServers.matchLabels.model=tiny";
    install(world, "router", "llmd-router", &["--set", selects])?;
    answers_again(world, &world.reach(ALONE, "router-epp", stack::PROXY)?)?;
    tests(world, "router", ALONE)?;
    notes(world, "models", ALONE)?;
    let told = notes(world, "router", ALONE);
    // What the notes have people make outside the namespace.
    let reader = ["delete", "clusterrole,clusterrolebinding", "decisions-reader", "--ignore-not-found"];
    world.kubectl().run(&reader)?;
    told
}

/// A prefill and a decode engine of the demo model, which nodes mount.
fn model_servers(world: &World) -> Value {
    let role = json!({
        "replicas": 1,
        "volumes": [{ "name": "model", "image": { "reference": world.image("llmd-tiny") } }],
        "containers": [{
            "name": "engine",
            "modelCommand": "vllmServe",
            "resources": { "requests": { "cpu": "100m", "memory": "128Mi" } },
            "volumeMounts": [{ "name": "model", "mountPath": "/mnt" }],
        }],
    });
    json!({
        "accelerator": { "type": "cpu" },
        "modelArtifacts": { "name": MODEL, "uri": "file:///mnt/models", "labels": { "model": "tiny" } },
        "decode": role,
        "prefill": role,
    })
}

fn install(world: &World, release: &str, chart: &str, values: &[&str]) -> Result<()> {
    let chart = format!("{}/{chart}", stack::charts());
    let images = stack::images(world);
    let arguments = ["upgrade", "--install", release, &chart, "--namespace", ALONE];
    let how = ["--wait", "--timeout=180s", "--set", &images];
    helm(world.kubectl(), &[arguments.as_slice(), how.as_slice(), values].concat()).map(drop)
}

fn tests(world: &World, release: &str, namespace: &str) -> Result<()> {
    let report = helm(world.kubectl(), &["test", release, "--namespace", namespace, "--timeout=120s"])?;
    let suites: Vec<&str> = report.lines().filter_map(|it| it.strip_prefix("TEST SUITE:")).collect();
    let passed = report.lines().filter(|it| it.starts_with("Phase:") && it.ends_with("Succeeded")).count();
    ensure!(!suites.is_empty() && passed == suites.len(), "helm test says:\n{report}");
    println!("  tests passed: {}", suites.iter().map(|it| it.trim()).collect::<Vec<_>>().join(", "));
    Ok(())
}

fn notes(world: &World, release: &str, namespace: &str) -> Result<()> {
    let notes = helm(world.kubectl(), &["get", "notes", release, "--namespace", namespace])?;
    let commands = commands(&notes);
    ensure!(commands.contains("curl "), "the notes name no curl line:\n{notes}");
    guides::run(world, &format!("the notes of {release}"), &(PATIENCE.to_owned() + &commands))?;
    println!("  the notes of {release} work as printed");
    Ok(())
}

/// The commands among the lines that are set off from the text, with the lines that they go on in.
fn commands(notes: &str) -> String {
    let set_off = notes.lines().filter_map(|it| it.strip_prefix("  "));
    let is_command = |it: &&str| it.starts_with("kubectl ") || it.starts_with("curl ") || it.starts_with(' ');
    set_off.filter(is_command).map(|it| format!("{it}\n")).collect()
}
