//! Everything that comes from the model folder, read in one go on a thread that may block.

use llmd_kernels::ElementType;
use llmd_tokenizer::{ChatTemplate, ChatTemplateError, Tokenizer};

use super::StartupError;
use crate::config::memory::MemoryInfo;
use crate::config::{Config, ConfigError, FullBatch, GenerationSource, ServedModel};
use crate::kv_transfer::fingerprint::fingerprint;
use crate::model::{self, GenerationConfig, ModelConfig};
use crate::runner::{ModelRunner, RunnerOptions};

/// Everything that comes from the model folder.
pub(super) struct LoadedModel {
    pub(super) runner: ModelRunner,
    pub(super) tokenizer: Tokenizer,
    pub(super) template: Option<ChatTemplate>,
    pub(super) defaults: GenerationConfig,
    pub(super) eos_token_ids: Vec<u32>,
    pub(super) max_model_len: usize,
    pub(super) n_blocks: usize,
    /// Empty without KV transfer.
    pub(super) fingerprint: String,
}

impl LoadedModel {
    /// Reads the folder. Small files come first, so that what is wrong with them is said before the weights load.
    pub(super) fn read(config: &Config, progress: &mut dyn FnMut(f32)) -> Result<Self, StartupError> {
        let ServedModel { dir, in_f32, kv_dtype, threads, .. } = &config.model;
        if !dir.is_dir() {
            return Err(StartupError::NoFolder { path: dir.clone() });
        }
        let model = ModelConfig::from_folder(dir)?;
        let generation = GenerationConfig::from_folder(dir)?;
        let max_model_len = context(&config.model, &model)?;
        let tokenizer = Tokenizer::from_dir(dir)?;
        let template = template(&config.model)?;
        let layout = model.kv_layout(config.cache.block_size, *kv_dtype);
        let full_batch = FullBatch { max_num_seqs: config.scheduler.max_num_seqs, max_model_len };
        let n_ranks = config.data_parallel.n_local();
        let n_blocks = config.cache.n_blocks(&layout, full_batch, MemoryInfo::read().share(n_ranks))?;
        let fingerprint = match config.kv_transfer {
            Some(_) => fingerprint(dir, &layout).map_err(StartupError::Engine)?,
            None => String::new(),
        };
        let options = RunnerOptions {
            threads: threads.map(Into::into).or_else(|| threads_of_rank(n_ranks)),
            isa: None,
            weight_dtype: in_f32.then_some(ElementType::F32),
            kv_dtype: *kv_dtype,
            block_size: config.cache.block_size,
            num_blocks: n_blocks,
            max_num_batched_tokens: config.scheduler.max_num_batched_tokens,
        };
        let runner = ModelRunner::load(dir, options, progress)?;
        let eos_token_ids = match &generation.eos_token_ids {
            Some(ids) => ids.clone().into_vec(),
            None => model.eos_token_ids,
        };
        let defaults = sampling_defaults(&config.model.generation, generation)?;
        Ok(Self {
            runner,
            tokenizer,
            template,
            defaults,
            eos_token_ids,
            max_model_len,
            n_blocks,
            fingerprint,
        })
    }
}

/// Compute threads of one of `n` ranks that share this machine; `None` leaves all cores to the only one.
fn threads_of_rank(n: usize) -> Option<usize> {
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    (n > 1).then(|| (cores / n).max(1))
}

/// The context: the flag's, if the model knows that many positions, else the model's.
fn context(served: &ServedModel, model: &ModelConfig) -> Result<usize, ConfigError> {
    let known = model.max_position_embeddings;
    match served.max_model_len {
        None => Ok(known),
        Some(asked) if asked as usize <= known => Ok(asked as usize),
        Some(asked) => Err(ConfigError::Value {
            flag: "--max-model-len",
            problem: format!("{asked} is above the {known} positions that the model knows"),
        }),
    }
}

fn template(served: &ServedModel) -> Result<Option<ChatTemplate>, ChatTemplateError> {
    let template = match &served.chat_template {
        Some(given) => Some(ChatTemplate::from_override(&served.dir, given)?),
        None => ChatTemplate::from_dir(&served.dir)?,
    };
    Ok(template.map(|it| it.with_content_format(served.content_format)))
}

fn sampling_defaults(
    source: &GenerationSource,
    of_model: GenerationConfig,
) -> Result<GenerationConfig, model::ConfigError> {
    match source {
        GenerationSource::Model => Ok(of_model),
        GenerationSource::None => Ok(GenerationConfig::default()),
        GenerationSource::Folder(folder) => GenerationConfig::from_folder(folder),
    }
}
