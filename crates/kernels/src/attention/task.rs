//! One task of [`attention`](super::attention()): some tokens of a sequence against one KV head.

use std::ops::Range;

use super::softmax::{Rescale, Softmax};
use super::{AttentionSpan, CHUNK, KvBlock, KvBlocks};
use crate::gemm::tile::Tile;
use crate::isa::{Isa, Level};
use crate::packed::{F32Line, PANEL};
use crate::rope::HeadShape;
use crate::rows::Rows;
use crate::simd::{Kernel, LANES, Simd};

// A chunk's keys are one panel, and so are 32 elements of its values.
const _: () = assert!(CHUNK == PANEL);

/// Working memory of a task. A query row is a token times a head of the group, token-major.
#[derive(Debug)]
pub(crate) struct Scratch {
    head_dim: usize,
    /// Scaled queries, `[rows][head_dim]`.
    q: Vec<f32>,
    /// `[head_dim]` lines of the chunk's keys.
    keys: Vec<F32Line>,
    /// `[panels][CHUNK]` lines of 32 elements of the chunk's values.
    values: Vec<F32Line>,
    /// `[rows][CHUNK]`: products, then weights.
    scores: Vec<f32>,
    /// Running output, `[rows][panels * 32]`.
    acc: Vec<f32>,
    /// Running maximum and sum, a row each.
    softmax: Vec<Softmax>,
    /// Finished output, `[rows][head_dim]`.
    out: Vec<f32>,
}

impl Scratch {
    pub(crate) fn new(rows: usize, head_dim: usize) -> Self {
        let panels = head_dim.div_ceil(PANEL);
        let line: F32Line = bytemuck::Zeroable::zeroed();
        Self {
            head_dim,
            q: vec![0.0; rows * head_dim],
            keys: vec![line; head_dim],
            values: vec![line; panels * CHUNK],
            scores: vec![0.0; rows * CHUNK],
            acc: vec![0.0; rows * panels * PANEL],
            softmax: vec![Softmax::default(); rows],
            out: vec![0.0; rows * head_dim],
        }
    }

    /// The results, `cols` (those of a token) at a time.
    pub(crate) fn results(&self, cols: usize) -> impl Iterator<Item = &[f32]> {
        self.out.chunks_exact(cols)
    }
}

/// See the module's introduction.
pub(crate) struct Task<'a> {
    pub(crate) level: Level,
    pub(crate) shape: HeadShape,
    pub(crate) kv_head: usize,
    pub(crate) sequence: usize,
    pub(crate) span: AttentionSpan,
    /// Tokens of the span.
    pub(crate) tokens: Range<usize>,
    pub(crate) cache: &'a dyn KvBlocks,
}

