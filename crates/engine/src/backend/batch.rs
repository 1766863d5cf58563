//! A [`StepPlan`] checked and laid out as rows, once a step.

use llmd_kernels::attention::AttentionSpan;

use crate::kv_cache::BlockId;
use crate::runner::RunnerError;
use crate::step::{LogitRows, StepPlan};

/// What a backend was made for.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Tokens of a step.
    pub max_tokens: usize,
    /// Vocabulary of the model.
    pub vocab_size: usize,
    /// Tokens a block.
    pub block_size: usize,
    /// Blocks, with the null block.
    pub num_blocks: usize,
}

/// The rows of a step.
#[derive(Debug, Default)]
pub struct Batch {
    /// Token of each row.
    pub tokens: Vec<u32>,
    /// Position of each row.
    pub positions: Vec<usize>,
    /// Rows and positions of each sequence.
    pub spans: Vec<AttentionSpan>,
    /// Blocks of each sequence, from position 0.
    pub blocks: Vec<Vec<BlockId>>,
    /// Rows that need logits.
    pub logit_rows: Vec<usize>,
}

impl Batch {
    /// Lays out `plan`.
    ///
    /// # Errors
    /// [`RunnerError::Plan`] when it exceeds `limits` or its blocks do not cover its tokens.
    pub fn new(plan: &StepPlan, limits: BatchLimits) -> Result<Self, RunnerError> {
        let BatchLimits { max_tokens, vocab_size, block_size, num_blocks } = limits;
        let n_tokens = plan.n_tokens();
        if n_tokens > max_tokens {
            return refuse(format!("{n_tokens} tokens, room for {max_tokens}"));
        }
        let mut batch = Self::default();
        for step in &plan.sequences {
            let end = step.start as usize + step.tokens.len();
            let needed = end.div_ceil(block_size);
            if step.blocks.len() < needed {
                return refuse(format!(
                    "{} blocks of {block_size} tokens for {end} positions",
                    step.blocks.len()
                ));
            }
            let blocks = &step.blocks[..needed];
            if let Some(block) = blocks.iter().find(|it| it.index() == 0 || it.index() >= num_blocks) {
                return refuse(format!("block {} of 1 to {}", block.0, num_blocks.saturating_sub(1)));
            }
            if let Some(token) = step.tokens.iter().find(|&&it| it as usize >= vocab_size) {
                return refuse(format!("token {token} in a vocabulary of {vocab_size}"));
            }
            batch.push(step.start as usize, &step.tokens, blocks, step.logits);
        }
        Ok(batch)
    }

    /// Adds the rows of one sequence.
    fn push(&mut self, start: usize, tokens: &[u32], blocks: &[BlockId], logits: LogitRows) {
        let first_row = self.tokens.len();
        self.spans.push(AttentionSpan { first_row, n_tokens: tokens.len(), start });
        self.tokens.extend_from_slice(tokens);
        self.positions.extend(start..start + tokens.len());
        self.blocks.push(blocks.to_vec());
        let first_logit_row = self.tokens.len() - logits.count(tokens.len());
        self.logit_rows.extend(first_logit_row..self.tokens.len());
    }

    /// Rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.tokens.len()
    }

    /// For each row the block its position lies in, and the place inside the block.
    pub fn slots(&self, block_size: usize) -> impl Iterator<Item = (BlockId, usize)> {
        self.spans.iter().zip(&self.blocks).flat_map(move |(span, blocks)| {
            (span.start..span.start + span.n_tokens)
                .map(move |position| (blocks[position / block_size], position % block_size))
        })
    }
}

fn refuse<T>(reason: String) -> Result<T, RunnerError> {
    Err(RunnerError::Plan(reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::SequenceId;
    use crate::step::SequenceStep;

    const LIMITS: BatchLimits = BatchLimits { max_tokens: 8, vocab_size: 100, block_size: 4, num_blocks: 5 };

    fn step(start: u32, tokens: &[u32], blocks: &[u32], logits: LogitRows) -> SequenceStep {
        let blocks = blocks.iter().map(|&it| BlockId(it)).collect();
        SequenceStep { id: SequenceId(0), tokens: tokens.to_vec(), start, blocks, logits }
    }

    #[track_caller]
    fn refused(sequence: SequenceStep, reason: &str) {
        let error = Batch::new(&StepPlan { sequences: vec![sequence] }, LIMITS).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }

    #[test]
    fn rows_follow_the_plan() {
        let plan = StepPlan {
            sequences: vec![
                step(3, &[7, 8], &[2, 4], LogitRows::Last),
                step(0, &[1, 2, 3], &[1], LogitRows::None),
                step(0, &[5, 6], &[3, 9], LogitRows::All),
            ],
        };
        let batch = Batch::new(&plan, LIMITS).unwrap();
        assert_eq!(batch.tokens, [7, 8, 1, 2, 3, 5, 6]);
        assert_eq!(batch.positions, [3, 4, 0, 1, 2, 0, 1]);
        assert_eq!(batch.logit_rows, [1, 5, 6]);
        let slots: Vec<_> = batch.slots(4).map(|(block, offset)| (block.0, offset)).collect();
        assert_eq!(slots, [(2, 3), (4, 0), (1, 0), (1, 1), (1, 2), (3, 0), (3, 1)]);
    }

    #[test]
    fn plans_that_do_not_fit_are_refused() {
        refused(step(0, &[1; 9], &[1, 2, 3], LogitRows::Last), "room for 8");
        refused(step(4, &[1], &[1], LogitRows::Last), "1 blocks of 4 tokens for 5 positions");
        refused(step(0, &[1], &[0], LogitRows::Last), "block 0 of 1 to 4");
        refused(step(0, &[1], &[5], LogitRows::Last), "block 5 of 1 to 4");
        refused(step(0, &[100], &[1], LogitRows::Last), "token 100");
    }
}
