//! Weights as the GEMM reads them: packed once at load, in column panels.
//!
//! A weight matrix `[n, k]` (row-major in checkpoints, one row an output) becomes `n / 32` panels, each `[k][32]`:
//! for every input the weights of 32 outputs, one cache line of 16-bit elements. The last panel is padded with
//! zeros. bf16 lines hold output `i` and output `i + 16` in the halves of 32-bit word `i`, so that widening is one
//! shift and one mask.

use std::io;

use bytemuck::{Pod, Zeroable};
use half::{bf16, f16};

use crate::buffer::Buffer;
use crate::cpu::Cpu;
use crate::element::ElementType;
use crate::rows::RowsMut;
use crate::simd::{LANES, Simd};

/// Outputs of a panel.
pub(crate) const PANEL: usize = 2 * LANES;

/// The weights of one input in a panel.
pub(crate) trait PanelLine: Pod + Send + Sync {
    /// All 32 as f32, outputs 0..16 and 16..32.
    fn widen<S: Simd>(simd: S, line: &Self) -> [S::F32; 2];
    /// Weight of output `column`.
    fn get(&self, column: usize) -> f32;
    /// Sets the weight of output `column` from element `index` of a checkpoint's `bytes`.
    fn set(&mut self, column: usize, from: ElementType, bytes: &[u8], index: usize);
}

/// See the module's introduction.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct Bf16Line([u16; PANEL]);

/// f16 in order.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct F16Line([u16; PANEL]);

/// f32 in order.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct F32Line(pub(crate) [[f32; LANES]; 2]);

impl Bf16Line {
    /// Place of output `column`.
    #[inline(always)]
    const fn place(column: usize) -> usize {
        2 * (column % LANES) + column / LANES
    }
}

impl PanelLine for Bf16Line {
    #[inline(always)]
    fn widen<S: Simd>(simd: S, line: &Self) -> [S::F32; 2] {
        simd.widen_bf16_pairs(&line.0)
    }

    fn get(&self, column: usize) -> f32 {
        bf16::from_bits(self.0[Self::place(column)]).to_f32()
    }

    #[inline(always)]
    fn set(&mut self, column: usize, from: ElementType, bytes: &[u8], index: usize) {
        self.0[Self::place(column)] = match from {
            ElementType::Bf16 => crate::element::read_u16(bytes, index),
            ElementType::F16 | ElementType::F32 => bf16::from_f32(from.read(bytes, index)).to_bits(),
        };
    }
}

impl PanelLine for F16Line {
    #[inline(always)]
    fn widen<S: Simd>(simd: S, line: &Self) -> [S::F32; 2] {
        let (halves, _) = line.0.as_chunks::<LANES>();
        [simd.widen_f16(&halves[0]), simd.widen_f16(&halves[1])]
    }

    fn get(&self, column: usize) -> f32 {
        f16::from_bits(self.0[column]).to_f32()
    }

    #[inline(always)]
    fn set(&mut self, column: usize, from: ElementType, bytes: &[u8], index: usize) {
        self.0[column] = match from {
            ElementType::F16 => crate::element::read_u16(bytes, index),
            ElementType::Bf16 | ElementType::F32 => f16::from_f32(from.read(bytes, index)).to_bits(),
        };
    }
}

impl PanelLine for F32Line {
    #[inline(always)]
    fn widen<S: Simd>(simd: S, line: &Self) -> [S::F32; 2] {
        [simd.load(&line.0[0]), simd.load(&line.0[1])]
    }

    fn get(&self, column: usize) -> f32 {
        self.0[column / LANES][column % LANES]
    }

    #[inline(always)]
    fn set(&mut self, column: usize, from: ElementType, bytes: &[u8], index: usize) {
        self.0[column / LANES][column % LANES] = from.read(bytes, index);
    }
}

/// Panels of one of the element types.
#[derive(Debug)]
pub(crate) enum Panels {
    Bf16(Buffer<Bf16Line>),
    F16(Buffer<F16Line>),
    F32(Buffer<F32Line>),
}

/// A weight matrix, or a part of one, as it lies in a checkpoint: `rows × cols`, row-major, little-endian, without
/// alignment.
#[derive(Debug, Clone, Copy)]
pub struct SourceMatrix<'a> {
    bytes: &'a [u8],
    element_type: ElementType,
    rows: usize,
    cols: usize,
}

impl<'a> SourceMatrix<'a> {
    /// A matrix of `rows × cols`; `None` when `bytes` has another size.
    #[must_use]
    pub fn new(bytes: &'a [u8], element_type: ElementType, rows: usize, cols: usize) -> Option<Self> {
        let size = rows.checked_mul(cols)?.checked_mul(element_type.size())?;
        (bytes.len() == size).then_some(Self { bytes, element_type, rows, cols })
    }