impl Task<'_> {
    /// Leaves the results in `scratch`.
    pub(crate) fn compute(&self, qkv: Rows<'_>, scratch: &mut Scratch) {
        let n_rows = self.tokens.len() * self.group();
        self.load_queries(qkv, scratch);
        scratch.acc.fill(0.0);
        scratch.softmax.fill(Softmax::default());
        let end = self.span.start + self.tokens.end;
        for chunk in (0..end).step_by(CHUNK) {
            self.load_chunk(chunk..end.min(chunk + CHUNK), scratch);
            // Tokens ascend: first come those before the chunk, then those inside, then those that see it all.
            let first = self.first_row_at(chunk);
            let full = self.first_row_at(chunk + CHUNK - 1);
            self.products(first..n_rows, scratch);
            for row in first..n_rows {
                let visible = CHUNK.min(self.position(row) + 1 - chunk);
                self.softmax_row(row, visible, scratch);
            }
            for row in (first..full).step_by(self.group()) {
                self.accumulate(row..row + self.group(), self.position(row) + 1 - chunk, scratch);
            }
            self.accumulate(full..n_rows, CHUNK, scratch);
        }
        let (width, head_dim) = (scratch.head_dim.div_ceil(PANEL) * PANEL, scratch.head_dim);
        for row in 0..n_rows {
            let scale = scratch.softmax[row].sum.recip();
            let acc = &scratch.acc[row * width..][..head_dim];
            for (out, acc) in scratch.out[row * head_dim..][..head_dim].iter_mut().zip(acc) {
                *out = acc * scale;
            }
        }
    }

    /// Query heads of the KV head.
    fn group(&self) -> usize {
        self.shape.n_heads / self.shape.n_kv_heads
    }

    /// Position of a query row.
    fn position(&self, row: usize) -> usize {
        self.span.start + self.tokens.start + row / self.group()
    }

    /// The first row whose position is at least `position`.
    fn first_row_at(&self, position: usize) -> usize {
        let first = self.span.start + self.tokens.start;
        position.saturating_sub(first).min(self.tokens.len()) * self.group()
    }

    fn load_queries(&self, qkv: Rows<'_>, scratch: &mut Scratch) {
        let HeadShape { head_dim, .. } = self.shape;
        let scale = (head_dim as f32).sqrt().recip();
        let cols = self.group() * head_dim;
        for (token, to) in self.tokens.clone().zip(scratch.q.chunks_exact_mut(cols)) {
            let from = &qkv.row(self.span.first_row + token)[self.kv_head * cols..][..cols];
            for (to, from) in to.iter_mut().zip(from) {
                *to = from * scale;
            }
        }
    }

    /// Widens the keys and values of `positions` (at most a chunk) into panels. What else stands in the panels
    /// is never used: products of positions that a row does not see are masked.
    fn load_chunk(&self, positions: Range<usize>, scratch: &mut Scratch) {
        let (block_size, head_dim) = (self.cache.block_size(), self.shape.head_dim);
        let mut position = positions.start;
        while position < positions.end {
            let (block_idx, offset) = (position / block_size, position % block_size);
            let n = (block_size - offset).min(positions.end - position);
            let start = (self.kv_head * block_size + offset) * head_dim;
            let part = start..start + n * head_dim;
            let column = position - positions.start;
            match self.cache.block(self.sequence, block_idx) {
                KvBlock::Bf16 { keys, values } => {
                    self.load_rows((&keys[part.clone()], &values[part]), column, scratch);
                }
                KvBlock::F32 { keys, values } => {
                    self.load_rows((&keys[part.clone()], &values[part]), column, scratch);
                }
            }
            position += n;
        }
    }

    /// Widens rows of keys and values into the panels, from `column` on.
    fn load_rows<E: CacheElement>(&self, from: (&[E], &[E]), column: usize, scratch: &mut Scratch) {
        self.level.run(LoadRows {
            from,
            head_dim: self.shape.head_dim,
            column,
            key_lines: &mut scratch.keys,
            value_lines: &mut scratch.values,
        });
    }

    /// `scores[row] = q[row] · keys`.
    fn products(&self, rows: Range<usize>, scratch: &mut Scratch) {
        let Scratch { q, keys, scores, head_dim, .. } = scratch;
        self.tiles(
            rows,
            |row| &q[row * *head_dim..][..*head_dim],
            keys,
            |row, sums| {
                scores[row * CHUNK..][..CHUNK].copy_from_slice(sums.as_flattened());
            },
        );
    }

    /// Turns the first `visible` products of a row into weights, and rescales what the row has so far.
    fn softmax_row(&self, row: usize, visible: usize, scratch: &mut Scratch) {
        let width = scratch.head_dim.div_ceil(PANEL) * PANEL;
        let (scores, _) = scratch.scores[row * CHUNK..][..CHUNK].as_chunks_mut::<LANES>();
        scores.as_flattened_mut()[visible..].fill(f32::NEG_INFINITY);
        let [first, second] = scores else { unreachable!("a chunk is two vectors") };
        let acc = &mut scratch.acc[row * width..][..width];
        self.level.run(Rescale { state: &mut scratch.softmax[row], scores: [first, second], acc });
    }

    /// `acc[row] += weights[row] · values` over the first `visible` positions of the chunk.
    fn accumulate(&self, rows: Range<usize>, visible: usize, scratch: &mut Scratch) {
        let Scratch { scores, values, acc, head_dim, .. } = scratch;
        let width = head_dim.div_ceil(PANEL) * PANEL;
        for (panel, values) in values.chunks_exact(CHUNK).enumerate() {
            self.tiles(
                rows.clone(),
                |row| &scores[row * CHUNK..][..CHUNK],
                &values[..visible],
                |row, sums| {
                    let acc = &mut acc[row * width + panel * PANEL..][..PANEL];
                    for (acc, sum) in acc.iter_mut().zip(sums.as_flattened()) {
                        *acc += sum;
                    }
                },
            );
        }
    }

    /// Multiplies rows with one panel, in the tiles of the instruction set, and hands out each row's sums.
    fn tiles<'b>(
        &self,
        rows: Range<usize>,
        x: impl Fn(usize) -> &'b [f32],
        panel: &[F32Line],
        mut finish: impl FnMut(usize, &[[f32; LANES]; 2]),
    ) {
        let mut row = rows.start;
        while row < rows.end {
            row += match (self.level.isa(), rows.end - row) {
                (Isa::Avx512, 12..) => self.tile::<12>(row, &x, panel, &mut finish),
                (Isa::Avx512, 4..) => self.tile::<4>(row, &x, panel, &mut finish),
                (_, 3..) => self.tile::<3>(row, &x, panel, &mut finish),
                (_, 2) => self.tile::<2>(row, &x, panel, &mut finish),
                (_, _) => self.tile::<1>(row, &x, panel, &mut finish),
            };
        }
    }

    fn tile<'b, const ROWS: usize>(
        &self,
        row: usize,
        x: &impl Fn(usize) -> &'b [f32],
        panel: &[F32Line],
        finish: &mut impl FnMut(usize, &[[f32; LANES]; 2]),
    ) -> usize {
        let mut sums = [[[[0.0; LANES]; 2]]; ROWS];
        self.level.run(Tile { x: std::array::from_fn(|i| x(row + i)), panels: [panel], sums: &mut sums });
        for (i, [sums]) in sums.iter().enumerate() {
            finish(row + i, sums);
        }
        ROWS
    }
}

