//! Bounds of the histograms: vLLM's, with more of them below 10 ms where a fast engine lives. Added bounds are
//! compatible; moved ones would not be.

pub(super) const TTFT: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0,
    80.0, 160.0, 640.0, 2560.0,
];

pub(super) const ITL: &[f64] = &[
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
    5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
];

pub(super) const LATENCY: &[f64] = &[
    0.01, 0.05, 0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0,
    240.0, 480.0, 960.0, 1920.0, 7680.0,
];

pub(super) const ITERATION_TOKENS: &[f64] =
    &[1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0];

pub(super) const PREEMPTIONS: &[f64] = &[1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0];

pub(super) const PARAMS_N: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0];

/// 1, 2, 5, 10, 20, 50 … up to `max`; at least the bound 1.
#[expect(clippy::cast_precision_loss, reason = "context lengths stay far below 2^53")]
pub(super) fn one_two_five(max: usize) -> Vec<f64> {
    let mut bounds = vec![1.0];
    let decades = std::iter::successors(Some(1_usize), |it| it.checked_mul(10));
    let series = decades.flat_map(|decade| [1, 2, 5].map(|digit| digit * decade));
    bounds.extend(series.skip(1).take_while(|bound| *bound <= max).map(|bound| bound as f64));
    bounds
}
