//! The gate of a gated MLP.

use crate::cpu::Cpu;
use crate::math::silu;
use crate::rows::RowsMut;
use crate::simd::{Kernel, LANES, Lanes, Simd};

/// For rows `[gate | up]` writes `silu(gate) * up` over the gate half.
///
/// # Panics
/// When the number of columns is odd.
pub fn silu_mul(cpu: &mut Cpu, gate_up: RowsMut<'_>) {
    assert!(gate_up.cols.is_multiple_of(2), "gate and up have the same columns");
    let level = cpu.level;
    gate_up.for_each(&mut cpu.pool, 4, |_, row| {
        let (gate, up) = row.split_at_mut(row.len() / 2);
        level.run(SiluMul { gate, up });
    });
}

struct SiluMul<'a> {
    gate: &'a mut [f32],
    up: &'a [f32],
}

impl Kernel for SiluMul<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (gates, gate_tail) = self.gate.as_chunks_mut::<LANES>();
        let (ups, up_tail) = self.up.as_chunks::<LANES>();
        for (gate, up) in gates.iter_mut().zip(ups) {
            gate_lanes(simd, gate, up);
        }
        let (mut last_gate, mut last_up) = ([0.0; LANES], [0.0; LANES]);
        last_gate[..gate_tail.len()].copy_from_slice(gate_tail);
        last_up[..up_tail.len()].copy_from_slice(up_tail);
        gate_lanes(simd, &mut last_gate, &last_up);
        gate_tail.copy_from_slice(&last_gate[..gate_tail.len()]);
    }
}

/// `gate = silu(gate) * up`.
#[inline(always)]
fn gate_lanes<S: Simd>(simd: S, gate: &mut Lanes, up: &Lanes) {
    let product = simd.mul(silu(simd, simd.load(gate)), simd.load(up));
    simd.store(gate, product);
}
