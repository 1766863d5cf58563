//! Why an object could not be brought into the state it should have.

use kube::Error;

use crate::children::{Child, ChildKind};
use crate::fault::Fault;
use crate::index::Key;

/// A failure at one object.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The API server does not serve the kind. The service is looked at again when it does.
    #[error("{} {name} is needed, but the cluster has no such API: install the CRD {}", kind.kind(), crd(*kind))]
    NotServed { kind: ChildKind, name: String },
    /// The name is taken by an object of somebody else.
    #[error(
        "{} {name} is not controlled by LLMInferenceService {service}: remove the object, or rename the service",
        kind.kind()
    )]
    NotControlled { kind: ChildKind, name: String, service: Key },
    /// The API server refused the request or could not be reached.
    #[error("cannot {verb} {} {name}", kind.kind())]
    Request {
        kind: ChildKind,
        name: String,
        verb: &'static str,
        #[source]
        source: Fault,
    },
}

fn crd(kind: ChildKind) -> String {
    format!("{}.{}", kind.api_resource().plural, kind.group())
}

impl ApplyError {
    pub(super) fn of(child: &Child, verb: &'static str, source: Error) -> Self {
        Self::Request { kind: child.kind, name: child.name.clone(), verb, source: source.into() }
    }

    /// The kind of the object.
    #[must_use]
    pub const fn kind(&self) -> ChildKind {
        match self {
            Self::NotServed { kind, .. } | Self::NotControlled { kind, .. } | Self::Request { kind, .. } => {
                *kind
            }
        }
    }

    /// The name of the object.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::NotServed { name, .. } | Self::NotControlled { name, .. } | Self::Request { name, .. } => {
                name
            }
        }
    }

    /// Whether the namespace is being deleted, and the service with it.
    #[must_use]
    pub fn is_namespace_terminating(&self) -> bool {
        matches!(self, Self::Request { source, .. } if source.is_namespace_terminating())
    }

    /// Whether trying again can help although nothing else changes. An invalid object stays invalid, and a namespace
    /// that is being deleted does not come back.
    #[must_use]
    pub fn retry(&self) -> bool {
        match self {
            Self::NotServed { .. } | Self::NotControlled { .. } => false,
            Self::Request { source, .. } => source.code() != Some(422) && !source.is_namespace_terminating(),
        }
    }

    /// Stable label for logs and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotServed { .. } => "api_not_served",
            Self::NotControlled { .. } => "not_controlled",
            Self::Request { .. } => "api_error",
        }
    }
}
