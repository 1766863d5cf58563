//! Root-mean-square normalisation.

use crate::cpu::Cpu;
use crate::rows::{Rows, RowsMut};
use crate::simd::{Kernel, LANES, Simd};

/// Writes `x * weight / sqrt(mean(x²) + eps)` of each row of `x` to `y`.
///
/// # Panics
/// When the shapes disagree.
pub fn rms_norm(cpu: &mut Cpu, x: Rows<'_>, weight: &[f32], eps: f32, y: RowsMut<'_>) {
    assert_eq!(y.rows, x.n_rows(), "output");
    norm_rows(cpu, |i| x.row(i), weight, eps, y);
}

/// Writes the same of row `rows[i]` of `x` to row `i` of `y`.
///
/// # Panics
/// When the shapes disagree or there is no such row.
pub fn rms_norm_of(cpu: &mut Cpu, x: Rows<'_>, rows: &[usize], weight: &[f32], eps: f32, y: RowsMut<'_>) {
    assert_eq!(y.rows, rows.len(), "output");
    norm_rows(cpu, |i| x.row(rows[i]), weight, eps, y);
}

fn norm_rows<'a>(
    cpu: &mut Cpu,
    x: impl Fn(usize) -> &'a [f32] + Sync,
    weight: &[f32],
    eps: f32,
    y: RowsMut<'_>,
) {
    assert_eq!(weight.len(), y.cols, "weight");
    let level = cpu.level;
    y.for_each(&mut cpu.pool, 16, |i, out| {
        out.copy_from_slice(x(i));
        level.run(RmsNorm { x: out, weight, eps });
    });
}

/// Normalises one row in place.
pub(crate) struct RmsNorm<'a> {
    pub(crate) x: &'a mut [f32],
    pub(crate) weight: &'a [f32],
    pub(crate) eps: f32,
}

impl Kernel for RmsNorm<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { x, weight, eps } = self;
        let n = x.len();
        let scale = (sum_of_squares(simd, x) / n as f32 + eps).sqrt().recip();
        let scale_lanes = simd.splat(scale);
        let (chunks, tail) = x.as_chunks_mut::<LANES>();
        let (weights, weight_tail) = weight[..n].as_chunks::<LANES>();
        for (x, weight) in chunks.iter_mut().zip(weights) {
            let scaled = simd.mul(simd.load(x), scale_lanes);
            simd.store(x, simd.mul(scaled, simd.load(weight)));
        }
        for (x, weight) in tail.iter_mut().zip(weight_tail) {
            *x = *x * scale * weight;
        }
    }
}

/// Sum over the row in sixteen chains; the tail is padded with zeros.
#[inline(always)]
fn sum_of_squares<S: Simd>(simd: S, x: &[f32]) -> f32 {
    let (chunks, tail) = x.as_chunks::<LANES>();
    let mut last = [0.0; LANES];
    last[..tail.len()].copy_from_slice(tail);
    let mut sum = simd.splat(0.0);
    for chunk in chunks.iter().chain([&last]) {
        let x = simd.load(chunk);
        sum = simd.fma(x, x, sum);
    }
    simd.sum(sum)
}
