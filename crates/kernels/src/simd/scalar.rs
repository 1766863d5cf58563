//! [`Simd`] in plain Rust: runs anywhere, and is what the vector versions are compared with.

use std::array::from_fn;

use half::{bf16, f16};

use super::{Kernel, LANES, Lanes, Simd};

/// Plain Rust needs no proof.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scalar;

/// Runs `kernel` without special instructions.
pub(crate) fn call<K: Kernel>(simd: Scalar, kernel: K) {
    kernel.run(simd);
}

impl Simd for Scalar {
    type F32 = Lanes;

    #[inline(always)]
    fn splat(self, x: f32) -> Lanes {
        [x; LANES]
    }

    #[inline(always)]
    fn load(self, from: &Lanes) -> Lanes {
        *from
    }

    #[inline(always)]
    fn store(self, to: &mut Lanes, x: Lanes) {
        *to = x;
    }

    #[inline(always)]
    fn add(self, a: Lanes, b: Lanes) -> Lanes {
        from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: Lanes, b: Lanes) -> Lanes {
        from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul(self, a: Lanes, b: Lanes) -> Lanes {
        from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn div(self, a: Lanes, b: Lanes) -> Lanes {
        from_fn(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn fma(self, a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        from_fn(|i| a[i].mul_add(b[i], c[i]))
    }

    #[inline(always)]
    fn max(self, a: Lanes, b: Lanes) -> Lanes {
        from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn min(self, a: Lanes, b: Lanes) -> Lanes {
        from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn round(self, x: Lanes) -> Lanes {
        x.map(f32::round_ties_even)
    }

    #[inline(always)]
    fn pow2(self, n: Lanes) -> Lanes {
        n.map(|n| f32::from_bits(((n as i32).wrapping_add(127) as u32) << 23))
    }

    #[inline(always)]
    fn select_less(self, a: Lanes, b: Lanes, x: Lanes, y: Lanes) -> Lanes {
        from_fn(|i| if a[i] < b[i] { x[i] } else { y[i] })
    }

    #[inline(always)]
    fn sum(self, mut x: Lanes) -> f32 {
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                x[i] += x[i + half];
            }
        }
        x[0]
    }

    #[inline(always)]
    fn widen_bf16_pairs(self, from: &[u16; 2 * LANES]) -> [Lanes; 2] {
        [
            from_fn(|i| bf16::from_bits(from[2 * i]).to_f32()),
            from_fn(|i| bf16::from_bits(from[2 * i + 1]).to_f32()),
        ]
    }

    #[inline(always)]
    fn widen_f16(self, from: &[u16; LANES]) -> Lanes {
        from.map(|bits| f16::from_bits(bits).to_f32())
    }

    #[inline(always)]
    fn widen_bf16(self, from: &[u16; LANES]) -> Lanes {
        from.map(|bits| bf16::from_bits(bits).to_f32())
    }

    #[inline(always)]
    fn prefetch<T>(self, _from: &T, _bytes: usize) {}
}
