use proptest::prelude::*;

use super::{assert_close, bits, on_each_isa, random};
use crate::activation::silu_mul;
use crate::norm::rms_norm;
use crate::rope::{HeadNorm, HeadShape, rope};
use crate::{Cpu, CpuOptions, Isa, Matrix, reference};

/// The scalar result, to compare bits with.
fn scalar() -> Cpu {
    Cpu::new(CpuOptions { threads: Some(1), isa: Some(Isa::Scalar) }).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn rms_norm_of_odd_rows(rows in 1_usize..40, cols in 1_usize..100, seed in 0..1000_u64) {
        let x = random(rows, cols, seed);
        let weight = random(1, cols, seed + 1).rows(1).row(0).to_vec();
        let norm = |cpu: &mut Cpu| {
            let mut y = Matrix::zeroed(rows, cols);
            rms_norm(cpu, x.rows(rows), &weight, 1e-6, y.rows_mut(rows));
            y
        };
        let expected_bits = bits(&norm(&mut scalar()), rows);
        on_each_isa(|cpu| {
            let y = norm(cpu);
            for row in 0..rows {
                let expected = reference::rms_norm(x.rows(rows).row(row), &weight, 1e-6);
                assert_close(y.rows(rows).row(row), &expected, 1e-6);
            }
            assert_eq!(bits(&y, rows), expected_bits, "{}", cpu.isa());
        });
    }

    #[test]
    fn silu_mul_of_odd_rows(rows in 1_usize..40, half in 1_usize..60, scale in 0.1_f32..200.0, seed in 0..1000_u64) {
        let mut x = random(rows, 2 * half, seed);
        for row in 0..rows {
            x.rows_mut(rows).row_mut(row).iter_mut().for_each(|it| *it *= scale);
        }
        let gated = |cpu: &mut Cpu| {
            let mut y = x.clone();
            silu_mul(cpu, y.rows_mut(rows));
            y
        };
        let expected_bits = bits(&gated(&mut scalar()), rows);
        on_each_isa(|cpu| {
            let y = gated(cpu);
            for row in 0..rows {
                let (gate, up) = x.rows(rows).row(row).split_at(half);
                let expected: Vec<_> =
                    gate.iter().zip(up).map(|(&gate, &up)| reference::silu_mul(gate, up)).collect();
                assert_close(&y.rows(rows).row(row)[..half], &expected, 2e-6);
            }
            assert_eq!(bits(&y, rows), expected_bits, "{}", cpu.isa());
        });
    }

    #[test]
    fn rope_turns_queries_and_keys_and_leaves_values(
        rows in 1_usize..40, n_kv_heads in 1_usize..3, group in 1_usize..4, half in 1_usize..20,
        normed: bool, seed in 0..1000_u64,
    ) {
        let shape = HeadShape { n_heads: n_kv_heads * group, n_kv_heads, head_dim: 2 * half };
        let qkv = random(rows, shape.qkv_cols(), seed);
        let weights = random(2, shape.head_dim, seed + 1);
        let norm = normed.then(|| HeadNorm { q: weights.rows(2).row(0), k: weights.rows(2).row(1), eps: 1e-5 });
        let angle = |row: usize, j: usize| (row * 7 + j) as f64 / 3.0;
        let mut angles = Matrix::zeroed(rows, shape.head_dim);
        for row in 0..rows {
            let mut view = angles.rows_mut(rows);
            let (cos, sin) = view.row_mut(row).split_at_mut(half);
            for j in 0..half {
                (cos[j], sin[j]) = (angle(row, j).cos() as f32, angle(row, j).sin() as f32);
            }
        }
        on_each_isa(|cpu| {
            let mut turned = qkv.clone();
            rope(cpu, turned.rows_mut(rows), shape, angles.rows(rows), norm);
            for row in 0..rows {
                let angles: Vec<f64> = (0..half).map(|j| angle(row, j)).collect();
                let (before, after) = (qkv.rows(rows).row(row), turned.rows(rows).row(row));
                let heads = before.chunks_exact(shape.head_dim).zip(after.chunks_exact(shape.head_dim));
                for (head_idx, (before, after)) in heads.enumerate() {
                    let expected = match (norm, head_idx) {
                        (_, i) if i >= shape.n_heads + n_kv_heads => before.to_vec(),
                        (None, _) => reference::rotate(before, &angles),
                        (Some(norm), i) => {
                            let weight = if i < shape.n_heads { norm.q } else { norm.k };
                            reference::rotate(&reference::rms_norm(before, weight, norm.eps), &angles)
                        }
                    };
                    assert_close(after, &expected, 3e-6);
                }
            }
        });
    }
}

#[test]
fn silu_at_the_ends_of_the_range() {
    on_each_isa(|cpu| {
        let mut x = Matrix::zeroed(1, 12);
        let gates = [f32::NEG_INFINITY, -1e30, -90.0, 90.0, 1e30, f32::NAN];
        x.rows_mut(1).row_mut(0)[..6].copy_from_slice(&gates);
        x.rows_mut(1).row_mut(0)[6..].fill(1.0);
        silu_mul(cpu, x.rows_mut(1));
        let y = x.rows(1).row(0);
        assert!(y[1].abs() < 1e-7 && y[2].abs() < 1e-30, "{y:?}");
        assert_eq!(&y[3..5], &[90.0, 1e30]);
        assert!(y[5].is_nan());
    });
}
