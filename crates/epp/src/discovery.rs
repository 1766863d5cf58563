//! Sources of endpoints. Each replaces the list of a [`crate::datastore::Datastore`].

pub mod file;
