//! The CPU as a [`Backend`]: packed weights, one activation arena, KV pages in ordinary memory.
//!
//! Same request, same bits: see the law of [`llmd_kernels`]. This module adds nothing to the arithmetic, it only
//! calls kernels over the rows of the step.

mod kv;

use std::sync::Arc;

use llmd_kernels::activation::silu_mul;
use llmd_kernels::attention::AttentionWorkspace;
use llmd_kernels::gemm::Epilogue;
use llmd_kernels::norm::{rms_norm, rms_norm_of};
use llmd_kernels::rope::{HeadNorm, HeadShape, rope};
use llmd_kernels::{Cpu, ElementType, Matrix, PackedMatrix, RowsMut, SourceMatrix, attention, gemm};

use self::kv::KvStore;
use super::batch::{Batch, BatchLimits};
use super::{Backend, HeadNorms, OutOfMemory};
use crate::kv_cache::{BlockId, KvLayout, KvPage};
use crate::model::rope::RopeFrequencies;
use crate::runner::{Logits, RunnerError};
use crate::step::StepPlan;

/// What the backend is made for.
#[derive(Debug)]
pub struct CpuBackendOptions {
    /// Heads of the model.
    pub heads: HeadShape,
    /// Rotation of queries and keys.
    pub rope: RopeFrequencies,
    /// Epsilon of every normalisation.
    pub rms_norm_eps: f32,
    /// How weights are stored.
    pub weight_type: ElementType,
    /// Geometry of the cache.
    pub kv_layout: KvLayout,
    /// What a step may hold.
    pub limits: BatchLimits,
}

/// See the module's introduction.
#[derive(Debug)]
pub struct CpuBackend {
    cpu: Cpu,
    options: CpuBackendOptions,
    kv: KvStore,
    workspace: AttentionWorkspace,
    /// The step in progress.
    batch: Batch,
    /// Cosines and sines of each row's position.
    angles: Matrix,
}

/// Packed weights with their bias.
#[derive(Debug)]
pub struct CpuMatrix {
    weights: PackedMatrix,
    bias: Option<Vec<f32>>,
}

impl CpuBackend {
    /// A backend on the threads of `cpu`. KV pages are allocated when first written.
    #[must_use]
    pub fn new(cpu: Cpu, options: CpuBackendOptions) -> Self {
        Self {
            kv: KvStore::new(options.kv_layout, options.limits.num_blocks),
            workspace: AttentionWorkspace::new(&cpu, options.heads),
            batch: Batch::default(),
            angles: Matrix::zeroed(options.limits.max_tokens, options.heads.head_dim),
            cpu,
            options,
        }
    }

    /// The threads, for measurements.
    pub fn cpu_mut(&mut self) -> &mut Cpu {
        &mut self.cpu
    }

    fn linear_with(&mut self, x: &Matrix, weights: &CpuMatrix, out: &mut Matrix, add: bool) {
        let rows = self.batch.n_rows();
        let x = x.rows(rows).first_cols(weights.weights.k());
        let epilogue = Epilogue { bias: weights.bias.as_deref(), add };
        gemm(&mut self.cpu, x, &weights.weights, out.rows_mut(rows), epilogue);
    }
}

impl Backend for CpuBackend {
    type Matrix = CpuMatrix;
    type Vector = Vec<f32>;
    type Buffer = Matrix;

