//! Every operation as a textbook writes it: the oracle of the tests, for this crate's kernels and for those of
//! other devices. Slow on purpose.

/// `sum of a[i] * b[i]`, one chain of fused multiply-adds: bit for bit what the GEMM computes.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |sum, (&a, &b)| a.mul_add(b, sum))
}

/// `x * weight / sqrt(mean(x²) + eps)` in f64.
#[must_use]
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    let mean = x.iter().map(|&it| f64::from(it).powi(2)).sum::<f64>() / x.len() as f64;
    let scale = 1.0 / (mean + f64::from(eps)).sqrt();
    x.iter().zip(weight).map(|(&x, &w)| (f64::from(x) * scale * f64::from(w)) as f32).collect()
}

/// Rotates one head: element `j` with element `j + n / 2` by angle `j`.
#[must_use]
pub fn rotate(head: &[f32], angles: &[f64]) -> Vec<f32> {
    let (first, second) = head.split_at(angles.len());
    let pair = |j: usize| (f64::from(first[j]), f64::from(second[j]), angles[j].cos(), angles[j].sin());
    let rotated_first = (0..angles.len()).map(|j| {
        let (a, b, cos, sin) = pair(j);
        (a * cos - b * sin) as f32
    });
    let rotated_second = (0..angles.len()).map(|j| {
        let (a, b, cos, sin) = pair(j);
        (b * cos + a * sin) as f32
    });
    rotated_first.chain(rotated_second).collect()
}

/// `gate / (1 + e^-gate) * up` in f64.
#[must_use]
pub fn silu_mul(gate: f32, up: f32) -> f32 {
    let gate = f64::from(gate);
    (gate / (1.0 + (-gate).exp()) * f64::from(up)) as f32
}

/// Attention of one query head over its keys and values in f64: `softmax(q · K * scale) · V`.
#[must_use]
pub fn attend(q: &[f32], keys: &[&[f32]], values: &[&[f32]], scale: f32) -> Vec<f32> {
    let score = |key: &&[f32]| q.iter().zip(*key).map(|(&q, &k)| f64::from(q) * f64::from(k)).sum::<f64>();
    let scores: Vec<f64> = keys.iter().map(|key| score(key) * f64::from(scale)).collect();
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|it| (it - largest).exp()).collect();
    let total: f64 = weights.iter().sum();
    (0..q.len())
        .map(|d| weights.iter().zip(values).map(|(w, v)| w * f64::from(v[d])).sum::<f64>() / total)
        .map(|it| it as f32)
        .collect()
}
