//! Pickers.

pub mod max_score_picker;
pub mod random_picker;
pub mod weighted_random_picker;

use std::num::NonZeroUsize;

use serde::Deserialize;

/// Parameters of every picker.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Parameters {
    /// Length of the list of destinations; the later ones are fallbacks for the data plane.
    pub(crate) max_num_of_endpoints: NonZeroUsize,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { max_num_of_endpoints: NonZeroUsize::MIN }
    }
}

/// The numbers 0 to `n` in random order.
pub(crate) fn shuffled(n: usize, rng: &mut dyn rand::RngCore) -> Vec<usize> {
    use rand::seq::SliceRandom;
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(rng);
    order
}
