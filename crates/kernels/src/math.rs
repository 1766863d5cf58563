//! `exp` and what is built from it, on vectors.
//!
//! `exp(x) = 2^n * e^r` with `n = round(x / ln 2)`, `|r| <= ln 2 / 2` and a polynomial for `e^r` (the minimax
//! coefficients of Cephes' `expf`). Relative error is below 2e-7 over the whole range; only IEEE operations are
//! used, so the bits are the same on every machine.

use crate::simd::Simd;

/// Below this, `exp` is 0 in f32 (subnormal results are flushed).
const SMALLEST: f32 = -87.33;
/// Above this, `exp` would overflow.
const LARGEST: f32 = 88.37;

/// `e^x`; 0 below -87.33, `e^88.37` above 88.37, NaN for NaN.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let smallest = simd.splat(SMALLEST);
    // The operand order keeps NaN: both operations answer their second operand then.
    let clamped = simd.min(simd.splat(LARGEST), simd.max(smallest, x));
    let n = simd.round(simd.mul(clamped, simd.splat(std::f32::consts::LOG2_E)));
    // ln 2 in two parts, so that `n * ln 2` is subtracted almost exactly.
    let r = simd.fma(n, simd.splat(-0.693_359_4), clamped);
    let r = simd.fma(n, simd.splat(2.121_944_4e-4), r);
    let mut poly = simd.splat(1.987_569_1e-4);
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        poly = simd.fma(poly, r, simd.splat(coefficient));
    }
    let one = simd.splat(1.0);
    let e_r = simd.fma(poly, simd.mul(r, r), simd.add(r, one));
    let result = simd.mul(e_r, simd.pow2(n));
    simd.select_less(x, smallest, simd.splat(0.0), result)
}

/// `x / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn silu<S: Simd>(simd: S, x: S::F32) -> S::F32 {
    let minus_x = simd.sub(simd.splat(0.0), x);
    simd.div(x, simd.add(simd.splat(1.0), exp(simd, minus_x)))
}
