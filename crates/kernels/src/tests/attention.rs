use half::bf16;
use proptest::prelude::*;

use super::{assert_close, bits, on_each_isa, random};
use crate::attention::{AttentionSpan, AttentionWorkspace, KvBlock, KvBlocks, attention};
use crate::rope::HeadShape;
use crate::{Cpu, Matrix, reference};

/// The cache of several sequences: block `b` of a sequence is `[kv_heads][block_size][head_dim]`. What no token
/// was written to is NaN, so that touching it shows.
struct Cache {
    block_size: usize,
    shape: HeadShape,
    blocks: Vec<Vec<Stored>>,
}

enum Stored {
    Bf16(Vec<bf16>, Vec<bf16>),
    F32(Vec<f32>, Vec<f32>),
}

impl Cache {
    /// From keys and values of each sequence: `[position][kv_heads * head_dim]`.
    fn new(shape: HeadShape, block_size: usize, half: bool, sequences: &[(&Matrix, &Matrix, usize)]) -> Self {
        let block = |matrix: &Matrix, len: usize, index: usize| {
            let mut block = vec![f32::NAN; shape.kv_cols() * block_size];
            for offset in 0..block_size.min(len - index * block_size) {
                let row = matrix.rows(len).row(index * block_size + offset);
                for (head_idx, head) in row.chunks_exact(shape.head_dim).enumerate() {
                    let start = (head_idx * block_size + offset) * shape.head_dim;
                    block[start..][..shape.head_dim].copy_from_slice(head);
                }
            }
            block
        };
        let blocks = sequences
            .iter()
            .map(|&(keys, values, len)| {
                (0..len.div_ceil(block_size))
                    .map(|index| (block(keys, len, index), block(values, len, index)))
                    .map(|(keys, values)| {
                        let narrow = |it: Vec<f32>| it.into_iter().map(bf16::from_f32).collect();
                        if half {
                            Stored::Bf16(narrow(keys), narrow(values))
                        } else {
                            Stored::F32(keys, values)
                        }
                    })
                    .collect()
            })
            .collect();
        Self { block_size, shape, blocks }
    }
}

impl KvBlocks for Cache {
    fn block_size(&self) -> usize {
        self.block_size
    }

    fn block(&self, sequence: usize, index: usize) -> KvBlock<'_> {
        match &self.blocks[sequence][index] {
            Stored::Bf16(keys, values) => KvBlock::Bf16 { keys, values },
            Stored::F32(keys, values) => KvBlock::F32 { keys, values },
        }
    }
}

fn compute(cpu: &mut Cpu, cache: &Cache, qkv: &Matrix, rows: usize, spans: &[AttentionSpan]) -> Matrix {
    let workspace = AttentionWorkspace::new(cpu, cache.shape);
    let mut out = Matrix::zeroed(rows, cache.shape.q_cols());
    attention(cpu, &workspace, qkv.rows(rows), spans, cache, out.rows_mut(rows));
    out
}

