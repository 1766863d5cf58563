//! A group of pods as one: its workers find their leader, and the group is ready when all of it is.

use anyhow::Result;

use crate::hello;
use crate::world::World;

const NAMESPACE: &str = "lws";
const GROUP: &str = "
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata: {name: group}
spec:
  replicas: 1
  leaderWorkerTemplate:
    size: 2
    workerTemplate:
      spec:
        terminationGracePeriodSeconds: 1
        containers:
          - name: hello
            image: localhost/hello:1
            imagePullPolicy: Never
            ports: [{containerPort: 8080}]
            readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 1}
";

pub(crate) fn story(world: &World) -> Result<()> {
    world.load("hello.tar")?;
    world.namespace(NAMESPACE)?;
    hello::apply(world, NAMESPACE, GROUP)?;
    world.wait_for(NAMESPACE, "leaderworkerset/group", "Available")?;
    let leader = world.field(
        NAMESPACE,
        &["pod", "group-0-1"],
        "{.spec.containers[0].env[?(@.name==\"LWS_LEADER_ADDRESS\")].value}",
    )?;
    let url = format!("http://{leader}:8080/");
    let ask = ["-n", NAMESPACE, "exec", "group-0-1", "--", "/hello", "get", &url];
    world.eventually("the worker reaches its leader by name", || {
        Ok(world.kubectl().run(&ask)?.contains("hello from group-0 ").then_some(()))
    })
}
