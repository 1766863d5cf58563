//! Which optional APIs the cluster serves right now.

use std::collections::BTreeSet;

use crate::children::ChildKind;

/// The kinds that the API server serves. Built-in kinds always count as served; those of CRDs come and go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Apis {
    served: BTreeSet<ChildKind>,
    /// Minor version of the API server (`36` for 1.36).
    pub server_minor: u32,
}

impl Apis {
    /// `served` are the kinds of CRDs that are established.
    pub fn new(served: impl IntoIterator<Item = ChildKind>, server_minor: u32) -> Self {
        Self { served: served.into_iter().collect(), server_minor }
    }

    /// A cluster with every API this controller can use, for rendering offline.
    #[must_use]
    pub fn all() -> Self {
        Self::new(ChildKind::ALL, 36)
    }

    /// Whether objects of this kind can be read and written.
    #[must_use]
    pub fn serve(&self, kind: ChildKind) -> bool {
        kind.is_builtin() || self.served.contains(&kind)
    }
}
