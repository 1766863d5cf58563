use half::{bf16, f16};
use proptest::prelude::*;

use super::{bits, on_each_isa, random};
use crate::gemm::Epilogue;
use crate::{ElementType, Matrix, PackedMatrix, SourceMatrix, gemm};

/// Little-endian bytes of a random `n × k` matrix.
fn source(n: usize, k: usize, element_type: ElementType, seed: u64) -> Vec<u8> {
    let matrix = random(n, k, seed);
    let elements = (0..n).flat_map(|row| matrix.rows(n).row(row));
    match element_type {
        ElementType::Bf16 => elements.flat_map(|&it| bf16::from_f32(it).to_le_bytes()).collect(),
        ElementType::F16 => elements.flat_map(|&it| f16::from_f32(it).to_le_bytes()).collect(),
        ElementType::F32 => elements.flat_map(|it| it.to_le_bytes()).collect(),
    }
}

fn element_types() -> impl Strategy<Value = ElementType> {
    prop_oneof![Just(ElementType::Bf16), Just(ElementType::F16), Just(ElementType::F32)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn is_the_textbook_product_bit_for_bit(
        m in 1_usize..30, n in 1_usize..150, k in 1_usize..70, stored in element_types(), seed in 0..1000_u64,
    ) {
        let bytes = source(n, k, stored, seed);
        let x = random(m, k, seed + 1);
        let bias: Vec<f32> = random(1, n, seed + 2).rows(1).row(0).to_vec();
        on_each_isa(|cpu| {
            let source = SourceMatrix::new(&bytes, stored, n, k).unwrap();
            let weights = PackedMatrix::pack(cpu, &[source], stored).unwrap();
            let expected = weights.multiply_reference(x.rows(m));
            let mut y = Matrix::zeroed(m, n);
            gemm(cpu, x.rows(m), &weights, y.rows_mut(m), Epilogue::default());
            assert_eq!(bits(&y, m), expected.iter().map(|it| it.to_bits()).collect::<Vec<_>>());

            let mut y = random(m, n, seed + 3);
            let before = y.clone();
            gemm(cpu, x.rows(m), &weights, y.rows_mut(m), Epilogue { bias: Some(&bias), add: true });
            for i in 0..m {
                for j in 0..n {
                    let expected = before.rows(m).row(i)[j] + (expected[i * n + j] + bias[j]);
                    assert_eq!(y.rows(m).row(i)[j].to_bits(), expected.to_bits());
                }
            }
        });
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours(m in 2_usize..220, seed in 0..1000_u64) {
        let (n, k) = (300, 40);
        let bytes = source(n, k, ElementType::Bf16, seed);
        let x = random(m, k, seed + 1);
        on_each_isa(|cpu| {
            let source = SourceMatrix::new(&bytes, ElementType::Bf16, n, k).unwrap();
            let weights = PackedMatrix::pack(cpu, &[source], ElementType::Bf16).unwrap();
            let mut together = Matrix::zeroed(m, n);
            gemm(cpu, x.rows(m), &weights, together.rows_mut(m), Epilogue::default());
            for row in [0, m / 2, m - 1] {
                let mut lone_x = Matrix::zeroed(1, k);
                lone_x.rows_mut(1).row_mut(0).copy_from_slice(x.rows(m).row(row));
                let mut alone = Matrix::zeroed(1, n);
                gemm(cpu, lone_x.rows(1), &weights, alone.rows_mut(1), Epilogue::default());
                let together = together.rows(m).row(row).iter().map(|it| it.to_bits());
                assert!(bits(&alone, 1).into_iter().eq(together), "row {row} of {m} on {}", cpu.isa());
            }
        });
    }

    #[test]
    fn packing_keeps_every_weight(
        n in 1_usize..100, k in 1_usize..300, split in 0_usize..100,
        from in element_types(), to in element_types(), seed in 0..1000_u64,
    ) {
        let bytes = source(n, k, from, seed);
        let split = split.min(n);
        let (head, tail) = bytes.split_at(split * k * from.size());
        let parts = [
            SourceMatrix::new(head, from, split, k).unwrap(),
            SourceMatrix::new(tail, from, n - split, k).unwrap(),
        ];
        on_each_isa(|cpu| {
            let weights = PackedMatrix::pack(cpu, &parts, to).unwrap();
            let mut out = Matrix::zeroed(n, k);
            let rows: Vec<u32> = (0..n as u32).collect();
            weights.gather(cpu, &rows, out.rows_mut(n));
            for row in 0..n {
                for (column, &actual) in out.rows(n).row(row).iter().enumerate() {
                    let value = from.read(&bytes, row * k + column);
                    let expected = match to {
                        ElementType::Bf16 => bf16::from_f32(value).to_f32(),
                        ElementType::F16 => f16::from_f32(value).to_f32(),
                        ElementType::F32 => value,
                    };
                    assert_eq!(actual.to_bits(), expected.to_bits());
                }
            }
        });
    }
}

#[test]
fn a_source_of_the_wrong_size_is_refused() {
    assert!(SourceMatrix::new(&[0; 7], ElementType::Bf16, 2, 2).is_none());
    assert!(SourceMatrix::new(&[], ElementType::Bf16, usize::MAX, 2).is_none());
}