/// Rounds to what the cache stores.
fn rounded(matrix: &Matrix, rows: usize) -> Matrix {
    let mut rounded = matrix.clone();
    for row in 0..rows {
        rounded.rows_mut(rows).row_mut(row).iter_mut().for_each(|it| *it = bf16::from_f32(*it).to_f32());
    }
    rounded
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn is_softmax_attention_whatever_the_split(
        len in 1_usize..140, chunk in 1_usize..140, block_size in 1_usize..40,
        n_kv_heads in 1_usize..3, group in 1_usize..8, half_dim in 1_usize..40, half: bool, seed in 0..1000_u64,
    ) {
        let head_dim = 2 * half_dim;
        let shape = HeadShape { n_heads: n_kv_heads * group, n_kv_heads, head_dim };
        let keys = rounded(&random(len, shape.kv_cols(), seed), len);
        let values = rounded(&random(len, shape.kv_cols(), seed + 1), len);
        let qkv = random(len, shape.qkv_cols(), seed + 2);
        let cache = Cache::new(shape, block_size, half, &[(&keys, &values, len)]);
        let other_cache = Cache::new(shape, block_size + 3, half, &[(&keys, &values, len)]);
        let whole = [AttentionSpan { first_row: 0, n_tokens: len, start: 0 }];
        let mut all_bits = None;
        on_each_isa(|cpu| {
            let out = compute(cpu, &cache, &qkv, len, &whole);
            for position in [0, len / 2, len - 1] {
                for head in 0..shape.n_heads {
                    let part = |matrix, row: usize, head: usize| -> &[f32] {
                        let matrix: &Matrix = matrix;
                        &matrix.rows(len).row(row)[head * head_dim..][..head_dim]
                    };
                    let keys: Vec<_> = (0..=position).map(|it| part(&keys, it, head / group)).collect();
                    let values: Vec<_> = (0..=position).map(|it| part(&values, it, head / group)).collect();
                    let scale = (head_dim as f32).sqrt().recip();
                    let expected = reference::attend(part(&qkv, position, head), &keys, &values, scale);
                    assert_close(part(&out, position, head), &expected, 3e-6);
                }
            }
            let bits_here = bits(&out, len);
            assert_eq!(*all_bits.get_or_insert_with(|| bits_here.clone()), bits_here, "{}", cpu.isa());
            assert_eq!(bits(&compute(cpu, &other_cache, &qkv, len, &whole), len), bits_here, "block size");

            // The same tokens, `chunk` at a time.
            for start in (0..len).step_by(chunk) {
                let n_tokens = chunk.min(len - start);
                let mut part = Matrix::zeroed(n_tokens, shape.qkv_cols());
                for row in 0..n_tokens {
                    part.rows_mut(n_tokens).row_mut(row).copy_from_slice(qkv.rows(len).row(start + row));
                }
                let span = AttentionSpan { first_row: 0, n_tokens, start };
                let out = compute(cpu, &cache, &part, n_tokens, &[span]);
                assert!(bits(&out, n_tokens) == bits_here[start * shape.q_cols()..][..n_tokens * shape.q_cols()]);
            }
        });
    }
}

#[test]
fn sequences_of_a_step_do_not_see_each_other() {
    let shape = HeadShape { n_heads: 4, n_kv_heads: 2, head_dim: 32 };
    let lens = [5, 70, 33];
    let kv: Vec<_> = (0..3)
        .map(|i| {
            (random(lens[i], shape.kv_cols(), i as u64), random(lens[i], shape.kv_cols(), 10 + i as u64))
        })
        .collect();
    let sequences: Vec<_> = kv.iter().zip(lens).map(|((keys, values), len)| (keys, values, len)).collect();
    let together_cache = Cache::new(shape, 16, false, &sequences);
    // The first decodes, the second continues its prompt, the third begins.
    let spans = [
        AttentionSpan { first_row: 0, n_tokens: 1, start: 4 },
        AttentionSpan { first_row: 1, n_tokens: 40, start: 30 },
        AttentionSpan { first_row: 41, n_tokens: 33, start: 0 },
    ];
    let qkv = random(74, shape.qkv_cols(), 20);
    on_each_isa(|cpu| {
        let together = compute(cpu, &together_cache, &qkv, 74, &spans);
        for (sequence, span) in spans.iter().enumerate() {
            let cache = Cache::new(shape, 16, false, &sequences[sequence..][..1]);
            let mut own = Matrix::zeroed(span.n_tokens, shape.qkv_cols());
            for row in 0..span.n_tokens {
                own.rows_mut(span.n_tokens)
                    .row_mut(row)
                    .copy_from_slice(qkv.rows(74).row(span.first_row + row));
            }
            let alone = compute(cpu, &cache, &own, span.n_tokens, &[AttentionSpan { first_row: 0, ..*span }]);
            let start = span.first_row * shape.q_cols();
            assert!(
                bits(&alone, span.n_tokens) == bits(&together, 74)[start..][..span.n_tokens * shape.q_cols()]
            );
        }
    });
}
