//! Which endpoints may serve a request, before any plugin has a say.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::datastore::Endpoint;
use crate::scheduling::Candidate;

/// The role that requests can do without: a decode endpoint can prefill for itself.
const PREFILL: Option<&str> = Some("prefill");

/// Endpoints that may serve an inference request: those in `subset` if there is one, without `excluded`, and
/// without endpoints that do not answer as long as others can take their place.
#[must_use]
pub fn for_inference<'a>(
    endpoints: &'a [Arc<Endpoint>],
    subset: Option<&[String]>,
    excluded: &[String],
) -> Vec<Candidate<'a>> {
    let mut left: Vec<&Arc<Endpoint>> = not_excluded(endpoints, excluded).collect();
    if let Some(subset) = subset {
        left.retain(|endpoint| subset.iter().any(|hint| names(hint, endpoint)));
    }
    let reachable: Vec<_> = left.iter().copied().filter(|it| it.state.is_reachable()).collect();
    left.retain(|it| it.state.is_reachable() || !has_stand_in(it, &reachable));
    left.into_iter().enumerate().map(|(index, it)| Candidate::new(index, it)).collect()
}

/// Endpoints that may serve a request about which nothing is known: those that answer, or all if none does.
#[must_use]
pub fn for_any_request<'a>(endpoints: &'a [Arc<Endpoint>], excluded: &[String]) -> Vec<&'a Arc<Endpoint>> {
    let reachable: Vec<_> = not_excluded(endpoints, excluded).filter(|it| it.state.is_reachable()).collect();
    if reachable.is_empty() { not_excluded(endpoints, excluded).collect() } else { reachable }
}

fn not_excluded<'a>(
    endpoints: &'a [Arc<Endpoint>],
    excluded: &[String],
) -> impl Iterator<Item = &'a Arc<Endpoint>> {
    endpoints.iter().filter(|it| !excluded.contains(&it.host_port))
}

/// Whether requests can go on without `endpoint`: another one of its role answers, or its role can be left out.
fn has_stand_in(endpoint: &Endpoint, reachable: &[&Arc<Endpoint>]) -> bool {
    let role = endpoint.role();
    reachable.iter().any(|other| other.role() == role || (role == PREFILL && other.role() != PREFILL))
}

/// Whether a subset entry, `ip:port` or just `ip`, names `endpoint`.
fn names(hint: &str, endpoint: &Endpoint) -> bool {
    let address = endpoint.spec.address;
    hint.parse::<SocketAddr>().is_ok_and(|it| it == address)
        || hint.parse::<IpAddr>().is_ok_and(|it| it == address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{EndpointBuilder, endpoint, store};

    /// Names of the candidates among `endpoints`, of which those in `dead` do not answer.
    #[track_caller]
    fn check(endpoints: Vec<EndpointBuilder>, dead: &[usize], subset: Option<&[&str]>, expected: &[&str]) {
        let store = store(endpoints);
        let endpoints = store.endpoints();
        for &index in dead {
            endpoints[index].state.set_reachable(false);
        }
        let subset: Option<Vec<String>> = subset.map(|it| it.iter().map(|&it| it.to_owned()).collect());
        let found = for_inference(&endpoints, subset.as_deref(), &[]);
        let names: Vec<_> = found.iter().map(|it| it.endpoint.spec.name.as_str()).collect();
        assert_eq!(names, expected);
        assert!(found.iter().enumerate().all(|(index, it)| it.index == index));
    }

    fn two() -> Vec<EndpointBuilder> {
        vec![endpoint("a").port(1), endpoint("b").port(2)]
    }

    #[test]
    fn the_subset_is_matched_by_address_and_port() {
        check(two(), &[], None, &["a", "b"]);
        check(two(), &[], Some(&["127.0.0.1:2"]), &["b"]);
        check(two(), &[], Some(&["127.0.0.1"]), &["a", "b"]);
        check(two(), &[], Some(&["127.0.0.1:3", "nonsense"]), &[]);
        check(two(), &[], Some(&[]), &[]);
    }

    #[test]
    fn dead_endpoints_are_left_out_while_others_serve() {
        check(two(), &[0], None, &["b"]);
        check(two(), &[0, 1], None, &["a", "b"]);
        check(two(), &[1], Some(&["127.0.0.1:2"]), &["b"]);
    }

    #[test]
    fn roles_stand_in_for_themselves_and_prefill_can_be_left_out() {
        let disagg = || {
            vec![endpoint("p").role("prefill"), endpoint("d").role("decode"), endpoint("e").role("decode")]
        };
        check(disagg(), &[0], None, &["d", "e"]);
        check(disagg(), &[1], None, &["p", "e"]);
        check(disagg(), &[1, 2], None, &["p", "d", "e"]);
        check(disagg(), &[0, 1, 2], None, &["p", "d", "e"]);
    }

    #[test]
    fn what_failed_for_this_request_is_not_tried_again() {
        let store = store(two());
        let endpoints = store.endpoints();
        let found = for_inference(&endpoints, None, &["127.0.0.1:1".to_owned()]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].endpoint.spec.name, "b");
    }

    #[test]
    fn requests_without_a_body_prefer_who_answers() {
        let store = store(two());
        let endpoints = store.endpoints();
        endpoints[0].state.set_reachable(false);
        assert_eq!(for_any_request(&endpoints, &[])[0].spec.name, "b");
        endpoints[1].state.set_reachable(false);
        assert_eq!(for_any_request(&endpoints, &[]).len(), 2);
    }
}
