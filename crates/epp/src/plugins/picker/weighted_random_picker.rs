//! `weighted-random-picker`: random with probability in proportion to the total.
//!
//! Weighted sampling without replacement (Efraimidis and Spirakis, A-Res): the largest `U^(1/total)` win. Written
//! with logarithms, `ln U / total`, which order the same and do not underflow. When every total is 0 all are
//! equally likely.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rand::{Rng, RngCore};

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::{Extension, Picker};
use crate::plugins::picker::{Parameters, shuffled};

/// See the module.
#[derive(Debug)]
pub struct WeightedRandomPicker {
    max_endpoints: NonZeroUsize,
}

impl Picker for WeightedRandomPicker {
    fn pick(&self, totals: &[f64], rng: &mut dyn RngCore) -> Vec<usize> {
        // Shuffled first, so that endpoints with total 0, whose keys are equal, are in random order.
        let mut order = shuffled(totals.len(), rng);
        let keys: Vec<f64> = totals
            .iter()
            .map(
                |&total| {
                    if total > 0.0 { (1.0 - rng.random::<f64>()).ln() / total } else { f64::NEG_INFINITY }
                },
            )
            .collect();
        order.sort_by(|&a, &b| keys[b].total_cmp(&keys[a]));
        order.truncate(self.max_endpoints.get());
        order
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    let Parameters { max_num_of_endpoints } = build.parameters()?;
    Ok(Extension::Picker(Arc::new(WeightedRandomPicker { max_endpoints: max_num_of_endpoints })))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn counts(totals: &[f64]) -> Vec<u32> {
        let picker = WeightedRandomPicker { max_endpoints: NonZeroUsize::MIN };
        let mut rng = StdRng::seed_from_u64(3);
        let mut n_picked = vec![0; totals.len()];
        for _ in 0..4000 {
            n_picked[picker.pick(totals, &mut rng)[0]] += 1;
        }
        n_picked
    }

    #[test]
    fn picks_in_proportion_to_the_total() {
        let n_picked = counts(&[1.0, 3.0, 0.0]);
        assert!((880..1120).contains(&n_picked[0]), "{n_picked:?}");
        assert_eq!(n_picked[2], 0);
    }

    #[test]
    fn totals_of_zero_are_equally_likely() {
        assert!(counts(&[0.0, 0.0]).iter().all(|&it| (1870..2130).contains(&it)));
    }
}
