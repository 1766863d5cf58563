//! What becomes of the clusters that stand for rules with pools: whose picker is asked for which share of a rule.

use std::collections::BTreeMap;

use super::picker::Picker;
use super::pool::Pool;
use super::rules::{Backend, Origin, RouteKey, Rules};

/// The pools that are noted in clusters, by the clusters' names.
pub(super) type Noted = BTreeMap<String, Vec<Pool>>;

/// One cluster's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Of a cluster that is one backend's alone: its rule's name, under which routes have it.
    pub alone_in: Option<Origin>,
    /// The pools behind it with their weights; none when it is another backend's.
    pub shares: Vec<(Pool, u32)>,
    /// Weight of the other backends behind it, whose endpoints Envoy Gateway knows.
    pub others: u32,
}

/// Plans by the names of clusters.
pub(super) type Plans = BTreeMap<String, Plan>;

/// The routes whose rules a plan needs, each once.
pub(super) fn routes(noted: &Noted) -> impl Iterator<Item = RouteKey> + use<> {
    let routes = noted.keys().filter_map(|it| Origin::of_name(it)).map(|it| it.route);
    routes.collect::<std::collections::BTreeSet<_>>().into_iter()
}

/// Plans for every noted cluster.
pub(super) fn plans(noted: &Noted, rules: &Rules) -> Plans {
    noted.iter().map(|(name, pools)| (name.clone(), plan(Origin::of_name(name), pools, rules))).collect()
}

fn plan(origin: Option<Origin>, pools: &[Pool], rules: &Rules) -> Plan {
    let backends = origin.as_ref().and_then(|it| rules.get(&it.route)?.get(it.rule));
    let Some(backends) = backends else { return even(pools) };
    if let Some(origin) = origin.filter(|it| it.backend.is_some()) {
        let backend = origin.backend.and_then(|it| backends.get(it));
        let share = backend.and_then(|it| Some((pool_of(it, pools)?, it.weight)));
        let rule = Origin { backend: None, ..origin };
        return Plan { alone_in: Some(rule), shares: share.into_iter().collect(), others: 0 };
    }
    let (mut shares, mut others) = (Vec::new(), 0);
    for backend in backends.iter().filter(|it| it.weight > 0) {
        match pool_of(backend, pools) {
            Some(pool) => shares.push((pool, backend.weight)),
            None => others += backend.weight,
        }
    }
    // The route is newer than what Envoy Gateway knows, which will ask again.
    if shares.is_empty() { even(pools) } else { Plan { alone_in: None, shares, others } }
}

/// For lack of something better every pool gets as much as another.
fn even(pools: &[Pool]) -> Plan {
    Plan { alone_in: None, shares: pools.iter().map(|it| (it.clone(), 1)).collect(), others: 0 }
}

fn pool_of(backend: &Backend, pools: &[Pool]) -> Option<Pool> {
    let is_it = |it: &&Pool| {
        backend.kind == "InferencePool"
            && (&backend.group, &backend.namespace, &backend.name) == (&it.group, &it.namespace, &it.name)
    };
    pools.iter().find(is_it).cloned()
}

impl Plan {
    /// Name of the cluster that leads to the pools behind the cluster `name`, if there are any: the cluster itself,
    /// unless other backends need it as it is.
    pub(super) fn cluster_of_pools(&self, name: &str) -> Option<String> {
        match (self.shares.is_empty(), self.others) {
            (true, _) => None,
            (false, 0) => Some(name.to_owned()),
            (false, _) => Some(format!("{name}/pools")),
        }
    }

    /// The pool that gets everything, when there is one.
    pub(super) fn only_pool(&self) -> Option<&Pool> {
        match &*self.shares {
            [(pool, _)] if self.others == 0 => Some(pool),
            _ => None,
        }
    }
}

/// Every picker that is asked, by the name of its cluster.
pub(super) fn pickers(plans: &Plans) -> BTreeMap<String, &Picker> {
    let pools = plans.values().flat_map(|it| &it.shares);
    pools.filter_map(|(it, _)| it.picker.as_ref()).map(|it| (it.cluster_name(), it)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(name: &str) -> Pool {
        Pool { group: "g".into(), namespace: "team".into(), name: name.into(), picker: None }
    }

    fn backend(kind: &str, name: &str, weight: u32) -> Backend {
        let group = if kind == "Service" { "" } else { "g" };
        let text = str::to_owned;
        Backend { group: text(group), kind: text(kind), namespace: text("team"), name: text(name), weight }
    }

    fn planned(cluster: &str, pools: &[&str], backends: Vec<Backend>) -> (Vec<(String, u32)>, u32) {
        let rules = Rules::from([(("team".to_owned(), "chat".to_owned()), vec![backends])]);
        let pools: Vec<Pool> = pools.iter().map(|it| pool(it)).collect();
        let plan = plan(Origin::of_name(cluster), &pools, &rules);
        (plan.shares.into_iter().map(|(it, weight)| (it.name, weight)).collect(), plan.others)
    }

    const RULE: &str = "httproute/team/chat/rule/0";

    #[test]
    fn shares_are_the_rules_weights() {
        let backends = || {
            vec![
                backend("InferencePool", "new", 5),
                backend("Service", "old", 7),
                backend("InferencePool", "old", 95),
                backend("InferencePool", "away", 0),
            ]
        };
        let expected = vec![("new".to_owned(), 5), ("old".to_owned(), 95)];
        assert_eq!(planned(RULE, &["old", "new"], backends()), (expected, 7));

        let alone = |index| planned(&format!("{RULE}/backend/{index}"), &["old", "new"], backends());
        assert_eq!(alone(0), (vec![("new".to_owned(), 5)], 0));
        assert_eq!(alone(1), (vec![], 0), "the Service's cluster stays as it is");
        assert_eq!(alone(9), (vec![], 0));
    }

    #[test]
    fn without_the_rule_every_pool_gets_as_much() {
        let expected = vec![("a".to_owned(), 1), ("b".to_owned(), 1)];
        assert_eq!(planned("grpcroute/team/chat/rule/0", &["a", "b"], vec![]), (expected.clone(), 0));
        let elsewhere = vec![backend("InferencePool", "c", 1)];
        assert_eq!(planned(RULE, &["a", "b"], elsewhere), (expected, 0));
    }
}
