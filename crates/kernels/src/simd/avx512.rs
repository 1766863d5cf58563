//! [`Simd`] with AVX-512: a vector is one register.
#![expect(unsafe_code, reason = "vector instructions")]

use std::arch::x86_64::*;

use super::{Kernel, LANES, Lanes, Simd};

/// Proof that the CPU has AVX-512 F, BW, DQ and VL (and with them AVX2, FMA and F16C).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// Asks the CPU.
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }
}

/// Runs `kernel` compiled with AVX-512.
pub(crate) fn call<K: Kernel>(simd: Avx512, kernel: K) {
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
    fn compiled<K: Kernel>(simd: Avx512, kernel: K) {
        kernel.run(simd);
    }
    // SAFETY: `simd` exists, so `detect` found every feature that `compiled` is compiled with.
    unsafe { compiled(simd, kernel) }
}

/// Calls an intrinsic that touches registers only.
macro_rules! register_op {
    ($intrinsic:expr) => {
        // SAFETY: `self` exists, so `detect` found the feature this intrinsic needs; it reads no memory.
        unsafe { $intrinsic }
    };
}

impl Simd for Avx512 {
    type F32 = __m512;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        register_op!(_mm512_set1_ps(x))
    }

    #[inline(always)]
    fn load(self, from: &Lanes) -> __m512 {
        // SAFETY: the feature was detected; `from` is 64 readable bytes, and the load asks for no alignment.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, to: &mut Lanes, x: __m512) {
        // SAFETY: the feature was detected; `to` is 64 writable bytes, and the store asks for no alignment.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), x) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        register_op!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        register_op!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        register_op!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        register_op!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        register_op!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        register_op!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        register_op!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn round(self, x: __m512) -> __m512 {
        register_op!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x))
    }

    #[inline(always)]
    fn pow2(self, n: __m512) -> __m512 {
        register_op!(_mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_add_epi32(
            _mm512_cvttps_epi32(n),
            _mm512_set1_epi32(127)
        ))))
    }

    #[inline(always)]
    fn select_less(self, a: __m512, b: __m512, x: __m512, y: __m512) -> __m512 {
        register_op!(_mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), y, x))
    }

    #[inline(always)]
    fn sum(self, x: __m512) -> f32 {
        register_op!({
            let eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x));
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        })
    }

    #[inline(always)]
    fn widen_bf16_pairs(self, from: &[u16; 2 * LANES]) -> [__m512; 2] {
        // SAFETY: the feature was detected; `from` is 64 readable bytes, and the load asks for no alignment.
        let words = unsafe { _mm512_loadu_si512(from.as_ptr().cast()) };
        register_op!([
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(words)),
            _mm512_castsi512_ps(_mm512_and_si512(words, _mm512_set1_epi32(-65536))),
        ])
    }

    #[inline(always)]
    fn widen_f16(self, from: &[u16; LANES]) -> __m512 {
        // SAFETY: the feature was detected; `from` is 32 readable bytes, and the load asks for no alignment.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn widen_bf16(self, from: &[u16; LANES]) -> __m512 {
        // SAFETY: the feature was detected; `from` is 32 readable bytes, and the load asks for no alignment.
        let halves = unsafe { _mm256_loadu_si256(from.as_ptr().cast()) };
        register_op!(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves))))
    }

    #[inline(always)]
    fn prefetch<T>(self, from: &T, bytes: usize) {
        let address = std::ptr::from_ref(from).cast::<i8>().wrapping_add(bytes);
        // SAFETY: a prefetch never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
    }
}
