//! Rotary position embedding (half-split, as NeoX and Llama in the Hugging Face layout), with the optional
//! normalisation of each query and key head that comes before it.

use crate::cpu::Cpu;
use crate::norm::RmsNorm;
use crate::rows::{Rows, RowsMut};

/// Heads of a row of queries, keys and values: `[n_heads + 2 * n_kv_heads][head_dim]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadShape {
    /// Query heads.
    pub n_heads: usize,
    /// Key heads, and as many value heads.
    pub n_kv_heads: usize,
    /// Elements of a head, even.
    pub head_dim: usize,
}

impl HeadShape {
    /// Elements of all query heads.
    #[must_use]
    pub const fn q_cols(&self) -> usize {
        self.n_heads * self.head_dim
    }

    /// Elements of all key heads.
    #[must_use]
    pub const fn kv_cols(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }

    /// Elements of a row.
    #[must_use]
    pub const fn qkv_cols(&self) -> usize {
        self.q_cols() + 2 * self.kv_cols()
    }
}

/// Weights of the normalisation of query and key heads, `head_dim` each.
#[derive(Debug, Clone, Copy)]
pub struct HeadNorm<'a> {
    /// For queries.
    pub q: &'a [f32],
    /// For keys.
    pub k: &'a [f32],
    /// See [`rms_norm`](crate::norm::rms_norm).
    pub eps: f32,
}

/// Normalises (if asked) and rotates the query and key heads of each row of `qkv` in place. Row `i` of `angles`
/// holds the cosines, then the sines, of row `i`'s position: `head_dim / 2` each. Element `j` of a head rotates
/// with element `j + head_dim / 2`.
///
/// # Panics
/// When the shapes disagree.
pub fn rope(cpu: &mut Cpu, qkv: RowsMut<'_>, shape: HeadShape, angles: Rows<'_>, norm: Option<HeadNorm<'_>>) {
    let HeadShape { n_heads, n_kv_heads, head_dim } = shape;
    assert_eq!(qkv.cols, shape.qkv_cols(), "columns of queries, keys and values");
    assert!(angles.n_rows() == qkv.rows && angles.n_cols() == head_dim, "angles");
    let level = cpu.level;
    qkv.for_each(&mut cpu.pool, 16, |i, row| {
        let (cos, sin) = angles.row(i).split_at(head_dim / 2);
        for (head_idx, head) in row.chunks_exact_mut(head_dim).take(n_heads + n_kv_heads).enumerate() {
            if let Some(HeadNorm { q, k, eps }) = norm {
                let weight = if head_idx < n_heads { q } else { k };
                level.run(RmsNorm { x: head, weight, eps });
            }
            rotate(head, cos, sin);
        }
    });
}

/// Rotates one head. Two products and a sum for each element, each rounded.
fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (first, second) = head.split_at_mut(cos.len());
    for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}
