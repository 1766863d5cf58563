//! `Backend`: a device as the decoder sees it.
//!
//! The operations are as coarse as a transformer layer's parts, not a tensor library: each is something a device
//! does in one or a few launches, with its own layout of weights, its own activation memory and its own KV
//! cache. Shapes are fixed when things are made; a step only says which tokens.
//!
//! All activations are `[tokens of the step][columns]`, in the order of the [`StepPlan`], and f32 unless the
//! device decides otherwise. Operations of a step are called in order, between two calls of
//! [`Backend::begin`]; a device may queue them and return at once, up to [`Backend::logits`], which waits.
//!
//! Not here: which operations make a layer (`model`), scheduling, sampling.

pub mod batch;
pub mod cpu;

use std::fmt::Debug;
use std::sync::Arc;

use llmd_kernels::SourceMatrix;

use crate::kv_cache::{BlockId, KvLayout, KvPage};
use crate::runner::{Logits, RunnerError};
use crate::step::StepPlan;

/// The device cannot hold what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the {device} has no room for {what}")]
pub struct OutOfMemory {
    /// Which device.
    pub device: &'static str,
    /// What for.
    pub what: String,
    /// What the device said.
    #[source]
    pub source: std::io::Error,
}

/// Normalisation of query and key heads before the rotation.
#[derive(Debug)]
pub struct HeadNorms<V> {
    /// Weight for query heads.
    pub q: V,
    /// Weight for key heads.
    pub k: V,
}

/// A device that computes steps. See the module's introduction.
pub trait Backend: Send {
    /// Weights of a linear layer, with bias if it has one, in the device's layout.
    type Matrix: Debug + Send;
    /// Weights of a normalisation.
    type Vector: Debug + Send;
    /// Activations of a step.
    type Buffer: Debug + Send;

    /// Takes weights over: `parts` one below the other, each row the weights of one output.
    ///
    /// # Errors
    /// When memory runs out.
    fn matrix(
        &mut self,
        parts: &[SourceMatrix<'_>],
        bias: Option<Vec<f32>>,
    ) -> Result<Self::Matrix, OutOfMemory>;

    /// Takes the weights of a normalisation over.
    ///
    /// # Errors
    /// When memory runs out.
    fn vector(&mut self, values: Vec<f32>) -> Result<Self::Vector, OutOfMemory>;

    /// Memory for `cols` activations of every token of the largest step.
    ///
    /// # Errors
    /// When memory runs out.
    fn buffer(&mut self, cols: usize) -> Result<Self::Buffer, OutOfMemory>;

    /// Begins a step. Everything that depends on the tokens alone happens here, once for all layers.
    ///
    /// # Errors
    /// When the plan does not fit what the backend was made for.
    fn begin(&mut self, plan: &StepPlan) -> Result<(), RunnerError>;

    /// `out` = the rows of `table` that the step's tokens name.
    fn embed(&mut self, table: &Self::Matrix, out: &mut Self::Buffer);

    /// `out = x / rms(x) * weight`.
    fn rms_norm(&mut self, x: &Self::Buffer, weight: &Self::Vector, out: &mut Self::Buffer);

    /// `out = x · weightsᵀ + bias`.
    fn linear(&mut self, x: &Self::Buffer, weights: &Self::Matrix, out: &mut Self::Buffer);

    /// `out += x · weightsᵀ + bias`: into the residual stream.
    fn linear_add(&mut self, x: &Self::Buffer, weights: &Self::Matrix, out: &mut Self::Buffer);

    /// Normalises (if the model does) and rotates queries and keys of `qkv` (`[q heads | k heads | v heads]`) in
    /// place and writes keys and values to `layer` of the cache.
    fn rope_and_cache(
        &mut self,
        layer: usize,
        qkv: &mut Self::Buffer,
        norms: Option<&HeadNorms<Self::Vector>>,
    );

    /// `out` = causal attention of the queries in `qkv` over `layer` of the cache.
    fn attention(&mut self, layer: usize, qkv: &Self::Buffer, out: &mut Self::Buffer);

    /// `out += down(silu(gate(x)) * up(x))`; `gate_up` holds gate and up one below the other, `work` has room
    /// for both.
    fn gated_mlp(
        &mut self,
        x: &Self::Buffer,
        gate_up: &Self::Matrix,
        down: &Self::Matrix,
        work: &mut Self::Buffer,
        out: &mut Self::Buffer,
    );

    /// `out` = `head · norm(x)` of the rows that the plan asks for. `work` is as wide as `x`. Waits for the
    /// device.
    ///
    /// # Errors
    /// When the device failed anywhere in the step.
    fn logits(
        &mut self,
        x: &Self::Buffer,
        norm: &Self::Vector,
        head: &Self::Matrix,
        work: &mut Self::Buffer,
        out: &mut Logits,
    ) -> Result<(), RunnerError>;

    /// Geometry of the cache.
    fn kv_layout(&self) -> &KvLayout;

    /// See [`Runner::read_block`](crate::runner::Runner::read_block).
    fn read_block(&mut self, block: BlockId) -> Arc<KvPage>;

    /// See [`Runner::write_block`](crate::runner::Runner::write_block).
    fn write_block(&mut self, block: BlockId, page: Arc<KvPage>);
}
