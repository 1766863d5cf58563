//! A small server behind a Service, for stories that need something to answer.

use anyhow::Result;

use crate::world::World;

const MANIFEST: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: hello}
spec:
  selector: {matchLabels: {app: hello}}
  template:
    metadata: {labels: {app: hello}}
    spec:
      containers:
        - name: hello
          image: localhost/hello:1
          imagePullPolicy: Never
          ports: [{name: http, containerPort: 8080}]
          readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: hello}
spec: {selector: {app: hello}, ports: [{port: 80, targetPort: http}]}
";

/// Brings the server up as Service `hello`, port 80.
pub(crate) fn serve(world: &World, namespace: &str) -> Result<()> {
    world.load("hello.tar")?;
    apply(world, namespace, MANIFEST)?;
    world.rolled_out(namespace, "deployment/hello")
}

/// Applies objects into a namespace.
pub(crate) fn apply(world: &World, namespace: &str, yaml: &str) -> Result<()> {
    let arguments = ["-n", namespace, "apply", "--server-side", "-f", "-"];
    world.kubectl().run_with_input(&arguments, yaml).map(drop)
}
