use super::*;

const BLOCK_SIZE: usize = 4;

fn manager(n_usable: usize) -> KvCacheManager {
    KvCacheManager::new(n_usable + 1, BLOCK_SIZE, BlockHasher::default(), true)
}

fn tokens(n: u32) -> Vec<u32> {
    (100..100 + n).collect()
}

/// Admits a sequence, computes all its tokens and returns its table with the number of reused blocks.
fn compute(manager: &mut KvCacheManager, tokens: &[u32], salt: Option<&str>) -> (BlockTable, usize) {
    let mut table = BlockTable::new(salt.map(str::to_owned));
    let prefix = manager.find_prefix(&mut table, tokens);
    assert!(manager.admit(&mut table, &prefix, tokens.len(), 0));
    manager.publish(&mut table, tokens, tokens.len());
    (table, prefix.len())
}

#[test]
fn a_prefix_is_reused_in_whole_blocks_and_never_the_last_token() {
    let mut manager = manager(16);
    let (mut first, n_reused) = compute(&mut manager, &tokens(8), None);
    assert_eq!(n_reused, 0);
    for (n_tokens, expected) in [(3, 0), (4, 0), (5, 1), (8, 1), (9, 2), (12, 2)] {
        let (mut table, n_reused) = compute(&mut manager, &tokens(n_tokens), None);
        assert_eq!(n_reused, expected, "{n_tokens} tokens");
        assert_eq!(table.blocks()[..n_reused], first.blocks()[..n_reused]);
        manager.release(&mut table);
    }
    manager.release(&mut first);
    assert!(manager.usage().abs() < 1e-12);
}

#[test]
fn salted_prefixes_stay_apart() {
    let mut manager = manager(16);
    let _ours = compute(&mut manager, &tokens(9), Some("a"));
    assert_eq!(compute(&mut manager, &tokens(9), Some("b")).1, 0);
    assert_eq!(compute(&mut manager, &tokens(9), None).1, 0);
    assert_eq!(compute(&mut manager, &tokens(9), Some("a")).1, 2);
}

#[test]
fn blocks_are_found_only_when_their_content_is_complete() {
    let mut manager = manager(16);
    let all = tokens(12);
    let mut table = BlockTable::new(None);
    assert!(manager.admit(&mut table, &[], all.len(), 0));
    manager.publish(&mut table, &all, 7);
    assert_eq!(manager.find_prefix(&mut BlockTable::new(None), &all).len(), 1);
}

#[test]
fn an_admission_that_does_not_fit_changes_nothing() {
    let mut manager = manager(4);
    let (mut running, _) = compute(&mut manager, &tokens(8), None);
    let mut table = BlockTable::new(None);
    let prefix = manager.find_prefix(&mut table, &tokens(16));
    assert_eq!(prefix.len(), 2);
    assert!(!manager.admit(&mut table, &prefix, 17, 0), "five blocks, two of them shared, two free");
    assert!(!manager.admit(&mut table, &prefix, 16, 1), "nothing would be left in reserve");
    assert!(table.blocks().is_empty());
    assert!(manager.admit(&mut table, &prefix, 16, 0));
    manager.release(&mut table);
    manager.release(&mut running);
    assert!(manager.usage().abs() < 1e-12);
}

#[test]
fn free_prefix_blocks_count_as_needed() {
    let mut manager = manager(3);
    let (mut gone, _) = compute(&mut manager, &tokens(8), None);
    manager.release(&mut gone);
    let mut table = BlockTable::new(None);
    let prefix = manager.find_prefix(&mut table, &tokens(13));
    assert_eq!(prefix.len(), 2);
    assert!(!manager.admit(&mut table, &prefix, 13, 0), "four blocks of three");
    assert!(manager.admit(&mut table, &prefix, 12, 0));
}

#[test]
fn a_lease_outlives_its_sequence_and_a_reset() {
    let mut manager = manager(4);
    let (mut table, _) = compute(&mut manager, &tokens(6), None);
    let blocks = table.blocks().to_vec();
    manager.pin(LeaseId(7), &table, 2);
    manager.release(&mut table);
    manager.reset_prefix_cache();
    assert_eq!(manager.n_pinned(), 2);
    let mut other = BlockTable::new(None);
    assert!(manager.grow(&mut other, 8));
    assert!(!manager.grow(&mut other, 12), "the pinned blocks are not free");
    assert!(!other.blocks().iter().any(|id| blocks.contains(id)));
    assert_eq!(manager.find_prefix(&mut BlockTable::new(None), &tokens(5)), blocks[..1]);

    manager.unpin(LeaseId(7));
    manager.unpin(LeaseId(7));
    assert!(manager.grow(&mut other, 16));
}

#[test]
fn a_reset_forgets_free_prefixes() {
    let mut manager = manager(4);
    let (mut table, _) = compute(&mut manager, &tokens(8), None);
    manager.release(&mut table);
    manager.reset_prefix_cache();
    assert!(manager.find_prefix(&mut BlockTable::new(None), &tokens(8)).is_empty());
}
