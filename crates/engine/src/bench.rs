//! `llmd-engine bench`: what this machine does with a model of half a billion parameters, beside what its memory
//! would allow.
//!
//! The model has the shape of a 0.5B Qwen2 with random bf16 weights, made in memory: nothing is downloaded, and
//! the figures compare with those of other engines on the same shape.
//!
//! The floor of decoding: every token reads every weight once, so no engine decodes one sequence faster than
//! `read bandwidth / bytes of weights`. Bandwidth is measured here, by the same threads, with plain loads.
//!
//! On a machine that others use too, the best of several runs is the one that says something about the engine;
//! that is what is reported.

use std::fmt;
use std::io;
use std::time::Instant;

use llmd_kernels::bandwidth::read_bandwidth;
use serde::Serialize;

use crate::kv_cache::BlockId;
use crate::model::{ConfigError, GenerationConfig, ModelConfig};
use crate::request::SequenceId;
use crate::runner::{Logits, ModelRunner, Runner, RunnerError, RunnerOptions, StartError};
use crate::step::{LogitRows, SequenceStep, StepPlan};
use crate::weights::TensorSource;
use crate::weights::random::RandomWeights;

/// The model's shape, as its `config.json` would say it.
const CONFIG: &str = r#"{
    "architectures": ["Qwen2ForCausalLM"], "hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14,
    "num_key_value_heads": 2, "intermediate_size": 4864, "vocab_size": 32000, "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "tie_word_embeddings": true, "torch_dtype": "bfloat16"
}"#;

/// Tokens of the prompt that prefill and single decode are measured with.
const PROMPT: usize = 512;
/// Sequences decoded together.
const BATCH: usize = 8;
/// Tokens of their prompts.
const BATCH_PROMPT: usize = 64;
/// Tokens a KV block.
const BLOCK: usize = 16;
/// Blocks of one sequence: its prompt and what is decoded.
const BLOCKS_PER_SEQUENCE: usize = 48;

/// What to measure with.
#[derive(Debug, Clone, Copy)]
pub struct BenchOptions {
    /// Compute threads; by default one for each core this process may use.
    pub threads: Option<usize>,
    /// Tokens decoded in each run.
    pub decode_tokens: usize,
    /// Runs of each measurement, of which the best counts.
    pub repeats: usize,
}

