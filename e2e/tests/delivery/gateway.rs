//! A gateway as an operator's cluster has it: Envoy Gateway programs Envoy from a Gateway and an HTTPRoute.

use anyhow::Result;

use crate::hello;
use crate::world::{Reach, World};

/// Namespace of Envoy Gateway and of every Envoy.
pub(crate) const SYSTEM: &str = "envoy-gateway-system";
const NAMESPACE: &str = "gateway";
const FRONT: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front}
spec:
  gatewayClassName: envoy
  listeners: [{name: http, protocol: HTTP, port: 80}]
";
const ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: hello}
spec:
  parentRefs: [{name: front}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /hello}}]
      backendRefs: [{name: hello, port: 80}]
";

pub(crate) fn story(world: &World) -> Result<()> {
    world.namespace(NAMESPACE)?;
    hello::serve(world, NAMESPACE)?;
    let envoy = front(world, NAMESPACE)?;
    hello::apply(world, NAMESPACE, ROUTE)?;
    world.eventually("the route answers", || {
        let reply = world.get(&envoy, "/hello/there")?;
        Ok((reply.status == 200 && reply.text().contains("/hello/there")).then_some(()))
    })?;
    let elsewhere = world.get(&envoy, "/elsewhere")?.status;
    anyhow::ensure!(elsewhere == 404, "what no route names is not found, not {elsewhere}");
    Ok(())
}

/// Makes the Gateway `front` of a namespace and waits for its Envoy.
pub(crate) fn front(world: &World, namespace: &str) -> Result<Reach> {
    hello::apply(world, namespace, FRONT)?;
    world.wait_for(namespace, "gateway/front", "Programmed")?;
    let labels = format!(
        "gateway.envoyproxy.io/owning-gateway-name=front,\
         gateway.envoyproxy.io/owning-gateway-namespace={namespace}"
    );
    let name = world.eventually("the gateway has a Service", || {
        let name = world.field(SYSTEM, &["services", "-l", &labels], "{.items[*].metadata.name}")?;
        Ok((!name.is_empty()).then_some(name))
    })?;
    world.reach(SYSTEM, &name, 80)
}
