//! Names of a service's children. They are public: dashboards, autoscalers and the other implementation of this
//! controller derive them, so none may change.

use llmd_api::names::child_name;
use sha2::{Digest, Sha256};

/// The children's names of one service.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    namespace: &'a str,
    service: &'a str,
}

impl<'a> Names<'a> {
    /// Names for the service `namespace`/`service`.
    #[must_use]
    pub const fn new(namespace: &'a str, service: &'a str) -> Self {
        Self { namespace, service }
    }

    fn child(self, suffix: &str) -> String {
        child_name(self.service, suffix)
    }

    /// Secret with the certificate of every pod of the service.
    #[must_use]
    pub fn certificate(self) -> String {
        self.child("-kserve-self-signed-certs")
    }

    /// Deployment of the main workload, and its generated service account.
    #[must_use]
    pub fn workload(self) -> String {
        self.child("-kserve")
    }

    /// Deployment of the prefill workload.
    #[must_use]
    pub fn prefill(self) -> String {
        self.child("-kserve-prefill")
    }

    /// LeaderWorkerSet of the main workload, and its generated service account.
    #[must_use]
    pub fn multi_node(self) -> String {
        self.child("-kserve-mn")
    }

    /// LeaderWorkerSet of the prefill workload, and its generated service account.
    #[must_use]
    pub fn multi_node_prefill(self) -> String {
        self.child("-kserve-mn-prefill")
    }

    /// Role of the routing sidecar, single node.
    #[must_use]
    pub fn sidecar_role(self) -> String {
        self.child("-kserve-role")
    }

    /// Binding of [`Self::sidecar_role`].
    #[must_use]
    pub fn sidecar_role_binding(self) -> String {
        self.child("-kserve-rb")
    }

    /// Role of the routing sidecar, multi-node.
    #[must_use]
    pub fn multi_node_role(self) -> String {
        self.child("-kserve-mn-role")
    }

    /// Binding of [`Self::multi_node_role`].
    #[must_use]
    pub fn multi_node_role_binding(self) -> String {
        self.child("-kserve-mn-rb")
    }

    /// Service in front of every workload pod.
    #[must_use]
    pub fn workload_service(self) -> String {
        self.child("-kserve-workload-svc")
    }

    /// ResourceClaimTemplate of managed devices, before the content hash.
    #[must_use]
    pub fn managed_dra(self) -> String {
        self.child("-managed-dra")
    }

    /// HorizontalPodAutoscaler of the main or the prefill workload.
    #[must_use]
    pub fn hpa(self, prefill: bool) -> String {
        self.child(if prefill { "-kserve-prefill-hpa" } else { "-kserve-hpa" })
    }

    /// ScaledObject of the main or the prefill workload.
    #[must_use]
    pub fn scaled_object(self, prefill: bool) -> String {
        self.child(if prefill { "-kserve-prefill-keda" } else { "-kserve-keda" })
    }

    /// The managed HTTPRoute.
    #[must_use]
    pub fn route(self) -> String {
        self.child("-kserve-route")
    }

    /// The managed InferencePool, in both API groups.
    #[must_use]
    pub fn pool(self) -> String {
        self.child("-inference-pool")
    }

    /// Deployment of the endpoint picker.
    #[must_use]
    pub fn scheduler(self) -> String {
        self.child("-kserve-router-scheduler")
    }

    /// Default name of the endpoint picker's Service.
    #[must_use]
    pub fn scheduler_service(self) -> String {
        self.child("-epp-service")
    }

    /// Generated service account of the endpoint picker.
    #[must_use]
    pub fn scheduler_account(self) -> String {
        self.child("-epp-sa")
    }

    /// Role of the endpoint picker.
    #[must_use]
    pub fn scheduler_role(self) -> String {
        self.child("-epp-role")
    }

    /// Binding of [`Self::scheduler_role`].
    #[must_use]
    pub fn scheduler_role_binding(self) -> String {
        self.child("-epp-rb")
    }

    /// Name of a cluster-wide object. The hash is of `namespace/service`, so no two services share it.
    fn cluster_wide(self, purpose: &str) -> String {
        let digest = Sha256::digest(format!("{}/{}", self.namespace, self.service));
        let hash: String = digest.iter().take(8).map(|it| format!("{it:02x}")).collect();
        child_name(&format!("{}-{}", self.namespace, self.service), &format!("-{purpose}-{hash}"))
    }

    /// Cluster-wide binding that lets the endpoint picker review tokens.
    #[must_use]
    pub fn auth_binding(self) -> String {
        self.cluster_wide("epp-auth")
    }

    /// Cluster-wide binding that lets [`Self::metrics_reader`] read the endpoint picker's metrics.
    #[must_use]
    pub fn metrics_binding(self) -> String {
        self.cluster_wide("metrics")
    }

    /// KServe's name of the cluster-wide binding that lets the endpoint picker review tokens. Ambiguous: `a` +
    /// `b-c` and `a-b` + `c` share it. Only read, to take over what the other implementation left.
    #[must_use]
    pub fn legacy_auth_binding(self) -> String {
        child_name(self.namespace, &format!("-{}-epp-auth-rb", self.service))
    }

    /// PodMonitor of the model servers.
    #[must_use]
    pub fn engine_monitor(self) -> String {
        self.child("-kserve-engine")
    }

    /// ServiceMonitor of the endpoint picker.
    #[must_use]
    pub fn scheduler_monitor(self) -> String {
        self.child("-kserve-scheduler")
    }

    /// Service account that Prometheus reads the endpoint picker's metrics as, and the Secret with its token.
    #[must_use]
    pub fn metrics_reader(self) -> String {
        self.child("-metrics-reader")
    }

    /// Deployment and Service of the tokenizer.
    #[must_use]
    pub fn tokenizer(self) -> String {
        self.child("-tokenizer")
    }
}
