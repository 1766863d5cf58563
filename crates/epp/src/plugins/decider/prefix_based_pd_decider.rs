//! `prefix-based-pd-decider`: prefill elsewhere when the decode endpoint would have to compute much itself.
//!
//! Yes if the prompt has at least `promptTokens` and `nonCachedTokens` tokens and at least `nonCachedTokens` of
//! them are not in the decode endpoint's cache. `nonCachedTokens: 0` (the default) never disaggregates.

use std::sync::Arc;

use serde::Deserialize;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::{Decider, Extension};
use crate::request::{InferenceRequest, PrefixSlot};
use crate::scheduling::Candidate;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Parameters {
    non_cached_tokens: usize,
    prompt_tokens: usize,
}

/// See the module.
#[derive(Debug)]
pub struct PrefixBasedPdDecider {
    prefix: PrefixSlot,
    non_cached_tokens: usize,
    prompt_tokens: usize,
}

impl Decider for PrefixBasedPdDecider {
    fn wants_stage(&self, request: &InferenceRequest<'_>, decode: &Candidate<'_>) -> bool {
        let prompt = request.prompt.n_tokens();
        let cached = request
            .prefix(self.prefix)
            .map_or(0, |matches| u64::from(matches.cached(decode.index)) * u64::from(matches.block_size));
        let not_cached = prompt.saturating_sub(usize::try_from(cached).unwrap_or(usize::MAX));
        self.non_cached_tokens > 0 && prompt >= self.prompt_tokens && not_cached >= self.non_cached_tokens
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    let Parameters { non_cached_tokens, prompt_tokens } = build.parameters()?;
    let prefix = build.prefix_producer(None)?;
    Ok(Extension::Decider(Arc::new(PrefixBasedPdDecider { prefix, non_cached_tokens, prompt_tokens })))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::testing::{candidates, endpoint, prefix_matches, request, store};

    /// A prompt of 40 tokens, of which `cached_blocks` blocks of 16 are in the decode endpoint's cache.
    #[track_caller]
    fn check(non_cached_tokens: usize, prompt_tokens: usize, cached_blocks: u32, expected: bool) {
        let (store, headers, text) = (store(vec![endpoint("a")]), HashMap::new(), "x".repeat(160));
        let endpoints = store.endpoints();
        let mut request = request(&text, &headers);
        request.prefix_matches.push(prefix_matches(3, 16, &[cached_blocks]));
        let decider = PrefixBasedPdDecider { prefix: PrefixSlot(0), non_cached_tokens, prompt_tokens };
        assert_eq!(decider.wants_stage(&request, &candidates(&endpoints)[0]), expected);
    }

    #[test]
    fn zero_never_disaggregates() {
        check(0, 0, 0, false);
    }

    #[test]
    fn counts_what_the_decode_endpoint_lacks() {
        check(16, 0, 0, true);
        check(16, 0, 1, true);
        check(16, 0, 2, false);
        check(8, 0, 2, true);
        check(8, 0, 3, false);
    }

    #[test]
    fn short_prompts_stay() {
        check(41, 0, 0, false);
        check(40, 0, 0, true);
        check(1, 41, 0, false);
        check(1, 40, 0, true);
    }
}
