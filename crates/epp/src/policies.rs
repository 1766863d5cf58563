//! What operators say about requests at run time: priorities of objectives and rewrites of model names.
//!
//! Readers take the current values without a lock. Without Kubernetes nobody writes: every priority is 0 and no model
//! name is replaced.

use std::collections::HashMap;

use arc_swap::ArcSwap;

pub mod rewrites;

pub use rewrites::{Rewrite, Rewrites};

/// The policies now.
#[derive(Debug, Default)]
pub struct Policies {
    priorities: ArcSwap<HashMap<String, i32>>,
    rewrites: ArcSwap<Rewrites>,
}

impl Policies {
    /// Priority of requests that name `objective`; 0 for one that does not exist, and for none.
    #[must_use]
    pub fn priority(&self, objective: Option<&str>) -> i32 {
        objective.and_then(|it| self.priorities.load().get(it).copied()).unwrap_or(0)
    }

    /// Replaces the priorities, by the name of the objective.
    pub fn set_priorities(&self, priorities: HashMap<String, i32>) {
        self.priorities.store(priorities.into());
    }

    /// The rewrites now.
    #[must_use]
    pub fn rewrites(&self) -> arc_swap::Guard<std::sync::Arc<Rewrites>> {
        self.rewrites.load()
    }

    /// Replaces the rewrites.
    pub fn set_rewrites(&self, rewrites: Rewrites) {
        self.rewrites.store(rewrites.into());
    }
}
