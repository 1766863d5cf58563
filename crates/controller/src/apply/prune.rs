//! Removal of what a service owns and no longer wants.

use std::collections::HashSet;

use kube::api::{DeleteParams, Preconditions, PropagationPolicy};

use super::{ApplyError, Outcome, Owner, api_of};
use crate::children::{Child, ChildKind};
use crate::context::Context;
use crate::live::{LiveChild, LiveChildren};

/// Deletes the live objects of the service that are not among `wanted`.
pub async fn prune(
    context: &Context,
    owner: &Owner,
    live: &LiveChildren,
    wanted: &[Child],
    outcome: &mut Outcome,
) {
    let wanted: HashSet<_> = wanted.iter().map(|it| (it.kind, it.name.as_str())).collect();
    for child in &live.children {
        if wanted.contains(&(child.kind, child.name.as_str())) || child.deleting || !is_ours(owner, child) {
            continue;
        }
        match delete(context, owner, child).await {
            Ok(()) => outcome.deleted.push((child.kind, child.name.clone())),
            Err(error) => outcome.failures.push(error),
        }
    }
}

/// Whether the object may be deleted: the service controls it, or it is the cluster-wide binding, which cannot have
/// an owner in a namespace. What several services share stays.
fn is_ours(owner: &Owner, child: &LiveChild) -> bool {
    child.owner_uid.as_deref() == Some(owner.uid.as_str())
        || (child.kind == ChildKind::ClusterRoleBinding && child.owner_uid.is_none())
}

/// Deletes exactly this object; one that is gone already is fine.
pub async fn delete(context: &Context, owner: &Owner, child: &LiveChild) -> Result<(), ApplyError> {
    let api = api_of(context.client.clone(), child.kind, child.namespace.as_deref());
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions { uid: Some(child.uid.clone()), resource_version: None }),
        ..DeleteParams::default()
    };
    match api.delete(&child.name, &params).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
        Err(source) => {
            let (kind, name) = (child.kind, child.name.clone());
            return Err(ApplyError::Request { kind, name, verb: "delete", source: source.into() });
        }
    }
    context.applied.set(&owner.key, child.kind, &child.name, None);
    Ok(())
}
