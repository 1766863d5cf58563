//! The routing group: its members in the status, and what divides it.

use llmd_api::serving::conditions as types;
use llmd_api::serving::status::{GroupMember, GroupStatus};

use super::conditions::{Conditions, Verdict};
use crate::llmisvc::render::router::{group, route};
use crate::llmisvc::service::Service;

/// Reason of members that answer for other models; also the reason of the event.
pub const MEMBER_DIVERGENCE: &str = "MemberDivergence";

/// Marks the group's conditions. Neither counts for `Ready`, and a group that is not degraded has no word on it.
pub fn mark(service: &Service, conditions: &mut Conditions) {
    if route(service).is_none_or(|it| it.group.is_none()) {
        return;
    }
    conditions.mark(types::GROUP_READY, Verdict::True);
    if let Some(message) = divergence(service) {
        conditions.mark(types::GROUP_DEGRADED, Verdict::noted(MEMBER_DIVERGENCE, message));
    }
}

/// The section `status.router.group`. Stopped members are listed without a backend.
#[must_use]
pub fn status(service: &Service) -> Option<GroupStatus> {
    let group = group::group(service)?;
    let members = group.members.into_iter().map(|it| GroupMember {
        name: it.name,
        weight: it.weight,
        stopped: it.stopped,
        backend_ref: (!it.stopped).then_some(it.backend),
    });
    Some(GroupStatus { name: group.name, members: members.collect() })
}

/// Which services of the group get no share because they answer for other models.
#[must_use]
pub fn divergence(service: &Service) -> Option<String> {
    let group = group::group(service)?;
    (!group.divergent.is_empty()).then(|| {
        format!(
            "routing group {}: {} answer for other models than {} and get no requests through its route; give all members the same model name and adapters",
            group.name,
            group.divergent.join(", "),
            service.name,
        )
    })
}
