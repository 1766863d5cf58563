//! [`Simd`] with AVX2, FMA and F16C: a vector is two registers, lanes 0..8 and 8..16.
#![expect(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::{Kernel, LANES, Lanes, Simd};

/// Proof that the CPU has AVX2, FMA and F16C.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// Asks the CPU.
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }
}

/// Runs `kernel` compiled with AVX2.
pub(crate) fn call<K: Kernel>(simd: Avx2, kernel: K) {
    #[target_feature(enable = "avx2,fma,f16c")]
    fn compiled<K: Kernel>(simd: Avx2, kernel: K) {
        kernel.run(simd);
    }
    // SAFETY: `simd` exists, so `detect` found every feature that `compiled` is compiled with.
    unsafe { compiled(simd, kernel) }
}

/// Two registers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair(__m256, __m256);

/// Calls an intrinsic that touches registers only.
macro_rules! register_op {
    ($intrinsic:expr) => {
        // SAFETY: `self` exists, so `detect` found the feature this intrinsic needs; it reads no memory.
        unsafe { $intrinsic }
    };
}

/// Applies a binary intrinsic to both registers.
macro_rules! both {
    ($intrinsic:ident($a:expr, $b:expr)) => {
        register_op!(Pair($intrinsic($a.0, $b.0), $intrinsic($a.1, $b.1)))
    };
}

impl Simd for Avx2 {
    type F32 = Pair;

    #[inline(always)]
    fn splat(self, x: f32) -> Pair {
        register_op!(Pair(_mm256_set1_ps(x), _mm256_set1_ps(x)))
    }

    #[inline(always)]
    fn load(self, from: &Lanes) -> Pair {
        let start = from.as_ptr();
        // SAFETY: the feature was detected; `from` is 64 readable bytes, and the loads ask for no alignment.
        unsafe { Pair(_mm256_loadu_ps(start), _mm256_loadu_ps(start.add(8))) }
    }

    #[inline(always)]
    fn store(self, to: &mut Lanes, x: Pair) {
        let start = to.as_mut_ptr();
        // SAFETY: the feature was detected; `to` is 64 writable bytes, and the stores ask for no alignment.
        unsafe {
            _mm256_storeu_ps(start, x.0);
            _mm256_storeu_ps(start.add(8), x.1);
        }
    }

    #[inline(always)]
    fn add(self, a: Pair, b: Pair) -> Pair {
        both!(_mm256_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: Pair, b: Pair) -> Pair {
        both!(_mm256_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: Pair, b: Pair) -> Pair {
        both!(_mm256_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: Pair, b: Pair) -> Pair {
        both!(_mm256_div_ps(a, b))
    }

    #[inline(always)]
    fn fma(self, a: Pair, b: Pair, c: Pair) -> Pair {
        register_op!(Pair(_mm256_fmadd_ps(a.0, b.0, c.0), _mm256_fmadd_ps(a.1, b.1, c.1)))
    }

    #[inline(always)]
    fn max(self, a: Pair, b: Pair) -> Pair {
        both!(_mm256_max_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: Pair, b: Pair) -> Pair {
        both!(_mm256_min_ps(a, b))
    }

    #[inline(always)]
    fn round(self, x: Pair) -> Pair {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        register_op!(Pair(_mm256_round_ps::<NEAREST>(x.0), _mm256_round_ps::<NEAREST>(x.1)))
    }

    #[inline(always)]
    fn pow2(self, n: Pair) -> Pair {
        register_op!({
            let bias = _mm256_set1_epi32(127);
            let exponents = (
                _mm256_add_epi32(_mm256_cvttps_epi32(n.0), bias),
                _mm256_add_epi32(_mm256_cvttps_epi32(n.1), bias),
            );
            Pair(
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponents.0)),
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponents.1)),
            )
        })
    }

    #[inline(always)]
    fn select_less(self, a: Pair, b: Pair, x: Pair, y: Pair) -> Pair {
        register_op!(Pair(
            _mm256_blendv_ps(y.0, x.0, _mm256_cmp_ps::<_CMP_LT_OQ>(a.0, b.0)),
            _mm256_blendv_ps(y.1, x.1, _mm256_cmp_ps::<_CMP_LT_OQ>(a.1, b.1))
        ))
    }

    #[inline(always)]
    fn sum(self, x: Pair) -> f32 {
        register_op!({
            let eight = _mm256_add_ps(x.0, x.1);
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        })
    }

    #[inline(always)]
    fn widen_bf16_pairs(self, from: &[u16; 2 * LANES]) -> [Pair; 2] {
        let start = from.as_ptr().cast::<__m256i>();
        // SAFETY: the feature was detected; `from` is 64 readable bytes, and the loads ask for no alignment.
        let (first, second) = unsafe { (_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))) };
        register_op!({
            let high_half = _mm256_set1_epi32(-65536);
            let low = Pair(
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(first)),
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(second)),
            );
            let high = Pair(
                _mm256_castsi256_ps(_mm256_and_si256(first, high_half)),
                _mm256_castsi256_ps(_mm256_and_si256(second, high_half)),
            );
            [low, high]
        })
    }

    #[inline(always)]
    fn widen_f16(self, from: &[u16; LANES]) -> Pair {
        let start = from.as_ptr().cast::<__m128i>();
        // SAFETY: the feature was detected; `from` is 32 readable bytes, and the loads ask for no alignment.
        unsafe {
            Pair(_mm256_cvtph_ps(_mm_loadu_si128(start)), _mm256_cvtph_ps(_mm_loadu_si128(start.add(1))))
        }
    }

    #[inline(always)]
    fn widen_bf16(self, from: &[u16; LANES]) -> Pair {
        let start = from.as_ptr().cast::<__m128i>();
        // SAFETY: the feature was detected; `from` is 32 readable bytes, and the loads ask for no alignment.
        let (first, second) = unsafe { (_mm_loadu_si128(start), _mm_loadu_si128(start.add(1))) };
        register_op!(Pair(
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(first))),
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(second)))
        ))
    }

    #[inline(always)]
    fn prefetch<T>(self, from: &T, bytes: usize) {
        let address = std::ptr::from_ref(from).cast::<i8>().wrapping_add(bytes);
        // SAFETY: a prefetch never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
    }
}
