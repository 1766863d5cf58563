//! Exponentials over a vocabulary.
//!
//! The standard library's `exp` is a call per element; this one is straight-line arithmetic that the compiler
//! turns into vector code, with a relative error below 3e-7. Sums are taken in blocks: f32 lanes inside a
//! block, f64 over blocks. Everything is sequential, so the same logits give the same bits.

/// Elements of a block.
pub(super) const BLOCK: usize = 256;
const LANES: usize = 16;

/// Below this, e^x counts as 0: it is smaller than the smallest normal f32.
const SMALLEST: f32 = -87.0;

/// e^x for x ≤ 0; 0 for what is too small, masked or not a number.
///
/// With x = n·ln 2 + r and |r| ≤ ln 2 / 2: 2^n through the exponent bits, e^r by its Taylor series to r⁶.
#[expect(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "bit patterns of floats")]
pub(super) fn exp(x: f32) -> f32 {
    /// 1.5·2²³: adding it rounds to an integer, which then stands in the low mantissa bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let is_normal = x > SMALLEST;
    let x = if is_normal { x } else { SMALLEST };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    let series = 1.0
        + r * (1.0 + r * (1.0 / 2.0 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r / 720.0)))));
    let exponent = rounded.to_bits() as i32 - ROUND.to_bits() as i32;
    let power = f32::from_bits(((exponent + 127) as u32) << 23);
    if is_normal { series * power } else { 0.0 }
}

/// Σ exp(x − `max`) over one block or less.
pub(super) fn block_sum(logits: &[f32], max: f32) -> f64 {
    let mut lanes = [0.0_f32; LANES];
    let (rows, rest) = logits.as_chunks::<LANES>();
    for row in rows {
        for (lane, &logit) in lanes.iter_mut().zip(row) {
            *lane += exp(logit - max);
        }
    }
    let rest: f32 = rest.iter().map(|&logit| exp(logit - max)).sum();
    lanes.iter().chain(std::iter::once(&rest)).map(|&it| f64::from(it)).sum()
}

/// ln Σ exp(x), in f64.
pub(super) fn log_sum_exp(logits: &[f32]) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.chunks(BLOCK).map(|block| block_sum(block, max)).sum();
    f64::from(max) + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_the_exact_one() {
        for step in 0..870_u16 {
            let x = -f32::from(step) / 10.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 3e-7, "e^{x}: relative error {error:e}");
        }
        for nothing in [-87.5, -1e30, f32::NEG_INFINITY, f32::NAN] {
            assert_eq!(exp(nothing).to_bits(), 0, "{nothing}");
        }
    }

    #[test]
    fn log_sum_exp_of_equal_logits_is_their_value_and_the_logarithm_of_their_number() {
        let logits = vec![3.5; 1000];
        assert!((log_sum_exp(&logits) - (3.5 + 1000_f64.ln())).abs() < 1e-6);
    }
}
