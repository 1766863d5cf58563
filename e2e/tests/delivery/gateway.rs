//! A gateway as an operator's cluster has it: Envoy Gateway programs Envoy from a Gateway and an HTTPRoute.

use anyhow::Result;
use llmd_e2e::provider::Addition;

use crate::hello;
use crate::world::World;

const NAMESPACE: &str = "gateway";
const ROUTE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front}
spec:
  gatewayClassName: envoy
  listeners: [{name: http, protocol: HTTP, port: 80}]
---
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
    world.install(Addition::Gateway)?;
    world.namespace(NAMESPACE)?;
    hello::serve(world, NAMESPACE)?;
    hello::apply(world, NAMESPACE, ROUTE)?;
    world.wait_for(NAMESPACE, "gateway/front", "Programmed")?;
    let (namespace, service) = proxy(world)?;
    let envoy = world.reach(&namespace, &service, 80)?;
    world.eventually("the route answers", || {
        let reply = world.get(&envoy, "/hello/there")?;
        Ok((reply.status == 200 && reply.text().contains("/hello/there")).then_some(()))
    })?;
    let elsewhere = world.get(&envoy, "/elsewhere")?.status;
    anyhow::ensure!(elsewhere == 404, "what no route names is not found, not {elsewhere}");
    Ok(())
}

/// Namespace and name of the Service in front of the gateway's Envoy.
fn proxy(world: &World) -> Result<(String, String)> {
    let namespace = "envoy-gateway-system";
    let labels = "gateway.envoyproxy.io/owning-gateway-name=front,\
                  gateway.envoyproxy.io/owning-gateway-namespace=gateway";
    let name = world.eventually("the gateway has a Service", || {
        let name = world.field(namespace, &["services", "-l", labels], "{.items[*].metadata.name}")?;
        Ok((!name.is_empty()).then_some(name))
    })?;
    Ok((namespace.to_owned(), name))
}
