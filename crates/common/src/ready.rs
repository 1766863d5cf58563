//! Readiness: a process is ready when every named condition holds.
//!
//! Conditions start as not met, so a component that forgets to report keeps the process unready.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The set of conditions of one process. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    conditions: Arc<Mutex<BTreeMap<String, Result<(), String>>>>,
}

/// One condition; dropping it leaves the last report in place.
#[derive(Debug, Clone)]
pub struct Condition {
    name: String,
    owner: Readiness,
}

impl Readiness {
    /// A set without conditions, which counts as ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition that is not met for `reason`.
    #[must_use]
    pub fn condition(&self, name: &str, reason: &str) -> Condition {
        let condition = Condition { name: name.to_owned(), owner: self.clone() };
        condition.not_ready(reason);
        condition
    }

    /// What is missing, as `name: reason`; empty when ready.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        conditions
            .iter()
            .filter_map(|(name, state)| state.as_ref().err().map(|reason| format!("{name}: {reason}")))
            .collect()
    }

    /// Whether every condition holds.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.missing().is_empty()
    }

    fn set(&self, name: &str, state: Result<(), String>) {
        let mut conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        conditions.insert(name.to_owned(), state);
    }
}

impl Condition {
    /// Reports the condition as met.
    pub fn ready(&self) {
        self.owner.set(&self.name, Ok(()));
    }

    /// Reports why the condition is not met.
    pub fn not_ready(&self, reason: &str) {
        self.owner.set(&self.name, Err(reason.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_ready_only_when_every_condition_reported_so() {
        let readiness = Readiness::new();
        let model = readiness.condition("model", "loading");
        let pool = readiness.condition("pool", "no endpoints");
        model.ready();
        assert_eq!(readiness.missing(), ["pool: no endpoints"]);
        pool.ready();
        assert!(readiness.is_ready());
        model.not_ready("draining");
        assert_eq!(readiness.missing(), ["model: draining"]);
    }
}
