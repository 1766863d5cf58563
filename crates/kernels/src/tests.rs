//! Every operation against its textbook twin, on every instruction set this machine has, over odd shapes.

mod attention;
mod gemm;
mod rows;

use crate::{Cpu, CpuOptions, Isa, Matrix, RowsMut};

/// Calls `check` for each instruction set and two thread counts.
fn on_each_isa(mut check: impl FnMut(&mut Cpu)) {
    for isa in Isa::ALL {
        if !isa.is_available() {
            eprintln!("skipped: no {isa} here");
            continue;
        }
        for threads in [1, 3] {
            check(&mut Cpu::new(CpuOptions { threads: Some(threads), isa: Some(isa) }).unwrap());
        }
    }
}

/// A matrix of pseudo-random values in -1..1.
fn random(rows: usize, cols: usize, seed: u64) -> Matrix {
    let mut matrix = Matrix::zeroed(rows, cols);
    let mut view = matrix.rows_mut(rows);
    fill_random(&mut view, seed);
    matrix
}

fn fill_random(view: &mut RowsMut<'_>, seed: u64) {
    use rand::{Rng, SeedableRng};
    let mut rng = rand::rngs::SmallRng::seed_from_u64(seed);
    for row in 0..view.n_rows() {
        view.row_mut(row).iter_mut().for_each(|it| *it = rng.random_range(-1.0..1.0));
    }
}

/// Bits of all rows, in order.
fn bits(matrix: &Matrix, rows: usize) -> Vec<u32> {
    (0..rows).flat_map(|row| matrix.rows(rows).row(row).iter().map(|it| it.to_bits())).collect()
}

#[track_caller]
fn assert_close(actual: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(actual.len(), expected.len());
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((a - e).abs() <= tolerance * (1.0 + e.abs()), "element {i}: {a} is not {e}");
    }
}
