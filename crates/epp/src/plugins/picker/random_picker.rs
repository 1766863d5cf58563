//! `random-picker`: any endpoint, whatever its total.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rand::RngCore;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::{Extension, Picker};
use crate::plugins::picker::{Parameters, shuffled};

/// See the module.
#[derive(Debug)]
pub struct RandomPicker {
    max_endpoints: NonZeroUsize,
}

impl Picker for RandomPicker {
    fn pick(&self, totals: &[f64], rng: &mut dyn RngCore) -> Vec<usize> {
        let mut order = shuffled(totals.len(), rng);
        order.truncate(self.max_endpoints.get());
        order
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    let Parameters { max_num_of_endpoints } = build.parameters()?;
    Ok(Extension::Picker(Arc::new(RandomPicker { max_endpoints: max_num_of_endpoints })))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn picks_everyone_equally_often() {
        let picker = RandomPicker { max_endpoints: NonZeroUsize::MIN };
        let mut rng = StdRng::seed_from_u64(7);
        let mut n_picked = [0; 3];
        for _ in 0..3000 {
            n_picked[picker.pick(&[0.0, 5.0, 100.0], &mut rng)[0]] += 1;
        }
        assert!(n_picked.iter().all(|&it| (870..1130).contains(&it)), "{n_picked:?}");
    }
}
