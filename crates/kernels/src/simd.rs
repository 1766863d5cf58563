//! Sixteen f32 lanes on every machine.
//!
//! Kernels are written once over [`Simd`] and compiled for each instruction set. The width is the same
//! everywhere (one AVX-512 register, two AVX2 registers, an array), so the order of every sum, and with it
//! every bit of every result, is the same too.
//!
//! A value of an implementing type proves that the CPU has the instructions: `isa` alone makes them, after
//! asking the CPU. That makes the methods safe. They are `#[inline(always)]`, as is everything generic over
//! [`Simd`]: only inside a function compiled for the instruction set (`call` of each module) do the intrinsics
//! become single instructions.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod scalar;

/// Lanes of a vector.
pub const LANES: usize = 16;

/// A vector's worth of memory.
pub(crate) type Lanes = [f32; LANES];

/// Arithmetic on vectors of [`LANES`] f32.
pub(crate) trait Simd: Copy {
    /// The vector.
    type F32: Copy;

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::F32;
    /// From memory.
    fn load(self, from: &Lanes) -> Self::F32;
    /// To memory.
    fn store(self, to: &mut Lanes, x: Self::F32);
    /// `a + b`.
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a - b`.
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b`.
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a / b`.
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// `a > b ? a : b`, so `b` when either is NaN.
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a < b ? a : b`, so `b` when either is NaN.
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// To the nearest integer, ties to even.
    fn round(self, x: Self::F32) -> Self::F32;
    /// `2^n` for integral `n` in -126..=127.
    fn pow2(self, n: Self::F32) -> Self::F32;
    /// `a < b ? x : y`, so `y` when either is NaN.
    fn select_less(self, a: Self::F32, b: Self::F32, x: Self::F32, y: Self::F32) -> Self::F32;
    /// Sum of the lanes: halves are added until one is left (lane `i` to lane `i + 8`, then `i + 4`, …).
    fn sum(self, x: Self::F32) -> f32;
    /// Thirty-two bf16 stored in pairs: the low half of 32-bit word `i` is lane `i` of the first vector, the
    /// high half is lane `i` of the second.
    fn widen_bf16_pairs(self, from: &[u16; 2 * LANES]) -> [Self::F32; 2];
    /// Sixteen f16.
    fn widen_f16(self, from: &[u16; LANES]) -> Self::F32;
    /// Sixteen bf16 in order.
    fn widen_bf16(self, from: &[u16; LANES]) -> Self::F32;
    /// Asks for the cache line `bytes` beyond `from`. A hint: the address need not exist.
    fn prefetch<T>(self, from: &T, bytes: usize);
}

/// A computation that is compiled once for each instruction set.
pub(crate) trait Kernel {
    /// Runs it. Implementations are `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S);
}

/// Largest lane; NaN lanes count only when they come last in the folding order.
#[inline(always)]
pub(crate) fn largest<S: Simd>(simd: S, x: S::F32) -> f32 {
    let mut lanes = [0.0; LANES];
    simd.store(&mut lanes, x);
    lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)
}
