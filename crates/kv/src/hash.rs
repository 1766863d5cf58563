//! Chained content hash of KV blocks.

/// Identifies the tokens of a block and of everything before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockHash(pub [u8; 32]);