    fn matrix(
        &mut self,
        parts: &[SourceMatrix<'_>],
        bias: Option<Vec<f32>>,
    ) -> Result<CpuMatrix, OutOfMemory> {
        let weights = PackedMatrix::pack(&mut self.cpu, parts, self.options.weight_type)
            .map_err(|source| OutOfMemory { device: "CPU", what: "a weight matrix".to_owned(), source })?;
        Ok(CpuMatrix { weights, bias })
    }

    fn vector(&mut self, values: Vec<f32>) -> Result<Vec<f32>, OutOfMemory> {
        Ok(values)
    }

    fn buffer(&mut self, cols: usize) -> Result<Matrix, OutOfMemory> {
        Ok(Matrix::zeroed(self.options.limits.max_tokens, cols))
    }

    fn begin(&mut self, plan: &StepPlan) -> Result<(), RunnerError> {
        let batch = Batch::new(plan, self.options.limits)?;
        for &block in batch.blocks.iter().flatten() {
            self.kv.make_present(block);
        }
        for (block, _) in batch.slots(self.options.kv_layout.block_size) {
            self.kv.make_writable(block);
        }
        let mut angles = self.angles.rows_mut(batch.n_rows());
        for (row, &position) in batch.positions.iter().enumerate() {
            self.options.rope.angles(position, angles.row_mut(row));
        }
        self.batch = batch;
        Ok(())
    }

    fn embed(&mut self, table: &CpuMatrix, out: &mut Matrix) {
        table.weights.gather(&mut self.cpu, &self.batch.tokens, out.rows_mut(self.batch.n_rows()));
    }

    fn rms_norm(&mut self, x: &Matrix, weight: &Vec<f32>, out: &mut Matrix) {
        let rows = self.batch.n_rows();
        rms_norm(&mut self.cpu, x.rows(rows), weight, self.options.rms_norm_eps, out.rows_mut(rows));
    }

    fn linear(&mut self, x: &Matrix, weights: &CpuMatrix, out: &mut Matrix) {
        self.linear_with(x, weights, out, false);
    }

    fn linear_add(&mut self, x: &Matrix, weights: &CpuMatrix, out: &mut Matrix) {
        self.linear_with(x, weights, out, true);
    }

    fn rope_and_cache(&mut self, layer: usize, qkv: &mut Matrix, norms: Option<&HeadNorms<Vec<f32>>>) {
        let rows = self.batch.n_rows();
        let CpuBackendOptions { heads, rms_norm_eps: eps, kv_layout, .. } = self.options;
        let norm = norms.map(|it| HeadNorm { q: &it.q, k: &it.k, eps });
        rope(&mut self.cpu, qkv.rows_mut(rows), heads, self.angles.rows(rows), norm);
        let qkv = qkv.rows(rows);
        for (row, (block, offset)) in self.batch.slots(kv_layout.block_size).enumerate() {
            let (keys, values) = qkv.row(row)[heads.q_cols()..].split_at(heads.kv_cols());
            self.kv.write(block, layer, offset, keys, values);
        }
    }

    fn attention(&mut self, layer: usize, qkv: &Matrix, out: &mut Matrix) {
        let rows = self.batch.n_rows();
        let cache = self.kv.layer(layer, &self.batch.blocks);
        attention(
            &mut self.cpu,
            &self.workspace,
            qkv.rows(rows),
            &self.batch.spans,
            &cache,
            out.rows_mut(rows),
        );
    }

    fn gated_mlp(
        &mut self,
        x: &Matrix,
        gate_up: &CpuMatrix,
        down: &CpuMatrix,
        work: &mut Matrix,
        out: &mut Matrix,
    ) {
        self.linear_with(x, gate_up, work, false);
        silu_mul(&mut self.cpu, work.rows_mut(self.batch.n_rows()));
        self.linear_with(work, down, out, true);
    }

    fn logits(
        &mut self,
        x: &Matrix,
        norm: &Vec<f32>,
        head: &CpuMatrix,
        work: &mut Matrix,
        out: &mut Logits,
    ) -> Result<(), RunnerError> {
        let (rows, selected) = (self.batch.n_rows(), self.batch.logit_rows.len());
        let (eps, normed) = (self.options.rms_norm_eps, work.rows_mut(selected));
        rms_norm_of(&mut self.cpu, x.rows(rows), &self.batch.logit_rows, norm, eps, normed);
        let vocab_size = head.weights.n();
        out.vocab_size = vocab_size;
        out.values.resize(selected * vocab_size, 0.0);
        let logits = RowsMut::new(&mut out.values, selected, vocab_size, vocab_size);
        gemm(&mut self.cpu, work.rows(selected), &head.weights, logits, Epilogue::default());
        Ok(())
    }

    fn kv_layout(&self) -> &KvLayout {
        &self.options.kv_layout
    }

    fn read_block(&mut self, block: BlockId) -> Arc<KvPage> {
        self.kv.read(block)
    }

    fn write_block(&mut self, block: BlockId, page: Arc<KvPage>) {
        self.kv.replace(block, page);
    }
}
