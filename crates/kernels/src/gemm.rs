//! `y = x · Wᵀ`: f32 rows times packed weights.
//!
//! One kernel for every number of rows. Many rows (prefill): tiles of as many rows as registers hold, against
//! panels that stay in the second-level cache. Few rows (decode): each weight is read once, and several panels
//! are walked at once, because one stream of addresses does not reach the memory's bandwidth.
//!
//! Every element is the same chain of operations in both cases (see [`tile`]).

pub(crate) mod tile;

use std::ops::Range;

use crate::cpu::Cpu;
use crate::isa::{Isa, Level};
use crate::packed::{PANEL, PackedMatrix, PanelLine, Panels};
use crate::pool::SharedSlice;
use crate::rows::{Rows, RowsMut};
use crate::simd::LANES;
use tile::{Finish, Tile};

/// What happens to the products.
#[derive(Debug, Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// Added to every row: one value an output.
    pub bias: Option<&'a [f32]>,
    /// Adds the products (and bias) to what `y` holds instead of replacing it: a residual connection.
    pub add: bool,
}

/// Bytes of weights that stay in the second-level cache while all rows pass.
const CACHED_WEIGHTS: usize = 1 << 20;

/// Rows that one task takes at least when rows are split over tasks, a multiple of every tile.
const ROW_BLOCK: usize = 96;

/// Computes `y[i, j] = sum over k of x[i, k] * weights[j, k]`, plus what `epilogue` says.
///
/// # Panics
/// When the shapes disagree.
pub fn gemm(cpu: &mut Cpu, x: Rows<'_>, weights: &PackedMatrix, y: RowsMut<'_>, epilogue: Epilogue<'_>) {
    assert_eq!(x.n_cols(), weights.k(), "inputs");
    let RowsMut { data, rows, cols, stride } = y;
    assert_eq!((rows, cols), (x.n_rows(), weights.n()), "outputs");
    if let Some(bias) = epilogue.bias {
        assert_eq!(bias.len(), weights.n(), "bias");
    }
    if x.n_rows() == 0 {
        return;
    }
    let grid = Grid::new(x.n_rows(), weights.n().div_ceil(PANEL), cpu.threads());
    let level = cpu.level;
    let out = Output {
        data: SharedSlice::new(data),
        stride,
        cols,
        finish: Finish { bias: epilogue.bias, add: epilogue.add },
    };
    cpu.pool.run(grid.n_tasks(), |task, _| {
        let (rows, panels) = grid.part(task);
        match &weights.panels {
            Panels::Bf16(lines) => Part { level, x, lines, rows, out: &out }.compute(panels),
            Panels::F16(lines) => Part { level, x, lines, rows, out: &out }.compute(panels),
            Panels::F32(lines) => Part { level, x, lines, rows, out: &out }.compute(panels),
        }
    });
}

/// How the work is split: ranges of panels times ranges of rows.
struct Grid {
    n_rows: usize,
    n_panels: usize,
    row_parts: usize,
    panel_parts: usize,
}

impl Grid {
    /// Parts enough for `threads` to end at about the same time, yet long enough to stream.
    fn new(n_rows: usize, n_panels: usize, threads: usize) -> Self {
        let rounds = (n_panels / (8 * threads)).clamp(1, 8);
        let panel_parts = (threads * rounds).min(n_panels);
        let wanted_row_parts = (4 * threads).div_ceil(panel_parts);
        let row_parts = wanted_row_parts.min(n_rows / ROW_BLOCK).max(1);
        Self { n_rows, n_panels, row_parts, panel_parts }
    }

    fn n_tasks(&self) -> usize {
        self.row_parts * self.panel_parts
    }

    /// Rows and panels of one task. Rows begin at multiples of [`ROW_BLOCK`].
    fn part(&self, task: usize) -> (Range<usize>, Range<usize>) {
        let (row_part, panel_part) = (task % self.row_parts, task / self.row_parts);
        let row_start = |part| {
            if part == self.row_parts {
                self.n_rows
            } else {
                self.n_rows * part / self.row_parts / ROW_BLOCK * ROW_BLOCK
            }
        };
        let panel_start = |part| self.n_panels * part / self.panel_parts;
        (row_start(row_part)..row_start(row_part + 1), panel_start(panel_part)..panel_start(panel_part + 1))
    }
}

