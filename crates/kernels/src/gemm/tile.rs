//! The innermost loops of [`gemm`](crate::gemm()): `ROWS` rows of `x` against `PANELS` panels, held in registers.

use crate::packed::{PANEL, PanelLine};
use crate::simd::{Kernel, LANES, Simd};

/// Sums of a tile, `[row][panel]`: outputs 0..16 and 16..32 of each panel.
pub(crate) type Sums<const ROWS: usize, const PANELS: usize> = [[[[f32; LANES]; 2]; PANELS]; ROWS];

/// How far ahead of the arithmetic weights are asked for, in bytes of each panel. The hardware follows a stream
/// only to the end of a 4 KiB page.
const PREFETCH: usize = 2048;

/// One tile. Each sum is one chain of fused multiply-adds from 0 in the order of `k`, so neither `ROWS` nor
/// `PANELS` changes a bit.
pub(crate) struct Tile<'a, L, const ROWS: usize, const PANELS: usize> {
    /// At least `k` elements each.
    pub(crate) x: [&'a [f32]; ROWS],
    /// `k` lines each.
    pub(crate) panels: [&'a [L]; PANELS],
    pub(crate) sums: &'a mut Sums<ROWS, PANELS>,
}

impl<L: PanelLine, const ROWS: usize, const PANELS: usize> Kernel for Tile<'_, L, ROWS, PANELS> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let k = self.panels[0].len();
        // Slices of exactly `k` elements: no index below needs a check. (Loops instead of `map`: closures are not
        // sure to be compiled for the instruction set.)
        let Self { mut x, mut panels, .. } = self;
        for row in &mut x {
            *row = &row[..k];
        }
        for panel in &mut panels {
            *panel = &panel[..k];
        }
        let mut sums = [[[simd.splat(0.0); 2]; PANELS]; ROWS];
        let mut weights = [[simd.splat(0.0); 2]; PANELS];
        for i in 0..k {
            for (weights, panel) in weights.iter_mut().zip(&panels) {
                simd.prefetch(&panel[i], PREFETCH);
                *weights = L::widen(simd, &panel[i]);
            }
            for (sums, row) in sums.iter_mut().zip(&x) {
                let x = simd.splat(row[i]);
                for (sums, weights) in sums.iter_mut().zip(&weights) {
                    sums[0] = simd.fma(x, weights[0], sums[0]);
                    sums[1] = simd.fma(x, weights[1], sums[1]);
                }
            }
        }
        for (to, from) in self.sums.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
            simd.store(&mut to[0], from[0]);
            simd.store(&mut to[1], from[1]);
        }
    }
}

/// How the sums of a tile become results.
pub(crate) struct Finish<'a> {
    /// Added to each output.
    pub(crate) bias: Option<&'a [f32]>,
    /// Whether the result is added to what stands in the output.
    pub(crate) add: bool,
}

impl Finish<'_> {
    /// Writes the sums of one row of a panel whose first output is `column` to `out`, which may be shorter than
    /// a panel.
    pub(crate) fn write(&self, sums: &[[f32; LANES]; 2], column: usize, out: &mut [f32]) {
        let mut values = [0.0; PANEL];
        values.copy_from_slice(sums.as_flattened());
        let values = &mut values[..out.len()];
        if let Some(bias) = self.bias {
            for (value, bias) in values.iter_mut().zip(&bias[column..]) {
                *value += bias;
            }
        }
        if self.add {
            for (to, value) in out.iter_mut().zip(values) {
                *to += *value;
            }
        } else {
            out.copy_from_slice(values);
        }
    }
}
