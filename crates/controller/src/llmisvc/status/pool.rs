//! Whether the gateways have taken over the pool, in either of its API groups.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use llmd_api::gateway::ParentReference;

use super::conditions::Verdict;
use super::router::{GatewayKey, describe, find, holds};
use crate::children::ChildKind;
use crate::live::{LiveChild, LiveDetail};
use crate::llmisvc::facts::routing::{parent_gateway, pool_reference};
use crate::llmisvc::render::scheduler;
use crate::llmisvc::service::Service;

/// What gateways say of a pool in one API group.
#[derive(Debug, Clone, Default)]
struct Reports<'a> {
    generation: i64,
    parents: Vec<(&'a ParentReference, &'a [Condition])>,
}

/// One gateway's position.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Position {
    Accepted,
    /// It has said nothing yet.
    Silent,
    /// With what it said.
    Refused(String),
}

/// The condition `InferencePoolReady`: one API group satisfies every one of `gateways`. Without gateways, when
/// something else attaches the pool, one parent that accepted it is enough; where nothing does, an endpoint picker
/// that answers requests itself.
#[must_use]
pub fn verdict(service: &Service, gateways: &BTreeSet<GatewayKey>) -> Verdict {
    let groups: Vec<Reports<'_>> = [v1(service), v1alpha2(service)].into_iter().flatten().collect();
    if groups.is_empty() {
        return missing(service);
    }
    let positions: Vec<_> = groups.iter().map(|it| it.positions(gateways, &service.namespace)).collect();
    if positions.iter().any(|it| !it.is_empty() && it.iter().all(|(_, it)| *it == Position::Accepted)) {
        return Verdict::True;
    }
    let is_attached = !gateways.is_empty() || positions.iter().any(|it| !it.is_empty());
    if !is_attached && scheduler::answers_itself(service) {
        return Verdict::True;
    }
    // The group that some gateway has an opinion of tells more than one that nobody reads.
    let spoken = positions.iter().find(|it| it.iter().any(|(_, it)| *it != Position::Silent));
    explain(spoken.or_else(|| positions.first()).map_or(&[], Vec::as_slice))
}

fn missing(service: &Service) -> Verdict {
    let name = format!("InferencePool {}/{}", service.namespace, service.pool_name());
    if pool_reference(&service.spec).is_some() {
        Verdict::no("InferencePoolFetchError", format!("{name} does not exist"))
    } else {
        Verdict::no("WaitingForGateway", format!("{name} has not been created yet"))
    }
}

fn explain(positions: &[(GatewayKey, Position)]) -> Verdict {
    let refused = positions.iter().any(|(_, it)| matches!(it, Position::Refused(_)));
    let reason = if refused { "InferencePoolNotReady" } else { "WaitingForGateway" };
    let problems = positions.iter().filter_map(|((namespace, name), it)| match it {
        Position::Accepted => None,
        Position::Silent => Some(format!("Gateway {namespace}/{name} has not reported on the InferencePool")),
        Position::Refused(what) => Some(format!("Gateway {namespace}/{name}: {what}")),
    });
    let problems: Vec<String> = problems.collect();
    if problems.is_empty() {
        return Verdict::no(reason, "no Gateway has accepted the InferencePool");
    }
    Verdict::no(reason, problems.join("; "))
}

impl Reports<'_> {
    /// The position of each of `gateways`. Without any, the positions that count are those of whoever accepted.
    fn positions(&self, gateways: &BTreeSet<GatewayKey>, namespace: &str) -> Vec<(GatewayKey, Position)> {
        let keyed = self
            .parents
            .iter()
            .filter_map(|(it, conditions)| Some((parent_gateway(it, namespace)?, *conditions)));
        let keyed: Vec<_> = keyed.collect();
        if gateways.is_empty() {
            let all = keyed.into_iter().map(|(key, it)| (key, self.position(&[it]))).collect::<Vec<_>>();
            let accepted: Vec<_> = all.iter().filter(|(_, it)| *it == Position::Accepted).cloned().collect();
            return if accepted.is_empty() { all } else { accepted };
        }
        let position = |gateway: &GatewayKey| {
            let entries: Vec<_> = keyed.iter().filter(|(key, _)| key == gateway).map(|(_, it)| *it).collect();
            (gateway.clone(), self.position(&entries))
        };
        gateways.iter().map(position).collect()
    }

    /// Every entry of a gateway must accept: several controllers may report for it.
    fn position(&self, entries: &[&[Condition]]) -> Position {
        let mut refusing =
            entries.iter().map(|it| find(it, "Accepted")).filter(|it| !holds(*it, self.generation));
        match refusing.next() {
            _ if entries.is_empty() => Position::Silent,
            None => Position::Accepted,
            Some(it) => Position::Refused(describe("Accepted", it, self.generation)),
        }
    }
}

fn v1(service: &Service) -> Option<Reports<'_>> {
    let (generation, status) = if pool_reference(&service.spec).is_some() {
        let pool = service.facts.routing.pool_v1.as_deref()?;
        (pool.metadata.generation.unwrap_or(0), pool.status.as_ref())
    } else {
        match service.facts.live.get(ChildKind::InferencePool, &service.names().pool())? {
            LiveChild { generation, detail: LiveDetail::InferencePool(it), .. } => (*generation, Some(&**it)),
            _ => return None,
        }
    };
    let parents = status.into_iter().flat_map(|it| &it.parents);
    let parents = parents.map(|it| (&it.parent_ref, it.conditions.as_slice())).collect();
    Some(Reports { generation, parents })
}

fn v1alpha2(service: &Service) -> Option<Reports<'_>> {
    let (generation, status) = if pool_reference(&service.spec).is_some() {
        let pool = service.facts.routing.pool_v1alpha2.as_deref()?;
        (pool.metadata.generation.unwrap_or(0), pool.status.as_ref())
    } else {
        match service.facts.live.get(ChildKind::InferencePoolV1Alpha2, &service.names().pool())? {
            LiveChild { generation, detail: LiveDetail::InferencePoolV1Alpha2(it), .. } => {
                (*generation, Some(&**it))
            }
            _ => return None,
        }
    };
    let parents = status.into_iter().flat_map(|it| &it.parent);
    let parents = parents.map(|it| (&it.parent_ref, it.conditions.as_slice())).collect();
    Some(Reports { generation, parents })
}

#[cfg(test)]
mod tests;
