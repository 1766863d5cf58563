//! The CustomResourceDefinitions of this stack, generated from the wire types.
//!
//! Types and doc comments give the shape and the descriptions, [`limits`] beside the fields gives validation, and
//! [`core`] gives what the Kubernetes types lack. Two variants exist because a complete schema of every pod template
//! does not fit into the annotation of a client-side `kubectl apply`: see [`Variant`].

mod core;
mod definition;
mod edits;
pub(crate) mod limits;
mod schema;
mod slim;

pub use definition::{Definition, inference, serving};

/// How much of the embedded Kubernetes types a schema spells out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Everything, with merge keys. Needs `kubectl apply --server-side`.
    Full,
    /// Pod templates and other large embedded types are open objects, which the API server keeps as they are. Fits
    /// into [`CLIENT_SIDE_LIMIT`].
    Slim,
}

/// What the annotation of a client-side `kubectl apply` can hold, in bytes: all annotations of an object together.
pub const CLIENT_SIDE_LIMIT: usize = 262_144;
