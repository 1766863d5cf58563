//! The online softmax of one query row.

use crate::math::exp;
use crate::simd::{Kernel, LANES, Simd, largest};

/// What a row knows of the chunks so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Softmax {
    /// Largest product.
    max: f32,
    /// Sum of `e^(product - max)`.
    pub(crate) sum: f32,
}

impl Default for Softmax {
    fn default() -> Self {
        Self { max: f32::NEG_INFINITY, sum: 0.0 }
    }
}

/// Takes a chunk's products into account: they become `e^(product - max)`, and what was summed under a smaller
/// maximum is scaled down. At least one product is not -∞.
pub(crate) struct Rescale<'a> {
    pub(crate) state: &'a mut Softmax,
    pub(crate) scores: [&'a mut [f32; LANES]; 2],
    /// The row's output so far.
    pub(crate) acc: &'a mut [f32],
}

impl Kernel for Rescale<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let [first, second] = self.scores;
        let (a, b) = (simd.load(first), simd.load(second));
        let max = self.state.max.max(largest(simd, simd.max(a, b)));
        let max_lanes = simd.splat(max);
        let (a, b) = (exp(simd, simd.sub(a, max_lanes)), exp(simd, simd.sub(b, max_lanes)));
        simd.store(first, a);
        simd.store(second, b);
        let chunk_sum = simd.sum(simd.add(a, b));
        if max == self.state.max {
            self.state.sum += chunk_sum;
            return;
        }
        let correction = exp(simd, simd.splat(self.state.max - max));
        let (acc, _) = self.acc.as_chunks_mut::<LANES>();
        for acc in acc {
            simd.store(acc, simd.mul(simd.load(acc), correction));
        }
        let mut lanes = [0.0; LANES];
        simd.store(&mut lanes, correction);
        *self.state = Softmax { max, sum: self.state.sum * lanes[0] + chunk_sum };
    }
}
