//! Models against what transformers computed, and the law that a request's bits do not depend on its company.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod batch_invariance;
mod golden;
mod loading;
mod references;

use std::path::{Path, PathBuf};

use llmd_engine::kv_cache::{BlockId, KvDtype};
use llmd_engine::request::SequenceId;
use llmd_engine::runner::{Logits, ModelRunner, Runner, RunnerOptions};
use llmd_engine::step::{LogitRows, SequenceStep, StepPlan};

/// Options of a small runner.
fn options(kv_dtype: KvDtype) -> RunnerOptions {
    RunnerOptions {
        threads: Some(2),
        isa: None,
        weight_dtype: None,
        kv_dtype: Some(kv_dtype),
        block_size: 16,
        num_blocks: 600,
        max_num_batched_tokens: 1024,
    }
}

/// The demo model's folder.
fn llmd_tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/models/llmd-tiny")
}

fn load(folder: &Path, options: RunnerOptions) -> ModelRunner {
    ModelRunner::load(folder, options, &mut |_| ()).unwrap()
}

/// A sequence with its tokens so far and its blocks.
struct Sequence {
    tokens: Vec<u32>,
    computed: usize,
    first_block: u32,
}

impl Sequence {
    fn new(prompt: &[u32], first_block: u32) -> Self {
        Self { tokens: prompt.to_vec(), computed: 0, first_block }
    }

    /// The next `n` tokens as a step.
    fn step(&mut self, n: usize, logits: LogitRows) -> SequenceStep {
        let end = self.computed + n;
        let step = SequenceStep {
            id: SequenceId(self.first_block.into()),
            tokens: self.tokens[self.computed..end].to_vec(),
            start: self.computed as u32,
            blocks: (0..end.div_ceil(16) as u32).map(|i| BlockId(self.first_block + i)).collect(),
            logits,
        };
        self.computed = end;
        step
    }
}

fn run(runner: &mut ModelRunner, sequences: Vec<SequenceStep>) -> Logits {
    let mut logits = Logits::default();
    runner.step(&StepPlan { sequences }, &mut logits).unwrap();
    logits
}

fn argmax(row: &[f32]) -> u32 {
    row.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap().0 as u32
}

/// Natural log-probabilities of a row of logits.
fn log_softmax(row: &[f32]) -> Vec<f64> {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&it| f64::from(it - max).exp()).sum();
    row.iter().map(|&it| f64::from(it - max) - sum.ln()).collect()
}
