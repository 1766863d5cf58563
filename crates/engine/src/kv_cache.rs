//! The paged KV cache: block numbers, their geometry and pages, and which request owns which block.

pub mod block_pool;
pub mod manager;
pub mod page;

pub use manager::{BlockTable, KvCacheManager};
pub use page::{KvDtype, KvLayout, KvPage};

/// Number of a KV block. Block 0 is the null block and is never handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId(pub u32);

impl BlockId {
    /// The number as an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
