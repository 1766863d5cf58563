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
        // Slices of exactly `k` elements: no index below needs a check.
        let x = self.x.map(|row| &row[..k]);
        let panels = self.panels.map(|panel| &panel[..k]);
        let mut sums = [[[simd.splat(0.0); 2]; PANELS]; ROWS];
        for i in 0..k {
            let weights = panels.map(|panel| {
                simd.prefetch(&panel[i], PREFETCH);
                L::widen(simd, &panel[i])
            });
            for (row, sums) in x.iter().zip(&mut sums) {
                let x = simd.splat(row[i]);
                for (&(first, second), sums) in weights.iter().zip(sums) {
                    sums[0] = simd.fma(x, first, sums[0]);
                    sums[1] = simd.fma(x, second, sums[1]);
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
