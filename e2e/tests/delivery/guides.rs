//! The pages of `docs`: what they tell people to type is run as it stands.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use llmd_e2e::provider::{self, Addition};
use llmd_e2e::skip::skip;
use llmd_e2e::{command, helm};

use crate::beside::Process;
use crate::world::World;
use crate::{gateway, pools, stack};

/// Namespaces of the guides.
const FIRST: &str = "first";
const APART: &str = "apart";
const GROUP: &str = "group";
const GATED: &str = "gated";
/// A page that takes longer waits for something that does not come.
const PAGE_DEADLINE: Duration = Duration::from_secs(420);
/// Lines of a page's output in a failure's message.
const SHOWN_LINES: usize = 25;

pub(crate) fn first_service(world: &World) -> Result<()> {
    stack::provide(world)?;
    page(world, "first-service", FIRST)
}

pub(crate) fn prefill_and_decode(world: &World) -> Result<()> {
    stack::installed(world)?;
    page(world, "prefill-and-decode", APART)
}

pub(crate) fn several_nodes(world: &World) -> Result<()> {
    stack::installed(world)?;
    page(world, "several-nodes", GROUP)
}

/// The operator's page, from the first install to the last trace.
pub(crate) fn install(world: &World) -> Result<()> {
    if !world.provider().takes_archives() {
        return skip(
            "the page ends with the removal of every service, which may not be the stories' own here",
        );
    }
    stack::provide(world)?;
    world.load("curl.tar")?;
    run(world, "install.md", &commands(&read("install.md")?)?)?;
    let kinds =
        "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations";
    for label in ["app.kubernetes.io/instance=llmd", "app.kubernetes.io/part-of=llminferenceservice"] {
        let left = world.kubectl().run(&["get", kinds, "-l", label, "-o", "name"])?;
        ensure!(left.is_empty(), "the page leaves behind {left}");
    }
    Ok(())
}

pub(crate) fn envoy_gateway(world: &World) -> Result<()> {
    stack::installed(world)?;
    let told = page(world, "envoy-gateway", GATED);
    // A page that fails does not come to its end, where it does so itself.
    if told.is_err()
        && let Err(error) = pools::unextended(world)
    {
        println!("  Envoy Gateway still asks for the extension server: {error:#}");
    }
    told?;
    let kept = world.field(gateway::SYSTEM, &["configmap", "envoy-gateway-config"], "{.data}")?;
    ensure!(!kept.contains("extensionManager"), "Envoy Gateway still asks for the extension server");
    Ok(())
}

/// Waits until nothing is left of the namespaces that the guides deleted without waiting: no finalizer holds them.
pub(crate) fn are_cleaned_up(world: &World) -> Result<()> {
    let get = ["get", "namespaces", FIRST, APART, GROUP, GATED, "--ignore-not-found", "-o", "name"];
    world.eventually("the guides' namespaces are gone", || {
        Ok(world.kubectl().run(&get)?.is_empty().then_some(()))
    })
}

/// Runs a page. What an earlier run left of its namespace goes first; what the page leaves of it goes with the story.
fn page(world: &World, name: &str, namespace: &'static str) -> Result<()> {
    world.clear(namespace)?;
    let page = format!("guides/{name}.md");
    run(world, &page, &commands(&read(&page)?)?)
}

/// A page of `docs`.
fn read(page: &str) -> Result<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// Runs lines of shell as somebody would type them with the cluster before them; `name` says where they are from.
pub(crate) fn run(world: &World, name: &str, commands: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("page.sh");
    fs::write(&script, commands)?;
    let log = folder.path().join("log");
    let mut shell = shell(world, &script, &log)?;
    let status = command::ended(&mut shell.child, PAGE_DEADLINE)?;
    // What it left running writes no more.
    drop(shell);
    let output = fs::read_to_string(&log)?;
    let lines: Vec<&str> = output.lines().collect();
    let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
    match status {
        Some(status) => ensure!(status.success(), "{name} failed ({status}):\n{last}"),
        None => bail!("{name} does not end within {PAGE_DEADLINE:?}:\n{last}"),
    }
    Ok(())
}

/// The commands of all blocks that are marked as a shell's.
fn commands(page: &str) -> Result<String> {
    let blocks = page.split("\n```sh\n").skip(1).filter_map(|it| it.split_once("\n```"));
    let commands: Vec<&str> = blocks.map(|(commands, _)| commands).collect();
    ensure!(!commands.is_empty(), "the page has no block that begins with ```sh");
    Ok(commands.join("\n") + "\n")
}

/// A shell that types the script. Pages forward ports in the background, which goes with it.
fn shell(world: &World, script: &Path, log: &Path) -> Result<Process> {
    let kubectl = world.kubectl();
    let folder = script.parent().context("a file lies in a folder")?;
    let log = File::create(log)?;
    let mut bash = Command::new("bash");
    bash.args(["-euxo", "pipefail"]).arg(script).current_dir(folder);
    bash.env("PATH", llmd_e2e::args::path_beginning_with(kubectl.bin())?);
    helm::lead(&mut bash, kubectl);
    if let Ok(chart) = provider::chart(world.provider(), Addition::Gateway) {
        bash.env("ENVOY_GATEWAY", chart);
    }
    bash.env("CHARTS", stack::charts()).env("REGISTRY", world.registry()).env("VERSION", world.tag());
    Process::start(bash.stdout(log.try_clone()?).stderr(log))
}