/// Where results go. Tasks write to it at the same time.
struct Output<'a> {
    data: SharedSlice<'a, f32>,
    stride: usize,
    cols: usize,
    finish: Finish<'a>,
}

impl Output<'_> {
    /// Writes the sums of `row` for `panel`. Each pair of both is written by one task only.
    fn write(&self, row: usize, panel: usize, sums: &[[f32; LANES]; 2]) {
        let column = panel * PANEL;
        let len = PANEL.min(self.cols - column);
        #[expect(unsafe_code, reason = "tasks write to disjoint tiles of one matrix")]
        // SAFETY: a task owns its rows times its panels, the tasks of a grid do not overlap, `column + len` is at
        // most the number of columns and so stays inside the row; and within a task this slice ends right here.
        let out = unsafe { self.data.slice(row * self.stride + column, len) };
        self.finish.write(sums, column, out);
    }
}

/// One task: its rows of `x` against ranges of panels.
struct Part<'a, L> {
    level: Level,
    x: Rows<'a>,
    lines: &'a [L],
    rows: Range<usize>,
    out: &'a Output<'a>,
}

impl<L: PanelLine> Part<'_, L> {
    /// Walks the panels in groups that fit the cache, and all rows for each group.
    fn compute(&self, panels: Range<usize>) {
        let group = (CACHED_WEIGHTS / (self.x.n_cols() * size_of::<L>())).max(4);
        let mut start = panels.start;
        while start < panels.end {
            let end = panels.end.min(start + group);
            let mut row = self.rows.start;
            while row < self.rows.end {
                row += self.row_tile(row, start..end);
            }
            start = end;
        }
    }

    /// The next rows against a group of panels; answers how many rows that were.
    fn row_tile(&self, row: usize, panels: Range<usize>) -> usize {
        let left = self.rows.end - row;
        match (self.level.isa(), left) {
            (Isa::Avx512, 12..) => self.walk::<12, 1>(row, panels),
            (Isa::Avx512, 8..) => self.walk::<8, 1>(row, panels),
            (Isa::Avx512, 4..) => self.walk::<4, 2>(row, panels),
            (Isa::Avx512, 2..) => self.walk::<2, 4>(row, panels),
            (Isa::Avx512, _) => self.walk::<1, 4>(row, panels),
            (Isa::Avx2 | Isa::Scalar, 3..) => self.walk::<3, 1>(row, panels),
            (Isa::Avx2 | Isa::Scalar, 2) => self.walk::<2, 1>(row, panels),
            (Isa::Avx2 | Isa::Scalar, _) => self.walk::<1, 2>(row, panels),
        }
    }

    /// `ROWS` rows against the panels, `PANELS` at a time and the rest one by one.
    fn walk<const ROWS: usize, const PANELS: usize>(&self, row: usize, panels: Range<usize>) -> usize {
        let mut panel = panels.start;
        while panel + PANELS <= panels.end {
            self.tile::<ROWS, PANELS>(row, panel);
            panel += PANELS;
        }
        for panel in panel..panels.end {
            self.tile::<ROWS, 1>(row, panel);
        }
        ROWS
    }

    fn tile<const ROWS: usize, const PANELS: usize>(&self, row: usize, panel: usize) {
        let k = self.x.n_cols();
        let x = std::array::from_fn(|i| self.x.row(row + i));
        let panels = std::array::from_fn(|i| &self.lines[(panel + i) * k..][..k]);
        let mut sums = [[[[0.0; LANES]; 2]; PANELS]; ROWS];
        self.level.run(Tile { x, panels, sums: &mut sums });
        for (row_offset, panels) in sums.iter().enumerate() {
            for (panel_offset, sums) in panels.iter().enumerate() {
                self.out.write(row + row_offset, panel + panel_offset, sums);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Grid;

    proptest! {
        #[test]
        fn every_tile_belongs_to_one_task(n_rows in 1_usize..700, n_panels in 1_usize..90, threads in 1_usize..20) {
            let grid = Grid::new(n_rows, n_panels, threads);
            let mut owners = vec![0_u8; n_rows * n_panels];
            for task in 0..grid.n_tasks() {
                let (rows, panels) = grid.part(task);
                for row in rows {
                    panels.clone().for_each(|panel| owners[row * n_panels + panel] += 1);
                }
            }
            prop_assert!(owners.iter().all(|&it| it == 1));
        }
    }
}
