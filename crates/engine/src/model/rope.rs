//! Angles of the rotary position embedding: computed in f64, used in f32.

use std::f64::consts::TAU;

/// How a model stretches its positions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Every frequency divided by a factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Llama 3.1: slow frequencies are divided, fast ones kept, those between blended.
    Llama3 {
        /// Divides the slow frequencies.
        factor: f64,
        /// Wavelengths above `original_context / low_freq_factor` are slow.
        low_freq_factor: f64,
        /// Wavelengths below `original_context / high_freq_factor` are fast.
        high_freq_factor: f64,
        /// The context the model was first trained with, in positions.
        original_context: f64,
    },
}

/// Angle per position of each pair of a head's elements.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeFrequencies(Vec<f64>);

impl RopeFrequencies {
    /// For heads of `head_dim` elements: pair `j` turns by `theta^(-2j / head_dim)` a position, then scaled.
    #[must_use]
    pub fn new(head_dim: usize, theta: f64, scaling: RopeScaling) -> Self {
        let frequency = |j: usize| theta.powf(-((2 * j) as f64) / head_dim as f64);
        Self((0..head_dim / 2).map(|j| scaling.apply(frequency(j))).collect())
    }

    /// Writes the cosines, then the sines, of `position`: as many values as a head has elements.
    pub fn angles(&self, position: usize, out: &mut [f32]) {
        let (cos, sin) = out.split_at_mut(self.0.len());
        for ((frequency, cos), sin) in self.0.iter().zip(cos).zip(sin) {
            let angle = position as f64 * frequency;
            (*cos, *sin) = (angle.cos() as f32, angle.sin() as f32);
        }
    }
}

impl RopeScaling {
    fn apply(self, frequency: f64) -> f64 {
        match self {
            Self::None => frequency,
            Self::Linear { factor } => frequency / factor,
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
                let turns = original_context * frequency / TAU;
                let kept = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
                (1.0 - kept) * frequency / factor + kept * frequency
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_zero_does_not_turn() {
        let mut out = [0.0; 8];
        RopeFrequencies::new(8, 10_000.0, RopeScaling::None).angles(0, &mut out);
        assert_eq!(out, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn llama3_keeps_fast_and_divides_slow_frequencies() {
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 8192.0,
        };
        assert_eq!(scaling.apply(1.0), 1.0);
        assert_eq!(scaling.apply(1e-5), 1e-5 / 8.0);
        // Half-way between: 2.5 turns in the original context.
        let middle = 2.5 * TAU / 8192.0;
        assert!((scaling.apply(middle) - (middle / 16.0 + middle / 2.0)).abs() < 1e-12);
    }
}
