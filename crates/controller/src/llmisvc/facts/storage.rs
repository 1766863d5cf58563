//! Credentials and CA bundle for the model's download.

/// What the storage initializer needs besides the model's URI.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StorageFacts {}