    /// The bytes of one row.
    fn row(&self, row: usize) -> &'a [u8] {
        let len = self.cols * self.element_type.size();
        &self.bytes[row * len..][..len]
    }
}

/// A weight matrix `[n, k]`, packed.
#[derive(Debug)]
pub struct PackedMatrix {
    pub(crate) panels: Panels,
    n: usize,
    k: usize,
}

impl PackedMatrix {
    /// Packs `parts`, one below the other, on all threads; elements are stored as `element_type`.
    ///
    /// # Errors
    /// When memory runs out.
    ///
    /// # Panics
    /// When there are no parts or they differ in columns.
    pub fn pack(cpu: &mut Cpu, parts: &[SourceMatrix<'_>], element_type: ElementType) -> io::Result<Self> {
        let k = parts.first().map_or(0, |it| it.cols);
        assert!(k > 0 && parts.iter().all(|it| it.cols == k), "parts of a matrix have the same columns");
        let rows: Vec<(ElementType, &[u8])> = parts
            .iter()
            .flat_map(|part| (0..part.rows).map(|row| (part.element_type, part.row(row))))
            .collect();
        let n = rows.len();
        let panels = match element_type {
            ElementType::Bf16 => Panels::Bf16(pack_panels(cpu, &rows, k)?),
            ElementType::F16 => Panels::F16(pack_panels(cpu, &rows, k)?),
            ElementType::F32 => Panels::F32(pack_panels(cpu, &rows, k)?),
        };
        Ok(Self { panels, n, k })
    }

    /// Outputs.
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }

    /// Inputs.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Bytes read to multiply with it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.panels {
            Panels::Bf16(lines) => size_of_val::<[_]>(lines),
            Panels::F16(lines) => size_of_val::<[_]>(lines),
            Panels::F32(lines) => size_of_val::<[_]>(lines),
        }
    }

    /// Writes row `rows[i]` of the matrix, widened, to row `i` of `out`: the embedding of a token, from the same
    /// memory that a tied output head multiplies with.
    ///
    /// # Panics
    /// When a row or the shape of `out` does not fit.
    pub fn gather(&self, cpu: &mut Cpu, rows: &[u32], out: RowsMut<'_>) {
        assert!(out.n_rows() == rows.len() && out.cols == self.k, "one row of {} a token", self.k);
        out.for_each(&mut cpu.pool, 8, |i, out| {
            let row = rows[i] as usize;
            assert!(row < self.n, "row {row} of {}", self.n);
            match &self.panels {
                Panels::Bf16(lines) => gather_row(lines, self.k, row, out),
                Panels::F16(lines) => gather_row(lines, self.k, row, out),
                Panels::F32(lines) => gather_row(lines, self.k, row, out),
            }
        });
    }

    /// The product with the rows of `x` in plain Rust.
    #[cfg(test)]
    pub(crate) fn multiply_reference(&self, x: crate::Rows<'_>) -> Vec<f32> {
        let mut row = vec![0.0; self.k];
        let mut out = vec![0.0; x.n_rows() * self.n];
        for j in 0..self.n {
            match &self.panels {
                Panels::Bf16(lines) => gather_row(lines, self.k, j, &mut row),
                Panels::F16(lines) => gather_row(lines, self.k, j, &mut row),
                Panels::F32(lines) => gather_row(lines, self.k, j, &mut row),
            }
            for i in 0..x.n_rows() {
                out[i * self.n + j] = crate::reference::dot(x.row(i), &row);
            }
        }
        out
    }
}

/// Copies one output's weights out of its panel.
fn gather_row<L: PanelLine>(lines: &[L], k: usize, row: usize, out: &mut [f32]) {
    let panel = &lines[row / PANEL * k..][..k];
    for (to, line) in out.iter_mut().zip(panel) {
        *to = line.get(row % PANEL);
    }
}

/// Transposes rows into panels.
fn pack_panels<L: PanelLine>(
    cpu: &mut Cpu,
    rows: &[(ElementType, &[u8])],
    k: usize,
) -> io::Result<Buffer<L>> {
    /// Lines of a panel that stay in the first-level cache while 32 rows are written into them.
    const LINES: usize = 128;
    let mut lines = Buffer::<L>::zeroed(rows.len().div_ceil(PANEL) * k)?;
    cpu.pool.run_pieces(&mut lines, k, |panel_idx, panel, _| {
        let rows = &rows[panel_idx * PANEL..rows.len().min((panel_idx + 1) * PANEL)];
        for (block_idx, block) in panel.chunks_mut(LINES).enumerate() {
            for (column, &(element_type, bytes)) in rows.iter().enumerate() {
                let size = element_type.size();
                let bytes = &bytes[block_idx * LINES * size..][..block.len() * size];
                for (index, line) in block.iter_mut().enumerate() {
                    line.set(column, element_type, bytes, index);
                }
            }
        }
    });
    Ok(lines)
}
