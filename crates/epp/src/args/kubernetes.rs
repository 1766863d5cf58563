//! Flags about the cluster, as [`Kubernetes`].

use std::path::PathBuf;

use super::Error;
use crate::kubernetes::pool::PoolApi;
use crate::kubernetes::{Kubernetes, Scope};

/// Most ports of an endpoint's pod, as in an InferencePool.
const MAX_PORTS: usize = 8;

/// The flags as typed.
pub(super) struct Flags {
    pub(super) kubeconfig: Option<PathBuf>,
    pub(super) pool_name: String,
    pub(super) pool_namespace: String,
    pub(super) pool_group: String,
    pub(super) endpoint_selector: String,
    pub(super) endpoint_target_ports: String,
    pub(super) leader_election: bool,
    pub(super) metrics_access: bool,
    pub(super) pod_name: String,
}

/// How the process is bound to its cluster; `None` when the flags say nothing of pods.
pub(super) fn check(flags: Flags) -> Result<Option<Kubernetes>, Error> {
    let Flags {
        kubeconfig,
        pool_name,
        pool_namespace,
        pool_group,
        endpoint_selector,
        endpoint_target_ports,
        leader_election,
        metrics_access,
        pod_name,
    } = flags;
    let election = leader_election.then(|| identity(&pod_name));
    let (pool_name, scope) = match (pool_name.is_empty(), endpoint_selector.is_empty()) {
        (true, true) if leader_election => {
            return Err(Error::Missing {
                flag: "--ha-enable-leader-election",
                needs: "--pool-name or --endpoint-selector, which name the lease",
            });
        }
        (true, true) => return Ok(None),
        (false, false) => {
            return Err(Error::Exclusive("--pool-name", "--endpoint-selector"));
        }
        (false, true) if !endpoint_target_ports.is_empty() => {
            return Err(Error::Exclusive("--pool-name", "--endpoint-target-ports"));
        }
        (false, true) => {
            let api = PoolApi::of_group(&pool_group).ok_or_else(|| Error::Invalid {
                flag: "--pool-group",
                value: pool_group,
                problem: format!("use {} or {}", PoolApi::V1.group(), PoolApi::V1Alpha2.group()),
            })?;
            (pool_name.clone(), Scope::Pool { name: pool_name, api })
        }
        (true, false) => {
            let ports = ports(endpoint_target_ports)?;
            let name = deployment_of(&pod_name).unwrap_or_default().to_owned();
            if leader_election && name.is_empty() {
                return Err(Error::Missing {
                    flag: "--ha-enable-leader-election with --endpoint-selector",
                    needs: "the environment variable POD_NAME of a Deployment's pod, which names the lease",
                });
            }
            (name, Scope::Selector { selector: endpoint_selector, ports })
        }
    };
    let namespace = if pool_namespace.is_empty() { "default".to_owned() } else { pool_namespace };
    Ok(Some(Kubernetes { kubeconfig, namespace, pool_name, scope, election, metrics_access }))
}

fn ports(list: String) -> Result<Vec<u16>, Error> {
    let flag = "--endpoint-target-ports";
    if list.is_empty() {
        return Err(Error::Missing { flag: "--endpoint-selector", needs: flag });
    }
    let ports: Option<Vec<u16>> =
        list.split(',').map(|it| it.trim().parse().ok().filter(|&port| port > 0)).collect();
    let is_unique = |ports: &[u16]| (1..ports.len()).all(|it| !ports[..it].contains(&ports[it]));
    ports.filter(|it| it.len() <= MAX_PORTS && is_unique(it)).ok_or_else(|| Error::Invalid {
        flag,
        value: list,
        problem: format!("use up to {MAX_PORTS} different ports, such as 8000 or 8000,8001"),
    })
}

/// Name of the Deployment whose pod is called `<name>-<hash>-<suffix>`.
fn deployment_of(pod: &str) -> Option<&str> {
    let (rest, suffix) = pod.rsplit_once('-')?;
    let (name, hash) = rest.rsplit_once('-')?;
    let is_part = |it: &str| {
        !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    (is_part(suffix) && is_part(hash) && !name.is_empty()).then_some(name)
}

/// The pod's name, or the host's, with a part that tells two processes of one host apart.
fn identity(pod_name: &str) -> String {
    let host = rustix::system::uname();
    let name = if pod_name.is_empty() { &*host.nodename().to_string_lossy() } else { pod_name };
    format!("{name}_{}", uuid::Uuid::new_v4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_known_by_its_pods() {
        assert_eq!(deployment_of("my-epp-7d4b9c-x2x"), Some("my-epp"));
        assert_eq!(deployment_of("epp"), None);
        assert_eq!(deployment_of("epp-0"), None);
        assert_eq!(deployment_of("-a-b"), None);
    }

    #[test]
    fn ports_are_a_short_list_without_doubles() {
        assert_eq!(ports("8000, 8001".to_owned()).unwrap(), [8000, 8001]);
        for wrong in ["0", "8000,8000", "a", "8000,", "65536", "1,2,3,4,5,6,7,8,9"] {
            assert!(ports(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn identities_of_two_processes_differ() {
        assert_ne!(identity("pod"), identity("pod"));
        assert!(identity("pod").starts_with("pod_"));
    }
}