/// An element of the cache.
trait CacheElement: Copy {
    fn to_f32(self) -> f32;
    fn widen<S: Simd>(simd: S, from: &[Self; LANES]) -> S::F32;
}

impl CacheElement for half::bf16 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[inline(always)]
    fn widen<S: Simd>(simd: S, from: &[Self; LANES]) -> S::F32 {
        simd.widen_bf16(bytemuck::cast_ref(from))
    }
}

impl CacheElement for f32 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn widen<S: Simd>(simd: S, from: &[Self; LANES]) -> S::F32 {
        simd.load(from)
    }
}

/// Copies rows of keys and values into columns `column..` of the key panel and lines `column..` of the value
/// panels.
struct LoadRows<'a, E> {
    from: (&'a [E], &'a [E]),
    head_dim: usize,
    column: usize,
    key_lines: &'a mut [F32Line],
    value_lines: &'a mut [F32Line],
}

impl<E: CacheElement> Kernel for LoadRows<'_, E> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (keys, values) = self.from;
        for (i, key) in keys.chunks_exact(self.head_dim).enumerate() {
            let column = self.column + i;
            for (line, element) in self.key_lines.iter_mut().zip(key) {
                line.0.as_flattened_mut()[column] = element.to_f32();
            }
        }
        for (i, value) in values.chunks_exact(self.head_dim).enumerate() {
            let (chunks, tail) = value.as_chunks::<LANES>();
            for (chunk_idx, chunk) in chunks.iter().enumerate() {
                let line = &mut self.value_lines[chunk_idx / 2 * CHUNK + self.column + i];
                simd.store(&mut line.0[chunk_idx % 2], E::widen(simd, chunk));
            }
            if !tail.is_empty() {
                let line = &mut self.value_lines[chunks.len() / 2 * CHUNK + self.column + i];
                for (to, from) in line.0[chunks.len() % 2].iter_mut().zip(tail) {
                    *to = from.to_f32();
                }
            }
        }
    }
}
