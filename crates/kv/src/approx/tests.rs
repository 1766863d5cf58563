use proptest::prelude::*;

use super::*;

fn chain(text: &[u8], block_bytes: usize) -> Vec<u64> {
    let mut hasher =
        PromptHasher::new(chain_root("m", ""), NonZeroUsize::new(block_bytes).unwrap(), usize::MAX);
    hasher.update(text);
    hasher.finish()
}

#[test]
fn follows_the_formula_of_the_llm_d_router() {
    let root = xxh64(b"modelsalt", 0);
    assert_eq!(chain_root("model", "salt"), root);
    let link = |block: &[u8], parent: u64| {
        let bytes = [xxh64(block, 0).to_le_bytes(), parent.to_le_bytes()].concat();
        xxh64(&bytes, 0)
    };
    let mut hasher = PromptHasher::new(root, NonZeroUsize::new(4).unwrap(), usize::MAX);
    hasher.update(b"abcdef");
    let first = link(b"abcd", root);
    assert_eq!(hasher.finish(), [first, link(b"ef", first)]);
}

#[test]
fn hashes_no_more_blocks_than_asked() {
    let mut hasher = PromptHasher::new(0, NonZeroUsize::new(2).unwrap(), 3);
    hasher.update(b"aabbccddee");
    assert_eq!(hasher.finish().len(), 3);
}

#[test]
fn models_and_salts_share_no_block() {
    assert_ne!(chain_root("a", ""), chain_root("b", ""));
    assert_ne!(chain_root("a", "x"), chain_root("a", "y"));
}

#[test]
fn forgets_the_ends_of_old_chains_first() {
    let index = ApproxIndex::default();
    let capacity = NonZeroUsize::new(4).unwrap();
    index.insert(1, &[10, 11, 12], capacity);
    index.insert(1, &[10, 21, 22], capacity);
    assert_eq!(index.matched(&[10, 11, 12], [1].into_iter()), [2]);
    assert_eq!(index.matched(&[10, 21, 22], [1].into_iter()), [3]);
    assert_eq!(index.n_blocks(), 4);
}

#[test]
fn knows_nothing_of_an_endpoint_that_went() {
    let index = ApproxIndex::default();
    index.insert(1, &[1, 2], NonZeroUsize::MIN);
    index.insert(2, &[1, 2], NonZeroUsize::MAX);
    index.retain(|endpoint| endpoint == 2);
    assert_eq!(index.matched(&[1, 2, 3], [1, 2, 3].into_iter()), [0, 2, 0]);
}

/// A set that keeps the time of last use of each block and walks the chain from the start.
#[derive(Default)]
struct Naive {
    used: HashMap<u64, usize>,
    clock: usize,
}

impl Naive {
    fn insert(&mut self, chain: &[u64], capacity: usize) {
        for &hash in chain.iter().rev() {
            self.clock += 1;
            self.used.insert(hash, self.clock);
        }
        while self.used.len() > capacity {
            let oldest = *self.used.iter().min_by_key(|(_, time)| **time).unwrap().0;
            self.used.remove(&oldest);
        }
    }

    fn matched(&self, chain: &[u64]) -> u32 {
        u32::try_from(chain.iter().take_while(|hash| self.used.contains_key(hash)).count()).unwrap()
    }
}

proptest! {
    #[test]
    fn splitting_the_prompt_changes_no_hash(text in prop::collection::vec(any::<u8>(), 0..200),
                                            cut in 0usize..200, block_bytes in 1usize..40) {
        let cut = cut.min(text.len());
        let mut hasher =
            PromptHasher::new(chain_root("m", ""), NonZeroUsize::new(block_bytes).unwrap(), usize::MAX);
        hasher.update(&text[..cut]);
        hasher.update(&text[cut..]);
        prop_assert_eq!(hasher.finish(), chain(&text, block_bytes));
    }

    #[test]
    fn agrees_with_a_walk_over_a_plain_set(
        prompts in prop::collection::vec((0u8..3, prop::collection::vec(0u8..3, 1..12)), 1..40),
        capacity in 1usize..20,
    ) {
        let index = ApproxIndex::default();
        let mut naive: HashMap<u8, Naive> = HashMap::new();
        for (endpoint, prompt) in prompts {
            let hashes = chain(&prompt, 1);
            for other in 0..3 {
                let expected = naive.get(&other).map_or(0, |it| it.matched(&hashes));
                prop_assert_eq!(index.matched(&hashes, [other].into_iter()), vec![expected]);
            }
            index.insert(endpoint, &hashes, NonZeroUsize::new(capacity).unwrap());
            naive.entry(endpoint).or_default().insert(&hashes, capacity);
        }
    }
}
