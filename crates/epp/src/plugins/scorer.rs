//! Scorers.

pub mod active_request_scorer;
pub mod kv_cache_utilization_scorer;
pub mod lora_affinity_scorer;
pub mod no_hit_lru_scorer;
pub mod prefix_cache_scorer;
pub mod queue_scorer;
pub mod running_requests_size_scorer;

use crate::scheduling::Candidate;

/// 1 for the smallest value, 0 for the largest, linear between; all equal values score 1.
pub(crate) fn score_smallest(
    candidates: &[Candidate<'_>],
    scores: &mut [f64],
    value: impl Fn(&Candidate<'_>) -> u32,
) {
    debug_assert_eq!(candidates.len(), scores.len());
    let values = || candidates.iter().map(&value);
    let (Some(min), Some(max)) = (values().min(), values().max()) else { return };
    for (score, value) in scores.iter_mut().zip(values()) {
        *score = if min == max { 1.0 } else { f64::from(max - value) / f64::from(max - min) };
    }
}
