//! The real node's network: a namespace of its own, tied to this machine by a veth pair.
//!
//! Its bridge, iptables rules and sysctls are not this machine's. This machine has routes to the pods and Services,
//! so tests reach them directly; pods have no way out.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::Result;

use crate::command::output;

/// Name of the namespace and of the end of the veth pair on this side.
pub(super) const NAME: &str = "llmd-e2e";
/// This machine as the node sees it; the API server listens here.
pub(super) const HOST: Ipv4Addr = Ipv4Addr::new(10, 243, 0, 1);
/// The node.
pub(super) const NODE: Ipv4Addr = Ipv4Addr::new(10, 243, 0, 2);
pub(super) const PODS: &str = "10.244.0.0/24";
pub(super) const SERVICES: &str = "10.96.0.0/16";
/// Cluster DNS, as `e2e/k8s/coredns.yaml` asks for it.
pub(super) const DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

/// The namespace as a file that `nsenter` takes.
pub(super) fn namespace() -> String {
    format!("/run/netns/{NAME}")
}

/// A program that runs in the namespace. `nsenter` becomes the program, so its process id is the program's.
pub(super) fn inside(program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", namespace())).arg(program);
    command
}

/// Makes the namespace and the routes to it.
///
/// # Errors
/// When a command fails; the message holds it.
pub(super) fn make() -> Result<()> {
    let (host, node) = (HOST.to_string(), NODE.to_string());
    let (host_net, node_net) = (format!("{host}/24"), format!("{node}/24"));
    ip(&["netns", "add", NAME])?;
    ip(&["link", "add", NAME, "type", "veth", "peer", "name", "eth0", "netns", NAME])?;
    ip(&["addr", "add", &host_net, "dev", NAME])?;
    ip(&["link", "set", NAME, "up"])?;
    ip(&["-n", NAME, "link", "set", "lo", "up"])?;
    ip(&["-n", NAME, "addr", "add", &node_net, "dev", "eth0"])?;
    ip(&["-n", NAME, "link", "set", "eth0", "up"])?;
    ip(&["route", "add", PODS, "via", &node])?;
    ip(&["route", "add", SERVICES, "via", &node])?;
    // Never taken: kube-proxy rewrites the destination, but only of packets that have a route.
    ip(&["-n", NAME, "route", "add", SERVICES, "via", &host])?;
    let settings = ["net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1"];
    output(inside("sysctl").arg("-qw").args(settings)).map(drop)
}

/// Removes the namespace; the veth pair, the routes, the bridge and the iptables rules go with it.
///
/// # Errors
/// When the namespace is there and cannot be removed.
pub(super) fn remove() -> Result<()> {
    if std::path::Path::new(&namespace()).exists() { ip(&["netns", "delete", NAME]) } else { Ok(()) }
}

fn ip(arguments: &[&str]) -> Result<()> {
    output(Command::new("ip").args(arguments)).map(drop)
}
