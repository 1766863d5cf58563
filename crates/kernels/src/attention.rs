//! Causal attention over a paged KV cache, with grouped queries.
//!
//! Keys are visited in chunks of [`CHUNK`] positions counted from position 0, whatever the block size, with the
//! online softmax: a running maximum, a running sum and a running output, rescaled when the maximum grows. What
//! a query computes depends on its position and on the keys and values up to it, and on nothing else: decode,
//! chunked prefill and a prefix hit give the same bits.
//!
//! A task is a few tokens of one sequence times one KV head, so the chunk it brings into the cache (widened,
//! keys transposed) serves all query heads of the group. Both products run on the GEMM's tiles.

mod softmax;
mod task;

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use half::bf16;

use crate::cpu::Cpu;
use crate::pool::SharedSlice;
use crate::rope::HeadShape;
use crate::rows::{Rows, RowsMut};
use task::{Scratch, Task};

/// Positions between two rescalings of the softmax.
pub const CHUNK: usize = 32;

/// Query rows (tokens times heads of a group) that share a chunk, about.
const TASK_ROWS: usize = 96;

/// Keys and values of one layer in one KV block, each `[kv_heads][block_size][head_dim]`.
#[derive(Debug, Clone, Copy)]
pub enum KvBlock<'a> {
    /// Stored as bf16.
    Bf16 {
        /// Keys.
        keys: &'a [bf16],
        /// Values.
        values: &'a [bf16],
    },
    /// Stored as f32.
    F32 {
        /// Keys.
        keys: &'a [f32],
        /// Values.
        values: &'a [f32],
    },
}

/// Finds KV blocks.
pub trait KvBlocks: Sync {
    /// Tokens a block.
    fn block_size(&self) -> usize;
    /// Block `index` (counted from position 0) of the sequence `sequence` of the step.
    fn block(&self, sequence: usize, index: usize) -> KvBlock<'_>;
}

/// The tokens of one sequence in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionSpan {
    /// Row of its first token.
    pub first_row: usize,
    /// Tokens, in consecutive rows.
    pub n_tokens: usize,
    /// Position of the first token.
    pub start: usize,
}

/// Memory of the tasks, kept from call to call.
#[derive(Debug)]
pub struct AttentionWorkspace {
    shape: HeadShape,
    /// One for each thread, so a lock never waits.
    scratch: Vec<Mutex<Scratch>>,
}

impl AttentionWorkspace {
    /// For models of this `shape` on the threads of `cpu`.
    #[must_use]
    pub fn new(cpu: &Cpu, shape: HeadShape) -> Self {
        let rows = tokens_per_task(shape) * (shape.n_heads / shape.n_kv_heads);
        let scratch = (0..cpu.threads()).map(|_| Mutex::new(Scratch::new(rows, shape.head_dim))).collect();
        Self { shape, scratch }
    }
}

/// For every token of `spans` and every query head, writes `softmax(q · K / sqrt(head_dim)) · V` over positions
/// 0 to the token's own to `out` (`[n_heads][head_dim]` a row). Queries are the first columns of `qkv`; keys and
/// values, the token's own included, are in the cache.
///
/// # Panics
/// When the shapes disagree.
pub fn attention(
    cpu: &mut Cpu,
    workspace: &AttentionWorkspace,
    qkv: Rows<'_>,
    spans: &[AttentionSpan],
    cache: &dyn KvBlocks,
    out: RowsMut<'_>,
) {
    let shape = workspace.shape;
    assert_eq!(qkv.n_cols(), shape.qkv_cols(), "columns of queries, keys and values");
    let RowsMut { data, rows, cols, stride } = out;
    assert!(cols == shape.q_cols() && rows == qkv.n_rows(), "output");
    let n_rows: usize = spans.iter().map(|it| it.n_tokens).sum();
    assert!(
        n_rows == qkv.n_rows() && spans.iter().is_sorted_by(|a, b| a.first_row + a.n_tokens <= b.first_row),
        "spans cover the rows once"
    );
    let pieces = pieces(spans, tokens_per_task(shape));
    let (data, level) = (SharedSlice::new(data), cpu.level);
    cpu.pool.run(pieces.len() * shape.n_kv_heads, |index, thread| {
        let (sequence, tokens) = pieces[index / shape.n_kv_heads].clone();
        let kv_head = index % shape.n_kv_heads;
        let mut scratch = workspace.scratch[thread].lock().unwrap_or_else(PoisonError::into_inner);
        let span = spans[sequence];
        let task = Task { level, shape, kv_head, sequence, span, tokens: tokens.clone(), cache };
        task.compute(qkv, &mut scratch);
        let group_cols = shape.n_heads / shape.n_kv_heads * shape.head_dim;
        for (token, result) in tokens.zip(scratch.results(group_cols)) {
            let start = (span.first_row + token) * stride + kv_head * group_cols;
            #[expect(unsafe_code, reason = "tasks write to disjoint tiles of one matrix")]
            // SAFETY: spans do not overlap (asserted), pieces of a span do not, and neither do the column groups
            // of KV heads: no other task writes these columns of this row.
            let out = unsafe { data.slice(start, group_cols) };
            out.copy_from_slice(result);
        }
    });
}

/// Tokens that one task takes at most.
fn tokens_per_task(shape: HeadShape) -> usize {
    (TASK_ROWS * shape.n_kv_heads / shape.n_heads).max(1)
}

/// Cuts the spans into (sequence, tokens), the longest-running pieces first.
fn pieces(spans: &[AttentionSpan], tokens: usize) -> Vec<(usize, Range<usize>)> {
    let mut pieces: Vec<_> = spans
        .iter()
        .enumerate()
        .flat_map(|(sequence, span)| {
            (0..span.n_tokens)
                .step_by(tokens)
                .map(move |start| (sequence, start..span.n_tokens.min(start + tokens)))
        })
        .collect();
    pieces.sort_by_key(|(sequence, tokens)| std::cmp::Reverse(spans[*sequence].start + tokens.end));
    pieces
}
