//! The default gateway of the installation, as its administrator would make it and a gateway's controller accept it.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Installation, SYSTEM_NAMESPACE};

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: envoy}
spec: {controllerName: example.com/gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: kserve-ingress-gateway, namespace: kserve}
spec:
  gatewayClassName: envoy
  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]
";

impl Installation {
    /// Makes the default gateway, with an address.
    ///
    /// # Errors
    /// When the API server refuses.
    pub fn install_gateway(&self) -> Result<()> {
        self.cluster.apply(GATEWAY)?;
        let accepted = json!({ "status": {
            "addresses": [{ "type": "IPAddress", "value": "203.0.113.7" }],
            "conditions": [condition("Accepted", 0), condition("Programmed", 0)],
        } });
        let (gateway, accepted) = ("gateway/kserve-ingress-gateway", accepted.to_string());
        let how = ["--subresource=status", "--type=merge", "-p", &accepted];
        let arguments = ["-n", SYSTEM_NAMESPACE, "patch", gateway].into_iter().chain(how);
        self.cluster.kubectl(&arguments.collect::<Vec<_>>()).map(drop)
    }
}

/// A condition that holds, as routing objects have it.
#[must_use]
pub fn condition(type_: &str, generation: i64) -> Value {
    json!({ "type": type_, "status": "True", "reason": type_, "message": "", "observedGeneration": generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z" })
}
