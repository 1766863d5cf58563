//! Offers waiting to be pulled, each under a capability and a deadline.
//!
//! A lease lives until it is released or its deadline passes; a renewal moves the deadline. The table is pure:
//! time comes in as a value. Its size is bounded by the KV cache, since every lease pins at least one block.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use llmd_kv::hash::BlockHash;
use parking_lot::Mutex;

use super::{LeaseId, OfferedBlock, PullError};

/// How long an offer lives without news from the decode engine, and how far a renewal extends it.
/// vLLM's defaults: 30 s, and two thirds of it.
#[derive(Debug, Clone, Copy)]
pub struct LeaseTimes {
    /// From the offer.
    pub duration: Duration,
    /// From a renewal; the deadline never moves back.
    pub extension: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self { duration: Duration::from_secs(30), extension: Duration::from_secs(20) }
    }
}

/// 128 random bits in hexadecimal: whoever knows them may read the offer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Capability(pub(super) String);

impl Capability {
    pub(super) fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }
}

#[derive(Debug)]
struct Lease {
    id: LeaseId,
    deadline: Instant,
    blocks: Arc<[OfferedBlock]>,
}

/// All live offers of this engine.
#[derive(Debug)]
pub(super) struct LeaseTable {
    times: LeaseTimes,
    leases: Mutex<HashMap<Capability, Lease>>,
}

impl LeaseTable {
    pub(super) fn new(times: LeaseTimes) -> Self {
        Self { times, leases: Mutex::new(HashMap::new()) }
    }

    /// Adds an offer and returns the capability that reads it.
    pub(super) fn insert(&self, id: LeaseId, blocks: Vec<OfferedBlock>, now: Instant) -> Capability {
        let capability = Capability::random();
        let lease = Lease { id, deadline: now + self.times.duration, blocks: blocks.into() };
        self.leases.lock().insert(capability.clone(), lease);
        capability
    }

    /// The blocks `first_block..` whose hashes the reader names. Reading renews the lease.
    ///
    /// # Errors
    /// [`PullError::Unknown`] without such a lease, [`PullError::Content`] when a hash differs.
    pub(super) fn read(
        &self,
        capability: &Capability,
        first_block: usize,
        hashes: &[BlockHash],
        now: Instant,
    ) -> Result<Vec<OfferedBlock>, PullError> {
        let mut leases = self.leases.lock();
        let lease = leases.get_mut(capability).ok_or(PullError::Unknown)?;
        lease.deadline = lease.deadline.max(now + self.times.extension);
        let wanted = first_block
            .checked_add(hashes.len())
            .and_then(|end| lease.blocks.get(first_block..end))
            .ok_or(PullError::Content)?;
        if wanted.iter().zip(hashes).any(|(block, hash)| block.hash != *hash) {
            return Err(PullError::Content);
        }
        Ok(wanted.to_vec())
    }

    /// Extends a lease; whether it exists.
    pub(super) fn renew(&self, capability: &Capability, now: Instant) -> bool {
        let mut leases = self.leases.lock();
        let Some(lease) = leases.get_mut(capability) else { return false };
        lease.deadline = lease.deadline.max(now + self.times.extension);
        true
    }

    /// Ends a lease.
    pub(super) fn release(&self, capability: &Capability) -> Option<LeaseId> {
        self.leases.lock().remove(capability).map(|it| it.id)
    }

    /// Ends every lease whose deadline has passed.
    pub(super) fn expire(&self, now: Instant) -> Vec<LeaseId> {
        let mut expired = Vec::new();
        self.leases.lock().retain(|_, lease| {
            let alive = now < lease.deadline;
            if !alive {
                expired.push(lease.id);
            }
            alive
        });
        expired
    }

    /// Blocks of all live offers.
    pub(super) fn n_blocks(&self) -> i64 {
        let n_blocks: usize = self.leases.lock().values().map(|it| it.blocks.len()).sum();
        i64::try_from(n_blocks).unwrap_or(i64::MAX)
    }

    /// Ends every lease.
    pub(super) fn clear(&self) -> Vec<LeaseId> {
        self.leases.lock().drain().map(|(_, lease)| lease.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv_cache::{BlockId, KvDtype, KvLayout, KvPage};

    fn blocks(n_blocks: u8) -> Vec<OfferedBlock> {
        let layout = KvLayout { n_layers: 1, n_kv_heads: 1, head_dim: 2, block_size: 2, dtype: KvDtype::F32 };
        (0..n_blocks)
            .map(|it| OfferedBlock {
                id: BlockId(u32::from(it) + 1),
                hash: BlockHash([it; 32]),
                page: Arc::new(KvPage::zeroed(&layout)),
            })
            .collect()
    }

    #[test]
    fn only_the_capability_and_the_right_hashes_read_an_offer() {
        let (table, now) = (LeaseTable::new(LeaseTimes::default()), Instant::now());
        let capability = table.insert(LeaseId(1), blocks(3), now);
        let tail = [BlockHash([1; 32]), BlockHash([2; 32])];
        assert_eq!(table.read(&capability, 1, &tail, now).unwrap().len(), 2);
        assert_eq!(table.read(&capability, 0, &tail, now).unwrap_err(), PullError::Content);
        assert_eq!(table.read(&capability, usize::MAX, &tail, now).unwrap_err(), PullError::Content);
        assert_eq!(table.read(&Capability::random(), 1, &tail, now).unwrap_err(), PullError::Unknown);
    }

    #[test]
    fn a_renewal_extends_and_the_deadline_ends() {
        let (table, start) = (LeaseTable::new(LeaseTimes::default()), Instant::now());
        let capability = table.insert(LeaseId(7), blocks(1), start);
        assert!(table.renew(&capability, start + Duration::from_secs(25)));
        assert!(table.expire(start + Duration::from_secs(44)).is_empty());
        assert_eq!(table.expire(start + Duration::from_secs(45)), [LeaseId(7)]);
        assert!(!table.renew(&capability, start));
        assert_eq!(table.release(&capability), None);
    }
}