impl Default for BenchOptions {
    fn default() -> Self {
        Self { threads: None, decode_tokens: 32, repeats: 5 }
    }
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// See [`StartError`].
    #[error(transparent)]
    Start(#[from] StartError),
    /// See [`RunnerError`].
    #[error(transparent)]
    Run(#[from] RunnerError),
    /// No memory to measure the bandwidth with.
    #[error("cannot measure the memory bandwidth")]
    Memory(#[from] io::Error),
}

impl From<ConfigError> for BenchError {
    fn from(error: ConfigError) -> Self {
        Self::Start(error.into())
    }
}

/// The figures. Rates are the best of the runs.
#[derive(Debug, Clone, Serialize)]
pub struct BenchReport {
    /// Instruction set.
    pub isa: &'static str,
    /// Compute threads.
    pub threads: usize,
    /// Bytes of weights that a decoded token reads.
    pub weight_bytes: u64,
    /// Making and packing the weights, in seconds.
    pub load_seconds: f64,
    /// Memory reads of all threads, in GB/s.
    pub read_gb_per_second: f64,
    /// What the bandwidth allows, in tokens/s.
    pub decode_floor: f64,
    /// One sequence after a prompt of 512, in tokens/s.
    pub decode_batch_1: f64,
    /// `decode_batch_1 / decode_floor`.
    pub decode_batch_1_of_floor: f64,
    /// Eight sequences after prompts of 64, in tokens/s of all together.
    pub decode_batch_8: f64,
    /// A prompt of 512, in tokens/s.
    pub prefill_512: f64,
    /// Arithmetic of that, in GFLOP/s.
    pub prefill_gflops: f64,
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gigabytes = self.weight_bytes as f64 / 1e9;
        writeln!(f, "Qwen2 shape, 0.39 B parameters, bf16, {} threads, {}", self.threads, self.isa)?;
        writeln!(f, "  load and pack     {:8.2} s      {gigabytes:.2} GB", self.load_seconds)?;
        writeln!(f, "  memory reads      {:8.1} GB/s", self.read_gb_per_second)?;
        writeln!(
            f,
            "  decode, batch 1   {:8.1} tok/s  {:.0} % of the floor of {:.1}",
            self.decode_batch_1,
            100.0 * self.decode_batch_1_of_floor,
            self.decode_floor
        )?;
        writeln!(f, "  decode, batch 8   {:8.1} tok/s", self.decode_batch_8)?;
        write!(f, "  prefill, 512      {:8.1} tok/s  {:.0} GFLOP/s", self.prefill_512, self.prefill_gflops)
    }
}

/// Makes the model and measures it.
///
/// # Errors
/// See [`BenchError`].
pub fn run(options: BenchOptions) -> Result<BenchReport, BenchError> {
    let config = ModelConfig::from_json(CONFIG)?;
    let weights = RandomWeights::new(config.clone());
    let weight_bytes = weights.total_bytes();
    let flops = prefill_flops(&config);
    let runner_options = RunnerOptions {
        threads: options.threads,
        isa: None,
        weight_dtype: None,
        kv_dtype: None,
        block_size: BLOCK,
        num_blocks: 1 + BATCH * BLOCKS_PER_SEQUENCE,
        max_num_batched_tokens: PROMPT,
    };
    let start = Instant::now();
    let runner =
        ModelRunner::from_source(config, GenerationConfig::default(), &weights, runner_options, &mut |_| ())?;
    let load_seconds = start.elapsed().as_secs_f64();

    let mut bench = Bench { runner, logits: Logits::default(), options };
    let bandwidth = bench.bandwidth()?;
    let prefill_512 = bench.prefill()?;
    let decode_batch_1 = bench.decode(1, PROMPT)?;
    let decode_batch_8 = bench.decode(BATCH, BATCH_PROMPT)?;
    // Once more, since the neighbours may have been busy the first time.
    let bandwidth = bandwidth.max(bench.bandwidth()?);
    let decode_floor = bandwidth / weight_bytes as f64;
    let cpu = bench.runner.backend_mut().cpu_mut();
    Ok(BenchReport {
        isa: cpu.isa().name(),
        threads: cpu.threads(),
        weight_bytes,
        load_seconds,
        read_gb_per_second: bandwidth / 1e9,
        decode_floor,
        decode_batch_1,
        decode_batch_1_of_floor: decode_batch_1 / decode_floor,
        decode_batch_8,
        prefill_512,
        prefill_gflops: prefill_512 * flops / PROMPT as f64 / 1e9,
    })
}

/// Operations of a prompt: two for each weight and token (the head for the last token only) and for each pair of
/// positions in attention, once for the products and once for the values.
fn prefill_flops(config: &ModelConfig) -> f64 {
    let ModelConfig { hidden_size, intermediate_size, heads, n_layers, vocab_size, .. } = *config;
    let layer = hidden_size * (heads.qkv_cols() + heads.q_cols() + 3 * intermediate_size);
    let pairs = PROMPT * (PROMPT + 1) / 2;
    let attention = 2 * pairs * heads.q_cols();
    2.0 * (n_layers * (PROMPT * layer + attention) + vocab_size * hidden_size) as f64
}

struct Bench {
    runner: ModelRunner,
    logits: Logits,
    options: BenchOptions,
}

impl Bench {
    /// Bytes a second.
    fn bandwidth(&mut self) -> io::Result<f64> {
        read_bandwidth(self.runner.backend_mut().cpu_mut(), 1 << 30, self.options.repeats)
    }

    /// Tokens a second of one prompt.
    fn prefill(&mut self) -> Result<f64, RunnerError> {
        self.best(PROMPT, |bench| bench.step(&[(0, 0, PROMPT)]))
    }

    /// Tokens a second of `sequences` together, each after a prompt of `prompt` tokens.
    fn decode(&mut self, sequences: usize, prompt: usize) -> Result<f64, RunnerError> {
        for sequence in 0..sequences {
            self.step(&[(sequence, 0, prompt)])?;
        }
        let n_tokens = self.options.decode_tokens.min(BLOCKS_PER_SEQUENCE * BLOCK - prompt);
        self.best(sequences * n_tokens, |bench| {
            (prompt..prompt + n_tokens).try_for_each(|position| {
                let parts: Vec<_> = (0..sequences).map(|sequence| (sequence, position, 1)).collect();
                bench.step(&parts)
            })
        })
    }

    /// The best rate of `tokens` tokens in all repeats of `work`.
    fn best(
        &mut self,
        tokens: usize,
        work: impl Fn(&mut Self) -> Result<(), RunnerError>,
    ) -> Result<f64, RunnerError> {
        let mut best = 0.0_f64;
        for _ in 0..self.options.repeats {
            let start = Instant::now();
            work(self)?;
            best = best.max(tokens as f64 / start.elapsed().as_secs_f64());
        }
        Ok(best)
    }

    /// One step over `parts`: sequence, position of its first token, tokens.
    fn step(&mut self, parts: &[(usize, usize, usize)]) -> Result<(), RunnerError> {
        let sequences = parts
            .iter()
            .map(|&(sequence, start, n_tokens)| SequenceStep {
                id: SequenceId(sequence as u64),
                tokens: (start..start + n_tokens).map(|it| (it * 37 % 32_000) as u32).collect(),
                start: start as u32,
                blocks: (0..(start + n_tokens).div_ceil(BLOCK))
                    .map(|it| BlockId((1 + sequence * BLOCKS_PER_SEQUENCE + it) as u32))
                    .collect(),
                logits: LogitRows::Last,
            })
            .collect();
        self.runner.step(&StepPlan { sequences }, &mut self.logits)
    }
}
