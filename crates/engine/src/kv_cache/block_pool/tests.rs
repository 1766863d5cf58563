use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// The pool as one would explain it: a list of free blocks, head first, and plain searches.
#[derive(Debug)]
struct NaivePool {
    free: VecDeque<BlockId>,
    refs: Vec<u32>,
    hashes: Vec<Option<BlockHash>>,
}

impl NaivePool {
    fn new(n_blocks: usize) -> Self {
        let free = (1..u32::try_from(n_blocks).unwrap()).map(BlockId).collect();
        Self { free, refs: vec![0; n_blocks], hashes: vec![None; n_blocks] }
    }

    fn find(&self, hash: BlockHash) -> Option<BlockId> {
        let at = self.hashes.iter().position(|it| *it == Some(hash))?;
        Some(BlockId(u32::try_from(at).unwrap()))
    }

    fn allocate(&mut self) -> Option<BlockId> {
        let id = self.free.pop_front()?;
        self.refs[id.index()] = 1;
        self.hashes[id.index()] = None;
        Some(id)
    }

    fn acquire(&mut self, id: BlockId) {
        self.free.retain(|it| *it != id);
        self.refs[id.index()] += 1;
    }

    fn release(&mut self, id: BlockId) {
        self.refs[id.index()] -= 1;
        if self.refs[id.index()] == 0 {
            match self.hashes[id.index()] {
                Some(_) => self.free.push_back(id),
                None => self.free.push_front(id),
            }
        }
    }

    fn set_hash(&mut self, id: BlockId, hash: BlockHash) {
        if self.find(hash).is_none() {
            self.hashes[id.index()] = Some(hash);
        }
    }

    fn forget_free(&mut self) {
        for id in &self.free {
            self.hashes[id.index()] = None;
        }
    }
}

#[derive(Debug, Clone)]
enum Operation {
    Allocate,
    AcquireCached(u8),
    Share(usize),
    Release(usize),
    SetHash(usize, u8),
    ForgetFree,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => Just(Operation::Allocate),
        4 => any::<u8>().prop_map(Operation::AcquireCached),
        2 => any::<usize>().prop_map(Operation::Share),
        6 => any::<usize>().prop_map(Operation::Release),
        4 => (any::<usize>(), any::<u8>()).prop_map(|(at, hash)| Operation::SetHash(at, hash)),
        1 => Just(Operation::ForgetFree),
    ]
}

fn hash(number: u8) -> BlockHash {
    BlockHash([number % 16; 32])
}

proptest! {
    #[test]
    fn behaves_like_the_naive_pool(operations in prop::collection::vec(operation(), 0..200)) {
        const N_BLOCKS: usize = 9;
        let mut pool = BlockPool::new(N_BLOCKS);
        let mut naive = NaivePool::new(N_BLOCKS);
        // One entry a user, so that a block is never released more often than it was taken.
        let mut users: Vec<BlockId> = Vec::new();
        for operation in operations {
            match operation {
                Operation::Allocate => {
                    let id = pool.allocate();
                    prop_assert_eq!(id, naive.allocate());
                    users.extend(id);
                }
                Operation::AcquireCached(number) => {
                    let found = pool.find(&hash(number));
                    prop_assert_eq!(found, naive.find(hash(number)));
                    if let Some(id) = found {
                        pool.acquire(id);
                        naive.acquire(id);
                        users.push(id);
                    }
                }
                Operation::Share(at) if !users.is_empty() => {
                    let id = users[at % users.len()];
                    pool.acquire(id);
                    naive.acquire(id);
                    users.push(id);
                }
                Operation::Release(at) if !users.is_empty() => {
                    let id = users.swap_remove(at % users.len());
                    pool.release(id);
                    naive.release(id);
                }
                Operation::SetHash(at, number) if !users.is_empty() => {
                    let id = users[at % users.len()];
                    if naive.hashes[id.index()].is_none() {
                        pool.set_hash(id, hash(number));
                        naive.set_hash(id, hash(number));
                    }
                }
                Operation::ForgetFree => {
                    pool.forget_free();
                    naive.forget_free();
                }
                Operation::Share(_) | Operation::Release(_) | Operation::SetHash(..) => {}
            }
            prop_assert_eq!(pool.n_free(), naive.free.len());
            for number in 1..u32::try_from(N_BLOCKS).unwrap() {
                let id = BlockId(number);
                prop_assert_eq!(pool.n_refs(id), naive.refs[id.index()]);
            }
        }
        for id in users {
            pool.release(id);
        }
        prop_assert_eq!(pool.n_free(), N_BLOCKS - 1, "every block came back");
    }
}

#[test]
fn usage_ignores_the_null_block() {
    let mut pool = BlockPool::new(5);
    assert!(pool.usage().abs() < 1e-12);
    let blocks: Vec<_> = (0..4).map(|_| pool.allocate().unwrap()).collect();
    assert!(!blocks.contains(&BlockId(0)));
    assert!((pool.usage() - 1.0).abs() < 1e-12);
    assert_eq!(pool.allocate(), None);
}

#[test]
fn the_least_recently_freed_prefix_is_evicted_first_and_its_tail_before_its_head() {
    let mut pool = BlockPool::new(5);
    let blocks: Vec<_> = (0..4).map(|_| pool.allocate().unwrap()).collect();
    for (&id, number) in blocks.iter().zip(0..) {
        pool.set_hash(id, hash(number));
    }
    let (old, new) = blocks.split_at(2);
    old.iter().rev().for_each(|&id| pool.release(id));
    new.iter().rev().for_each(|&id| pool.release(id));
    let evicted: Vec<_> = (0..4).map(|_| pool.allocate().unwrap()).collect();
    assert_eq!(evicted, [old[1], old[0], new[1], new[0]]);
}

#[test]
fn blocks_without_content_are_used_before_cached_ones() {
    let mut pool = BlockPool::new(3);
    let (empty, cached) = (pool.allocate().unwrap(), pool.allocate().unwrap());
    pool.set_hash(cached, hash(1));
    pool.release(cached);
    pool.release(empty);
    assert_eq!(pool.allocate(), Some(empty));
    assert_eq!(pool.find(&hash(1)), Some(cached));
}

#[test]
fn freeing_twice_is_a_bug_that_shows() {
    let mut pool = BlockPool::new(3);
    let id = pool.allocate().unwrap();
    pool.release(id);
    let twice = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pool.release(id)));
    assert!(twice.is_err());
}
