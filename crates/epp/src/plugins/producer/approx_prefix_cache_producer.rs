//! `approx-prefix-cache-producer`: guesses each endpoint's prefix cache from what was routed to it.
//!
//! The prompt's bytes (see [`crate::request::prompt`]) are cut into blocks of `blockSizeTokens`, hashed in a chain and looked
//! up in an index that remembers, for every endpoint, the blocks of the prompts it got. With `autoTune` the
//! block size and the number of blocks an endpoint can hold come from the engine's own metrics.
//!
//! Two differences from the llm-d router, both on purpose: a match counts the contiguous prefix of that very
//! endpoint, and blocks may be smaller than 64 tokens, so that short prompts match too.

use std::num::NonZeroUsize;
use std::sync::Arc;

use llmd_kv::approx::{ApproxIndex, PromptHasher, chain_root};
use serde::Deserialize;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::datastore::Endpoint;
use crate::metrics::PrefixMetrics;
use crate::plugin::{Extension, PrefixProducer};
use crate::request::prompt::BYTES_PER_TOKEN;
use crate::request::{InferenceRequest, PrefixMatches};
use crate::scheduling::{Candidate, Schedule};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Parameters {
    auto_tune: bool,
    block_size_tokens: Option<NonZeroUsize>,
    /// Deprecated spelling of the block size, in characters.
    block_size: Option<NonZeroUsize>,
    max_prefix_blocks_to_match: usize,
    max_prefix_tokens_to_match: usize,
    lru_capacity_per_server: NonZeroUsize,
}

const DEFAULT_BLOCK_TOKENS: NonZeroUsize = NonZeroUsize::new(16).expect("16 is not zero");
const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::new(31_250).expect("31250 is not zero");

impl Default for Parameters {
    fn default() -> Self {
        Self {
            auto_tune: true,
            block_size_tokens: None,
            block_size: None,
            max_prefix_blocks_to_match: 2048,
            max_prefix_tokens_to_match: 131_072,
            lru_capacity_per_server: DEFAULT_CAPACITY,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct ApproxPrefixCacheProducer {
    auto_tune: bool,
    block_tokens: NonZeroUsize,
    max_blocks: usize,
    /// Wins over `max_blocks`; 0 means that only `max_blocks` counts.
    max_tokens: usize,
    capacity: NonZeroUsize,
    index: ApproxIndex<u64>,
    metrics: PrefixMetrics,
}

impl ApproxPrefixCacheProducer {
    fn block_tokens(&self, candidates: &[Candidate<'_>]) -> NonZeroUsize {
        let tuned = candidates.iter().find_map(|it| NonZeroUsize::new(it.metrics.block_size as usize));
        tuned.filter(|_| self.auto_tune).unwrap_or(self.block_tokens)
    }

    fn max_blocks(&self, block_tokens: NonZeroUsize) -> usize {
        match (self.max_tokens, self.max_blocks) {
            (0, 0) => usize::MAX,
            (0, max_blocks) => max_blocks,
            (max_tokens, _) => max_tokens.div_ceil(block_tokens.get()),
        }
    }

    fn capacity(&self, endpoint: &Endpoint) -> NonZeroUsize {
        let tuned = NonZeroUsize::new(endpoint.state.metrics().n_blocks as usize);
        tuned.filter(|_| self.auto_tune).unwrap_or(self.capacity)
    }

    fn chain(&self, request: &InferenceRequest<'_>, block_tokens: NonZeroUsize) -> Vec<u64> {
        let root = chain_root(&request.target_model, &request.cache_salt);
        let block_bytes =
            block_tokens.saturating_mul(NonZeroUsize::new(BYTES_PER_TOKEN).unwrap_or(NonZeroUsize::MIN));
        let mut hasher = PromptHasher::new(root, block_bytes, self.max_blocks(block_tokens));
        for bytes in request.prompt.bytes() {
            hasher.update(bytes);
        }
        hasher.finish()
    }
}

impl PrefixProducer for ApproxPrefixCacheProducer {
    fn look_up(
        &self,
        request: &InferenceRequest<'_>,
        candidates: &[Candidate<'_>],
    ) -> (PrefixMatches, Vec<u64>) {
        let block_tokens = self.block_tokens(candidates);
        let blocks = self.chain(request, block_tokens);
        let matches = PrefixMatches {
            total_blocks: u32::try_from(blocks.len()).unwrap_or(u32::MAX),
            block_size: u32::try_from(block_tokens.get()).unwrap_or(u32::MAX),
            cached_blocks: self.index.matched(&blocks, candidates.iter().map(|it| it.endpoint.state.id())),
        };
        (matches, blocks)
    }

    fn remember(&self, schedule: &Schedule<'_>, matches: &PrefixMatches, blocks: &[u64]) {
        for endpoint in schedule.best_of_each_run() {
            self.index.insert(endpoint.state.id(), blocks, self.capacity(endpoint));
        }
        if let Some(&best) = schedule.runs[schedule.primary].picked.first() {
            self.metrics.observe_hit(matches.cached(best), matches);
        }
    }

    fn refresh(&self, endpoints: &[Arc<Endpoint>]) {
        self.index.retain(|id| endpoints.iter().any(|it| it.state.id() == id));
        self.metrics.set_size(self.index.n_blocks());
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    let Parameters {
        auto_tune,
        block_size_tokens,
        block_size,
        max_prefix_blocks_to_match,
        max_prefix_tokens_to_match,
        lru_capacity_per_server,
    } = build.parameters()?;
    let from_characters = block_size.and_then(|it| NonZeroUsize::new(it.get().div_ceil(BYTES_PER_TOKEN)));
    let producer = ApproxPrefixCacheProducer {
        auto_tune,
        block_tokens: block_size_tokens.or(from_characters).unwrap_or(DEFAULT_BLOCK_TOKENS),
        max_blocks: max_prefix_blocks_to_match,
        max_tokens: max_prefix_tokens_to_match,
        capacity: lru_capacity_per_server,
        index: ApproxIndex::default(),
        metrics: build.metrics().prefix(build.type_name(), &build.name()),
    };
    Ok(Extension::PrefixProducer(build.new_prefix_slot(), Arc::new(producer)))
}

#[cfg(test)]
mod tests;
