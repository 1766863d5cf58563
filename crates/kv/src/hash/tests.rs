//! The vectors come from Python's `hashlib` over the definition, written apart from this code.

use super::*;

fn tokens(range: std::ops::Range<u32>) -> Vec<u32> {
    range.collect()
}

#[test]
fn root_is_the_hash_of_the_seed() {
    let root = BlockHasher::default().root();
    assert_eq!(root.to_string(), "9bd96a485ad84efdafb72ee48a1d7a69bcead0f8f0433173941b276b9581eef0");
    let seeded = BlockHasher::new("42");
    assert_eq!(seeded.root().to_string(), "9fa6eb003f14425eb9c8e6baacfbcaab26257357b829c7bfa74ffcc4f31c1780");
    let first = seeded.first(&tokens(0..16), None);
    assert_eq!(first.to_string(), "63876f948a5f9ef88191c7d6554fbeeea5c622d4da15d0d527bd352623590b0d");
    assert_eq!(first.as_u64(), 2_863_503_375_995_570_957);
}

#[test]
fn blocks_chain_through_their_parents() {
    let hashes = BlockHasher::default().full_blocks(&tokens(0..40), 16, None);
    assert_eq!(hashes.len(), 2, "the third block is not full");
    assert_eq!(hashes[0].to_string(), "dc918a88b139e5afe60b88eda27508d4aee16c10fdc354791efea06206ac0749");
    assert_eq!(hashes[0].as_u64(), 2_233_398_808_101_521_225);
    assert_eq!(hashes[1].to_string(), "c300ec275d7bf08af8fc63e76cdc0086911bbc7091e03c5cf892553bef84ef0c");
}

#[test]
fn salt_is_a_tagged_key_of_the_first_block_alone() {
    let hasher = BlockHasher::default();
    let mixed = [300, 70_000, 0, 23, 24, 255, 256, 65_535, 65_536];
    let salted = hasher.first(&mixed, Some("tenant-a"));
    assert_eq!(salted.to_string(), "fc379c32f09e436d60fe62027aef8eb1e8e422867920beb373e8cb29b8d7f550");
    let chain = hasher.full_blocks(&tokens(0..32), 16, Some("tenant-a"));
    assert_eq!(chain[1], hasher.next(&chain[0], &tokens(16..32)));
    assert_ne!(chain, hasher.full_blocks(&tokens(0..32), 16, Some("tenant-b")));
}

#[test]
fn a_partial_last_block_has_a_hash_of_its_own() {
    let hasher = BlockHasher::default();
    let all = hasher.all_blocks(&tokens(0..20), 16, None);
    assert_eq!(all[..1], hasher.full_blocks(&tokens(0..20), 16, None));
    assert_eq!(all[1], hasher.next(&all[0], &tokens(16..20)));
    assert_ne!(all[1], hasher.next(&all[0], &tokens(16..32)));
    assert!(hasher.all_blocks(&[], 16, None).is_empty());
}

#[test]
fn hex_goes_both_ways() {
    let hash = BlockHasher::default().root();
    assert_eq!(hash.to_string().parse(), Ok(hash));
    assert_eq!(hash.to_string().to_uppercase().parse(), Ok(hash));
    for bad in ["", "9bd9", &"+f".repeat(32), &"é".repeat(32), &"0".repeat(65)] {
        assert_eq!(bad.parse::<BlockHash>(), Err(ParseHashError), "{bad}");
    }
}
