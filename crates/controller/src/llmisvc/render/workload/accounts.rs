//! The service account of a workload's pods: the user's, a generated one where pods need permissions of their own,
//! or the namespace's default.

use k8s_openapi::api::core::v1::{LocalObjectReference, ObjectReference, ServiceAccount};

use super::{PodPosition, Workload, labels, sidecar};
use crate::children::{Child, ChildKind};

/// Which account the pods of a workload run with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountChoice<'a> {
    /// An account of the user, and the pod spec that names it.
    Named(&'a str, PodPosition),
    /// An account of this name that the controller makes.
    Generated(String),
    /// The namespace's default account.
    Default,
}

impl<'a> AccountChoice<'a> {
    /// The account of the workload's pods. Groups always get an account; single pods only for the routing sidecar.
    #[must_use]
    pub fn of(workload: &Workload<'a>) -> Self {
        let generated = generated_name(workload);
        let named = named(workload).filter(|(name, _)| generated.as_deref() != Some(*name));
        match (named, generated) {
            (Some((name, position)), _) => Self::Named(name, position),
            (None, Some(generated)) => Self::Generated(generated),
            (None, None) => Self::Default,
        }
    }

    /// Name of the account; `None` for the default one, which pods need not name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name, _) => Some(name),
            Self::Generated(name) => Some(name),
            Self::Default => None,
        }
    }
}

/// The generated account, where the workload needs one. It may use what the namespace's default account may use.
#[must_use]
pub fn render(workload: &Workload<'_>) -> Option<Child> {
    let AccountChoice::Generated(name) = AccountChoice::of(workload) else { return None };
    let service = workload.service;
    let default = &service.facts.accounts.default;
    let secrets =
        default.secrets.iter().map(|it| ObjectReference { name: Some(it.clone()), ..Default::default() });
    let pull_secrets = default.image_pull_secrets.iter().map(|it| LocalObjectReference { name: it.clone() });
    let object = ServiceAccount {
        metadata: service.child_meta(name, labels::of_support(workload)),
        secrets: Some(secrets.collect()).filter(|it: &Vec<_>| !it.is_empty()),
        image_pull_secrets: Some(pull_secrets.collect()).filter(|it: &Vec<_>| !it.is_empty()),
        automount_service_account_token: None,
    };
    Some(Child::new(ChildKind::ServiceAccount, &object))
}

/// The account that the user names, in the leader's or single pod's spec before the worker's.
fn named<'a>(workload: &Workload<'a>) -> Option<(&'a str, PodPosition)> {
    workload.pods().find_map(|(position, pod)| {
        let name = pod.service_account_name.as_deref().filter(|it| !it.is_empty())?;
        Some((name, position))
    })
}

fn generated_name(workload: &Workload<'_>) -> Option<String> {
    let needed = workload.is_multi_node() || sidecar::is_in(workload);
    needed.then(|| workload.name())
}
