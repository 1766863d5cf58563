//! `Runner`: executes a [`StepPlan`]. Owns the model, its device and the KV pages.

pub mod model_runner;

use std::sync::Arc;

pub use self::model_runner::{ModelRunner, RunnerOptions, StartError};
use crate::kv_cache::{BlockId, KvLayout, KvPage};
use crate::step::StepPlan;

/// Logits of one step: `rows × vocab`, row-major, f32, in the order of [`StepPlan::n_logit_rows`].
#[derive(Debug, Default)]
pub struct Logits {
    /// Columns.
    pub vocab_size: usize,
    /// `n_rows * vocab_size` values.
    pub values: Vec<f32>,
}

impl Logits {
    /// The logits of row `row`.
    ///
    /// # Panics
    /// When `row` is not below the number of rows.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.vocab_size..][..self.vocab_size]
    }
}

/// Why a step failed. The engine fails the requests of the step and goes on.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The plan asks for something the runner was not sized for.
    #[error("step does not fit the runner: {0}")]
    Plan(String),
    /// The device refused.
    #[error("device failed: {0}")]
    Device(String),
}

/// A loaded model on a device. Lives on the engine thread.
pub trait Runner: Send {
    /// Geometry of one KV block, all layers.
    fn kv_layout(&self) -> &KvLayout;

    /// Logits per row.
    fn vocab_size(&self) -> usize;

    /// Computes the plan: writes the K and V of every token into its block and fills `logits`.
    ///
    /// On the CPU a row's result depends on the sequence's tokens and positions alone, bit for bit: not on the
    /// other sequences, the split into chunks or where cached blocks came from.
    ///
    /// # Errors
    /// See [`RunnerError`]; KV of the step's tokens is then undefined.
    fn step(&mut self, plan: &StepPlan, logits: &mut Logits) -> Result<(), RunnerError>;

    /// The content of a block in the wire layout, shared without copying where the device allows it. The page
    /// never changes after this call: writing to the block later replaces its page.
    fn read_block(&mut self, block: BlockId) -> Arc<KvPage>;

    /// Makes `page` the content of `block`.
    fn write_block(&mut self, block: BlockId, page: Arc<KvPage>);
}
