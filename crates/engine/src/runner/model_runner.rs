//! [`ModelRunner`]: a decoder on a backend, as the engine drives it.

use std::path::Path;
use std::sync::Arc;

use llmd_kernels::{Cpu, CpuError, CpuOptions, ElementType, Isa};

use super::{Logits, Runner, RunnerError};
use crate::backend::Backend;
use crate::backend::batch::BatchLimits;
use crate::backend::cpu::{CpuBackend, CpuBackendOptions};
use crate::kv_cache::{BlockId, KvDtype, KvLayout, KvPage};
use crate::model::decoder::Decoder;
use crate::model::{ConfigError, GenerationConfig, ModelConfig};
use crate::step::StepPlan;
use crate::weights::{Checkpoint, LoadError, Loader, TensorSource};

/// How to run a model on the CPU.
#[derive(Debug, Clone, Copy)]
pub struct RunnerOptions {
    /// Compute threads; by default one for each core this process may use.
    pub threads: Option<usize>,
    /// Instruction set; by default the best one.
    pub isa: Option<Isa>,
    /// How weights are stored; by default as the checkpoint does. Arithmetic is f32 in any case.
    pub weight_dtype: Option<ElementType>,
    /// How the KV cache is stored; by default f32 for f32 models and bf16 for others.
    pub kv_dtype: Option<KvDtype>,
    /// Tokens a KV block.
    pub block_size: usize,
    /// KV blocks, with the null block: blocks 1 to `num_blocks - 1` can be used.
    pub num_blocks: usize,
    /// Tokens of a step at most.
    pub max_num_batched_tokens: usize,
}

/// Why a model could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// See [`ConfigError`].
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// See [`LoadError`].
    #[error(transparent)]
    Load(#[from] LoadError),
    /// See [`CpuError`].
    #[error(transparent)]
    Cpu(#[from] CpuError),
}

/// A loaded model. See [`Runner`].
#[derive(Debug)]
pub struct ModelRunner<B: Backend = CpuBackend> {
    backend: B,
    decoder: Decoder<B>,
    config: ModelConfig,
    generation: GenerationConfig,
}

impl ModelRunner<CpuBackend> {
    /// Loads the model in `folder` and calls `progress` with the loaded share, 0 to 1.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn load(
        folder: &Path,
        options: RunnerOptions,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self, StartError> {
        let config = ModelConfig::from_folder(folder)?;
        let generation = GenerationConfig::from_folder(folder)?;
        let checkpoint = Checkpoint::open(folder)?;
        Self::from_source(config, generation, &checkpoint, options, progress)
    }

    /// Loads a model of this `config` from any source of tensors.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn from_source(
        config: ModelConfig,
        generation: GenerationConfig,
        source: &dyn TensorSource,
        options: RunnerOptions,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self, StartError> {
        let RunnerOptions {
            threads,
            isa,
            weight_dtype,
            kv_dtype,
            block_size,
            num_blocks,
            max_num_batched_tokens,
        } = options;
        let cpu = Cpu::new(CpuOptions { threads, isa })?;
        tracing::info!(isa = %cpu.isa(), threads = cpu.threads(), "compute threads started");
        let mut backend = CpuBackend::new(
            cpu,
            CpuBackendOptions {
                heads: config.heads,
                rope: config.rope(),
                rms_norm_eps: config.rms_norm_eps,
                weight_type: weight_dtype.unwrap_or(config.dtype),
                kv_layout: config.kv_layout(block_size, kv_dtype),
                limits: BatchLimits {
                    max_tokens: max_num_batched_tokens,
                    vocab_size: config.vocab_size,
                    block_size,
                    num_blocks,
                },
            },
        );
        let decoder = Decoder::load(&config, &mut backend, &mut Loader::new(source, progress))?;
        // A checkpoint may hold tensors that the model does not use.
        progress(1.0);
        Ok(Self { backend, decoder, config, generation })
    }
}

impl<B: Backend> ModelRunner<B> {
    /// The model's shape and special tokens.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The checkpoint's sampling defaults.
    #[must_use]
    pub fn generation_config(&self) -> &GenerationConfig {
        &self.generation
    }

    /// The device.
    pub fn backend_mut(&mut self) -> &mut B {
        &mut self.backend
    }
}

impl<B: Backend> Runner for ModelRunner<B> {
    fn kv_layout(&self) -> &KvLayout {
        self.backend.kv_layout()
    }

    fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    fn step(&mut self, plan: &StepPlan, logits: &mut Logits) -> Result<(), RunnerError> {
        self.decoder.forward(&mut self.backend, plan, logits)
    }

    fn read_block(&mut self, block: BlockId) -> Arc<KvPage> {
        self.backend.read_block(block)
    }

    fn write_block(&mut self, block: BlockId, page: Arc<KvPage>) {
        self.backend.write_block(block, page);
    }
}
