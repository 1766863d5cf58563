//! CPU kernels of the inference engine, their thread pool and memory-mapped files.
//!
//! The only crate of the workspace with `unsafe` code. Everything public is a safe function over checked
//! shapes; each operation has a textbook twin in [`reference`] that the tests compare it with.
//!
//! # The law: same row, same bits
//! A row of a result is a function of that row's inputs alone. Whatever the number of rows, their place in a
//! tile, the number of threads or the instruction set, the operations on one output element and their order
//! are the same:
//! - a [`gemm()`] element is one chain of fused multiply-adds over `k`, ascending;
//! - sums over a row run in [`LANES`] interleaved chains that are folded in one fixed tree;
//! - [`attention()`] walks the keys in chunks of [`attention::CHUNK`] positions counted from position 0.
//!
//! So a token's logits do not depend on what shares its batch, and an AVX2 machine continues the answer that an
//! AVX-512 machine began without a changed bit.
//!
//! # Reading order
//! [`Isa`] and `simd` (what the machine offers, as 16-lane vectors), [`Pool`] (who computes), [`Cpu`] (both in
//! one), then the operations: [`gemm()`] over [`PackedMatrix`], [`norm`], [`rope`], [`activation`],
//! [`attention()`].
//!
//! Not here: models, requests, files' formats.

pub mod activation;
pub mod attention;
pub mod bandwidth;
mod buffer;
mod cpu;
pub mod element;
pub mod gemm;
mod isa;
pub mod mapped_file;
mod math;
pub mod norm;
pub mod packed;
pub mod pool;
pub mod reference;
pub mod rope;
pub mod rows;
mod simd;

pub use attention::attention;
pub use cpu::{Cpu, CpuError, CpuOptions};
pub use element::ElementType;
pub use gemm::gemm;
pub use isa::{Isa, UnknownIsa, UnsupportedIsa};
pub use mapped_file::MappedFile;
pub use packed::{PackedMatrix, SourceMatrix};
pub use pool::Pool;
pub use rows::{Matrix, Rows, RowsMut};
pub use simd::LANES;

#[cfg(test)]
mod tests;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
