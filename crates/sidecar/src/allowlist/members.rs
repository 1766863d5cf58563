//! The pods of the pool, as the events of their watch tell them. Pure.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use serde_json::Value;

use super::Host;

/// A pod, by what a routing header may call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The pod's name.
    pub name: String,
    /// Its addresses; a pod without one is no member yet.
    pub addresses: Vec<IpAddr>,
}

impl Member {
    /// Reads `status.podIP` and `status.podIPs`. Readiness does not count. A pod that has ended has no address any
    /// more: its status keeps it, but another pod may have got it.
    #[must_use]
    pub fn of(pod: &DynamicObject) -> Self {
        let status = &pod.data["status"];
        let has_ended = matches!(status["phase"].as_str(), Some("Succeeded" | "Failed"));
        let listed = status["podIPs"].as_array().into_iter().flatten().map(|it| &it["ip"]);
        let texts = std::iter::once(&status["podIP"]).chain(listed).filter_map(Value::as_str);
        let addresses = texts.filter_map(|it| it.parse().ok()).filter(|_| !has_ended).collect();
        Self { name: pod.name_any(), addresses }
    }
}

/// The members by pod name.
#[derive(Debug, Default)]
pub struct Members {
    current: BTreeMap<String, Vec<IpAddr>>,
    /// What a list under way has brought so far.
    listed: BTreeMap<String, Vec<IpAddr>>,
}

impl Members {
    /// Follows one event. Returns the hosts that count from now on, `None` inside a list, whose beginning says
    /// nothing about the pods that it has not come to yet.
    pub fn take(&mut self, event: Event<Member>) -> Option<HashSet<Host>> {
        match event {
            Event::Init => {
                self.listed.clear();
                return None;
            }
            Event::InitApply(it) => {
                self.listed.insert(it.name, it.addresses);
                return None;
            }
            Event::InitDone => self.current = std::mem::take(&mut self.listed),
            Event::Apply(it) => drop(self.current.insert(it.name, it.addresses)),
            Event::Delete(it) => drop(self.current.remove(&it.name)),
        }
        Some(self.hosts())
    }

    fn hosts(&self) -> HashSet<Host> {
        let members = self.current.iter().filter(|(_, addresses)| !addresses.is_empty());
        members.flat_map(|(name, addresses)| hosts_of(name, addresses)).collect()
    }
}

fn hosts_of(name: &str, addresses: &[IpAddr]) -> impl Iterator<Item = Host> {
    let addresses = addresses.iter().map(|it| Host::Address(it.to_canonical()));
    addresses.chain(std::iter::once(Host::Name(name.to_ascii_lowercase())))
}
