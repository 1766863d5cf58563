//! Which model serves requests for a model name.
//!
//! A rule for exactly this name comes before rules for every name, an older rewrite before a younger one, and an
//! earlier rule before a later one. Of the rule's targets one is chosen at random by weight. Targets without a weight
//! are chosen only where none has one, and then evenly.

use std::collections::HashMap;

use rand::RngCore;
use rand::seq::IndexedRandom;

/// One rewrite object, its rules in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// Its name, for metrics.
    pub name: String,
    /// Seconds since 1970: the older of two rewrites wins.
    pub created: i64,
    /// In order.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Model names it is for; none means all.
    pub models: Vec<String>,
    /// What to serve with.
    pub targets: Vec<Target>,
}

/// A model to serve with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub model: String,
    /// Its share.
    pub weight: Option<u32>,
}

/// The rules of all rewrites, in a form that is quick to ask.
#[derive(Debug, Default)]
pub struct Rewrites {
    exact: HashMap<String, Choice>,
    generic: Option<Choice>,
}

/// The targets of one rule and the rewrite that holds it.
#[derive(Debug, Clone)]
struct Choice {
    rewrite: String,
    targets: Vec<Target>,
}

impl Rewrites {
    /// Puts the rewrites of a pool into their order.
    #[must_use]
    pub fn new(mut rewrites: Vec<Rewrite>) -> Self {
        // The name decides between equally old ones, so that every replica decides alike.
        rewrites.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        let mut ordered = Self::default();
        for Rewrite { name, rules, .. } in rewrites {
            for Rule { models, targets } in rules.into_iter().filter(|it| !it.targets.is_empty()) {
                let choice = Choice { rewrite: name.clone(), targets };
                if models.is_empty() {
                    ordered.generic.get_or_insert(choice);
                } else {
                    for model in models {
                        ordered.exact.entry(model).or_insert_with(|| choice.clone());
                    }
                }
            }
        }
        ordered
    }

    /// The model that serves a request for `model`, and the name of the rewrite that says so.
    pub fn target(&self, model: &str, rng: &mut dyn RngCore) -> Option<(&str, &str)> {
        let choice = self.exact.get(model).or(self.generic.as_ref())?;
        Some((choice.choose(rng)?, &choice.rewrite))
    }
}

impl Choice {
    fn choose(&self, rng: &mut dyn RngCore) -> Option<&str> {
        let weighted = self.targets.choose_weighted(rng, |it| it.weight.unwrap_or(0));
        let target = weighted.ok().or_else(|| self.targets.choose(rng));
        target.map(|it| it.model.as_str())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn rule(models: &[&str], targets: &[(&str, Option<u32>)]) -> Rule {
        let target = |&(model, weight): &(&str, _)| Target { model: model.to_owned(), weight };
        Rule {
            models: models.iter().map(|&it| it.to_owned()).collect(),
            targets: targets.iter().map(target).collect(),
        }
    }

    fn rewrite(name: &str, created: i64, rules: Vec<Rule>) -> Rewrite {
        Rewrite { name: name.to_owned(), created, rules }
    }

    fn counts(rewrites: &Rewrites, model: &str) -> HashMap<String, u32> {
        let mut rng = StdRng::seed_from_u64(1);
        let mut counts = HashMap::new();
        for _ in 0..1000 {
            let (target, _) = rewrites.target(model, &mut rng).unwrap();
            *counts.entry(target.to_owned()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn exact_before_generic_older_before_younger_first_before_second() {
        let rewrites = Rewrites::new(vec![
            rewrite("young", 2, vec![rule(&["m"], &[("young", None)]), rule(&["n"], &[("n", None)])]),
            rewrite("generic", 0, vec![rule(&[], &[("any", None)]), rule(&[], &[("never", None)])]),
            rewrite("old", 1, vec![rule(&["m"], &[("old", None)]), rule(&["m"], &[("never", None)])]),
        ]);
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(rewrites.target("m", &mut rng), Some(("old", "old")));
        assert_eq!(rewrites.target("n", &mut rng), Some(("n", "young")));
        assert_eq!(rewrites.target("other", &mut rng), Some(("any", "generic")));
        assert_eq!(Rewrites::default().target("m", &mut rng), None);
    }

    #[test]
    fn weights_are_shares_and_without_any_all_are_equal() {
        let shares = counts(
            &Rewrites::new(vec![rewrite(
                "r",
                0,
                vec![rule(&[], &[("a", Some(900)), ("b", Some(100)), ("never", None)])],
            )]),
            "m",
        );
        assert!((850..950).contains(&shares["a"]) && shares.len() == 2, "{shares:?}");
        let even =
            counts(&Rewrites::new(vec![rewrite("r", 0, vec![rule(&[], &[("a", None), ("b", None)])])]), "m");
        assert!((400..600).contains(&even["a"]) && even.len() == 2, "{even:?}");
    }

    #[test]
    fn a_rule_without_targets_is_passed_over() {
        let rewrites =
            Rewrites::new(vec![rewrite("r", 0, vec![rule(&["m"], &[]), rule(&[], &[("a", None)])])]);
        assert_eq!(counts(&rewrites, "m").len(), 1);
    }
}
