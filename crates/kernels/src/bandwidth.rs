//! How fast this machine reads memory: the floor under every decode step.

use std::hint::black_box;
use std::io;
use std::time::Instant;

use crate::buffer::Buffer;
use crate::cpu::Cpu;
use crate::simd::{Kernel, LANES, Simd};

/// Addresses that a thread walks at once: one stream leaves a fifth of the bandwidth unused.
const STREAMS: usize = 4;

/// Reads `bytes` of memory on all threads `repeats` times and answers the best rate, in bytes a second.
///
/// # Errors
/// When memory runs out.
pub fn read_bandwidth(cpu: &mut Cpu, bytes: usize, repeats: usize) -> io::Result<f64> {
    let parts = 8 * cpu.threads();
    let part_lines = bytes / size_of::<[f32; LANES]>() / parts / STREAMS * STREAMS;
    let mut memory = Buffer::<[f32; LANES]>::zeroed(part_lines * parts)?;
    // Untouched pages all show the same page of zeros.
    cpu.pool.run_pieces(&mut memory, part_lines.max(1), |_, part, _| part.fill([1.0; LANES]));
    let level = cpu.level;
    let best = (0..repeats)
        .map(|_| {
            let start = Instant::now();
            cpu.pool.run(parts, |part, _| {
                level.run(ReadAll { lines: &memory[part * part_lines..][..part_lines] });
            });
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    Ok(size_of_val::<[_]>(&memory) as f64 / best)
}

/// Adds up everything.
struct ReadAll<'a> {
    lines: &'a [[f32; LANES]],
}

impl Kernel for ReadAll<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let len = self.lines.len() / STREAMS;
        let streams: [_; STREAMS] = std::array::from_fn(|i| &self.lines[i * len..][..len]);
        let mut sums = [simd.splat(0.0); STREAMS];
        for i in 0..len {
            for (sum, stream) in sums.iter_mut().zip(&streams) {
                simd.prefetch(&stream[i], 4096);
                *sum = simd.add(*sum, simd.load(&stream[i]));
            }
        }
        for sum in sums {
            black_box(simd.sum(sum));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CpuOptions;

    #[test]
    fn is_a_rate() {
        let mut cpu = Cpu::new(CpuOptions { threads: Some(2), isa: None }).unwrap();
        let rate = read_bandwidth(&mut cpu, 1 << 22, 2).unwrap();
        assert!(rate.is_finite() && rate > 0.0);
    }
}
