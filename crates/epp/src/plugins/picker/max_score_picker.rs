//! `max-score-picker`: the endpoints with the highest totals; ties are broken at random.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rand::RngCore;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::{Extension, Picker};
use crate::plugins::picker::{Parameters, shuffled};

/// See the module.
#[derive(Debug)]
pub struct MaxScorePicker {
    max_endpoints: NonZeroUsize,
}

impl Picker for MaxScorePicker {
    fn pick(&self, totals: &[f64], rng: &mut dyn RngCore) -> Vec<usize> {
        let mut order = shuffled(totals.len(), rng);
        order.sort_by(|&a, &b| totals[b].total_cmp(&totals[a]));
        order.truncate(self.max_endpoints.get());
        order
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    let Parameters { max_num_of_endpoints } = build.parameters()?;
    Ok(Extension::Picker(Arc::new(MaxScorePicker { max_endpoints: max_num_of_endpoints })))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn lists_the_best_in_order() {
        let picker = MaxScorePicker { max_endpoints: NonZeroUsize::new(2).unwrap() };
        let picked = picker.pick(&[0.1, 3.0, 2.0], &mut StdRng::seed_from_u64(1));
        assert_eq!(picked, [1, 2]);
    }

    #[test]
    fn breaks_ties_at_random() {
        let picker = MaxScorePicker { max_endpoints: NonZeroUsize::MIN };
        let mut rng = StdRng::seed_from_u64(1);
        let mut n_picked = [0; 4];
        for _ in 0..4000 {
            n_picked[picker.pick(&[1.0, 1.0, 1.0, 0.5], &mut rng)[0]] += 1;
        }
        assert!(n_picked[..3].iter().all(|&it| (1200..1470).contains(&it)), "{n_picked:?}");
        assert_eq!(n_picked[3], 0);
    }
}
