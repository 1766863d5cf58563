//! The ground that the other stories stand on: pods run, and have addresses, names, volumes, rights and an end.

use std::io::Read as _;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use crate::beside::Process;
use crate::hello;
use crate::world::World;

const MANIFEST: &str = include_str!("smoke.yaml");
const NAMESPACE: &str = "smoke";

pub(crate) fn story(world: &World) -> Result<()> {
    world.load("hello.tar")?;
    world.namespace(NAMESPACE)?;
    hello::apply(world, NAMESPACE, MANIFEST)?;
    world.rolled_out(NAMESPACE, "deployment/hello")?;
    let pods = ["pods", "-l", "app=hello"];
    let pod = world.field(NAMESPACE, &pods, "{.items[0].metadata.name}")?;
    let address = world.field(NAMESPACE, &pods, "{.items[0].status.podIP}")?;
    it_answers(world, &pod, &address)?;
    it_has_its_volumes(world, &pod)?;
    it_finds_others_by_name(world, &pod)?;
    it_has_an_account(world, &pod)?;
    it_ends_gracefully(world, &pod)
}

/// By its own address and by that of its Service.
fn it_answers(world: &World, pod: &str, address: &str) -> Result<()> {
    if let Some(reach) = world.reach_pod(address, 8080) {
        see("the pod's address", &world.get(&reach, "/")?.text(), &format!("hello from {pod}"))?;
    }
    let service = world.reach(NAMESPACE, "hello", 80)?;
    see("the Service's address", &world.get(&service, "/")?.text(), "hello from")?;
    let log = world.kubectl().run(&["-n", NAMESPACE, "logs", pod, "-c", "hello"])?;
    see("the log", &log, "GET /ready")
}

fn it_has_its_volumes(world: &World, pod: &str) -> Result<()> {
    let log = world.kubectl().run(&["-n", NAMESPACE, "logs", pod, "-c", "copy"])?;
    see("the init container", &log, "from-configmap")?;
    see("the ConfigMap", &exec(world, pod, &["cat", "/config/greeting"])?, "from-configmap")?;
    see("the Secret", &exec(world, pod, &["cat", "/secret/word"])?, "from-secret")?;
    see("the emptyDir in memory", &exec(world, pod, &["cat", "/proc/mounts"])?, " /dev/shm tmpfs")
}

fn it_finds_others_by_name(world: &World, pod: &str) -> Result<()> {
    for name in ["hello", "hello.smoke.svc.cluster.local"] {
        let url = format!("http://{name}/");
        see(&format!("the name {name}"), &exec(world, pod, &["get", &url])?, "hello from")?;
    }
    Ok(())
}

/// The API server knows it by its token.
fn it_has_an_account(world: &World, pod: &str) -> Result<()> {
    let token = exec(world, pod, &["cat", "/var/run/secrets/kubernetes.io/serviceaccount/token"])?;
    see("the account", &review(world, token.trim())?, "system:serviceaccount:smoke:default")
}

/// The user that the API server takes a token for.
fn review(world: &World, token: &str) -> Result<String> {
    let review = serde_json::json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": { "token": token },
    });
    let arguments = ["create", "-f", "-", "-o=jsonpath={.status.user.username}"];
    world.kubectl().run_with_input(&arguments, &review.to_string())
}

/// It hears of its end, finishes its work, and another takes its place.
fn it_ends_gracefully(world: &World, pod: &str) -> Result<()> {
    let mut kubectl = world.kubectl().command(&["-n", NAMESPACE, "logs", "--follow", pod, "-c", "hello"]);
    let mut following = Process::start(kubectl.stdout(Stdio::piped()))?;
    world.kubectl().run(&["-n", NAMESPACE, "delete", "pod", pod, "--timeout=60s"])?;
    let mut log = String::new();
    following.child.stdout.take().context("standard output is piped")?.read_to_string(&mut log)?;
    see("the graceful end", &log, "bye")?;
    world.rolled_out(NAMESPACE, "deployment/hello")
}

/// What the small server's program prints when it is run in the pod.
fn exec(world: &World, pod: &str, arguments: &[&str]) -> Result<String> {
    let command = ["-n", NAMESPACE, "exec", pod, "-c", "hello", "--", "/hello"];
    world.kubectl().run(&[&command, arguments].concat())
}

fn see(what: &str, found: &str, wanted: &str) -> Result<()> {
    ensure!(found.contains(wanted), "{what}: {wanted:?} is not in {found:?}");
    println!("  {what}");
    Ok(())
}
