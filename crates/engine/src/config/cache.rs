//! Size and shape of the KV cache.

use super::kv_transfer::KvTransferConfig;
use super::memory::MemoryInfo;
use super::{ConfigError, at_least_one, kv_transfer};
use crate::args::CacheArgs;
use crate::kv_cache::{KvDtype, KvLayout};

/// Memory for KV blocks when nothing says how much, as vLLM's CPU backend has it.
const DEFAULT_BYTES: u64 = 4 << 30;
/// Share of the machine's memory that the default never passes.
const DEFAULT_SHARE_OF_RAM: u64 = 4;

/// The KV cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheConfig {
    /// Tokens in a block.
    pub block_size: usize,
    /// How large it is.
    pub space: CacheSpace,
    /// Whether prompts reuse the blocks of earlier ones.
    pub prefix_caching: bool,
    /// Seed of the block hashes.
    pub hash_seed: String,
}

/// How large the KV cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheSpace {
    /// A number of blocks.
    Blocks(u64),
    /// As many blocks as fit.
    Bytes(u64),
    /// 4 GiB, a quarter of the memory, or what a full batch of the longest sequences can use, whichever is least.
    Default,
}

impl CacheConfig {
    /// Blocks to allocate, the null block included.
    ///
    /// # Errors
    /// When not even one block fits.
    pub fn n_blocks(
        &self,
        layout: &KvLayout,
        full_batch: FullBatch,
        memory: MemoryInfo,
    ) -> Result<usize, ConfigError> {
        let page = layout.page_bytes() as u64;
        let usable = match self.space {
            CacheSpace::Blocks(blocks) => blocks.saturating_sub(1),
            CacheSpace::Bytes(bytes) => bytes / page,
            CacheSpace::Default => {
                let bytes = DEFAULT_BYTES.min(memory.total_bytes / DEFAULT_SHARE_OF_RAM);
                (bytes / page).min(full_batch.blocks(self.block_size))
            }
        };
        if usable == 0 {
            return Err(ConfigError::Value {
                flag: "--kv-cache-memory-bytes",
                problem: format!("the KV cache holds no block of {page} bytes; give it more memory"),
            });
        }
        Ok(usize::try_from(usable.saturating_add(1)).unwrap_or(usize::MAX))
    }
}

/// The most a batch can hold.
#[derive(Debug, Clone, Copy)]
pub struct FullBatch {
    /// Sequences.
    pub max_num_seqs: usize,
    /// Tokens of each.
    pub max_model_len: usize,
}

impl FullBatch {
    const fn blocks(self, block_size: usize) -> u64 {
        (self.max_num_seqs as u64).saturating_mul(self.max_model_len.div_ceil(block_size) as u64)
    }
}

type FromArgs = (CacheConfig, Option<KvDtype>, Option<KvTransferConfig>);

pub(super) fn from_args(args: CacheArgs) -> Result<FromArgs, ConfigError> {
    let CacheArgs {
        block_size,
        kv_cache_dtype,
        enable_prefix_caching,
        kv_cache_memory_bytes,
        cpu_kvcache_space,
        num_gpu_blocks_override,
        hash_seed,
        kv_transfer_config,
        nixl_side_channel_host,
        nixl_side_channel_port,
    } = args;
    let cache = CacheConfig {
        block_size: at_least_one("--block-size", block_size)?,
        space: space(num_gpu_blocks_override, kv_cache_memory_bytes, gib(cpu_kvcache_space.as_deref())?)?,
        prefix_caching: enable_prefix_caching,
        hash_seed: hash_seed
            .filter(|it| !it.is_empty() && it != "random")
            .unwrap_or_else(|| llmd_kv::hash::DEFAULT_SEED.to_owned()),
    };
    let transfer = kv_transfer_config
        .map(|json| kv_transfer::parse(&json, nixl_side_channel_host, nixl_side_channel_port))
        .transpose()?;
    Ok((cache, kv_dtype(&kv_cache_dtype)?, transfer))
}

fn space(blocks: Option<u64>, bytes: Option<u64>, gib: Option<f64>) -> Result<CacheSpace, ConfigError> {
    const GIB: f64 = 1_073_741_824.0;
    match (blocks, bytes, gib) {
        (Some(blocks), _, _) => Ok(CacheSpace::Blocks(blocks)),
        (None, Some(bytes), _) => Ok(CacheSpace::Bytes(bytes)),
        // vLLM writes 0 for its default.
        (None, None, None | Some(0.0)) => Ok(CacheSpace::Default),
        (None, None, Some(gib)) => Ok(CacheSpace::Bytes(bytes_of(gib * GIB))),
    }
}

/// The environment's number of GiB; an empty variable says nothing.
fn gib(text: Option<&str>) -> Result<Option<f64>, ConfigError> {
    let Some(text) = text.map(str::trim).filter(|it| !it.is_empty()) else { return Ok(None) };
    match text.parse() {
        Ok(gib) if (0.0..1e6).contains(&gib) => Ok(Some(gib)),
        _ => Err(ConfigError::Value {
            flag: "VLLM_CPU_KVCACHE_SPACE",
            problem: format!("{text:?} is no number of GiB"),
        }),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
const fn bytes_of(bytes: f64) -> u64 {
    bytes as u64
}

fn kv_dtype(name: &str) -> Result<Option<KvDtype>, ConfigError> {
    match name {
        "auto" => Ok(None),
        "bfloat16" | "bf16" => Ok(Some(KvDtype::Bf16)),
        "float32" | "fp32" => Ok(Some(KvDtype::F32)),
        other => Err(ConfigError::Unsupported {
            flag: "--kv-cache-dtype",
            what: format!("{other:?}; use auto, bfloat16 or float32"),
        }),
    }
}
