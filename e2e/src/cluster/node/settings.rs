//! The configuration files of the programs of a real node. Pure.

use std::path::Path;

use super::super::machine::RUN;
use super::super::network::{DNS, NODE, PODS};
use super::{NAME, socket};

/// How pods get their addresses.
pub(super) fn pod_network(folder: &Path) -> String {
    let addresses = folder.join("addresses");
    let bridge = serde_json::json!({
        "type": "bridge",
        "bridge": "pods",
        "isGateway": true,
        "ipMasq": true,
        "hairpinMode": true,
        "ipam": {
            "type": "host-local",
            "dataDir": addresses,
            "ranges": [[{ "subnet": PODS }]],
            "routes": [{ "dst": "0.0.0.0/0" }],
        },
    });
    let ports = serde_json::json!({ "type": "portmap", "capabilities": { "portMappings": true } });
    serde_json::json!({ "cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, ports] }).to_string()
}

/// The container runtime.
pub(super) fn containerd(folder: &Path, bin: &Path) -> String {
    let (folder, bin, socket) = (folder.display(), bin.display(), socket());
    format!(
        r#"version = 3
root = "{folder}/containerd"
state = "{RUN}/state"
disabled_plugins = ["io.containerd.nri.v1.nri"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "localhost/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
  # Lowering it needs CAP_SYS_RESOURCE, which root in a container often lacks.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{bin}/cni"]
  conf_dir = "{folder}/cni"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  Root = "{RUN}/runc"
"#
    )
}

/// The node's agent. Full disks of a developer's machine must not evict the tests.
pub(super) fn kubelet(folder: &Path, ca: &Path) -> String {
    let (folder, ca, socket) = (folder.display(), ca.display(), socket());
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {NODE}
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: {ca}}}}}
authorization: {{mode: Webhook}}
cgroupDriver: cgroupfs
failCgroupV1: false
clusterDNS: [{DNS}]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://{socket}
enableServer: true
evictionHard: {{memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}}
failSwapOn: false
healthzPort: 0
imageGCHighThresholdPercent: 100
oomScoreAdj: 0
podLogsDir: {folder}/pod-logs
readOnlyPort: 0
resolvConf: {folder}/resolv.conf
shutdownGracePeriod: 0s
tlsCertFile: {folder}/kubelet.crt
tlsPrivateKeyFile: {folder}/kubelet.key
volumePluginDir: {folder}/volume-plugins
"
    )
}

/// Services. The sysctls of connection tracking are this machine's and stay as they are.
pub(super) fn kube_proxy(kubeconfig: &str) -> String {
    format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {{kubeconfig: {kubeconfig}}}
hostnameOverride: {NAME}
clusterCIDR: {PODS}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
nodePortAddresses: [{NODE}/32]
oomScoreAdj: 0
iptables: {{minSyncPeriod: 0s}}
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
"
    )
}
