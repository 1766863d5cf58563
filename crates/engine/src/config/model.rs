//! Which model, under which names, with which arithmetic.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use llmd_tokenizer::ContentFormat;

use super::ConfigError;
use crate::args::ModelArgs;
use crate::args::number::Length;
use crate::kv_cache::KvDtype;

/// The model and how it is computed.
#[derive(Debug, Clone)]
pub struct ServedModel {
    /// Folder in Hugging Face layout.
    pub dir: PathBuf,
    /// As typed, for `/v1/models`.
    pub root: String,
    /// Names clients may use.
    pub served_names: ServedNames,
    /// Whether all arithmetic is in f32 instead of bf16 weights and activations.
    pub in_f32: bool,
    /// Element type of the KV cache; `None` follows the arithmetic.
    pub kv_dtype: Option<KvDtype>,
    /// Context in tokens; `None` is the model's own.
    pub max_model_len: Option<u32>,
    /// Where sampling defaults come from.
    pub generation: GenerationSource,
    /// Template or file instead of the model's.
    pub chat_template: Option<String>,
    /// Form of message content the template reads.
    pub content_format: ContentFormat,
    /// Compute threads; `None` is one a core.
    pub threads: Option<NonZeroUsize>,
}

/// Names of a model, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedNames {
    /// Written in responses and on metrics.
    pub first: String,
    /// Aliases.
    pub others: Vec<String>,
}

impl ServedNames {
    /// All of them, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.first).chain(&self.others).map(String::as_str)
    }

    /// The flag's names, or else the model as it was typed.
    fn new(names: Vec<String>, root: &str) -> Self {
        let mut names = names.into_iter();
        Self { first: names.next().unwrap_or_else(|| root.to_owned()), others: names.collect() }
    }
}

/// Where sampling defaults come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GenerationSource {
    /// The model folder.
    Model,
    /// Nowhere: OpenAI's defaults hold.
    None,
    /// Another folder.
    Folder(PathBuf),
}

pub(super) fn from_args(
    tag: Option<String>,
    args: ModelArgs,
    kv_dtype: Option<KvDtype>,
) -> Result<ServedModel, ConfigError> {
    let ModelArgs {
        model_flag,
        served_model_name,
        dtype,
        max_model_len,
        generation_config,
        chat_template,
        chat_template_content_format,
        threads,
        cpu_omp_threads_bind,
        omp_num_threads,
    } = args;
    let root = tag.or(model_flag).ok_or(ConfigError::NoModel)?;
    let in_f32 = match dtype.as_str() {
        "auto" | "bfloat16" => false,
        "float32" | "float" => true,
        other => {
            return Err(ConfigError::Unsupported {
                flag: "--dtype",
                what: format!("{other:?}; use auto, bfloat16 or float32"),
            });
        }
    };
    Ok(ServedModel {
        dir: PathBuf::from(&root),
        served_names: ServedNames::new(served_model_name, &root),
        root,
        in_f32,
        // Storing what was computed in f32 as bf16 would undo the wish for exactness.
        kv_dtype: kv_dtype.or(if in_f32 { Some(KvDtype::F32) } else { None }),
        max_model_len: context(max_model_len)?,
        generation: match generation_config.as_str() {
            "auto" => GenerationSource::Model,
            "vllm" => GenerationSource::None,
            folder => GenerationSource::Folder(folder.into()),
        },
        chat_template,
        content_format: match chat_template_content_format.as_str() {
            "string" => ContentFormat::String,
            "openai" => ContentFormat::Openai,
            _ => ContentFormat::Auto,
        },
        threads: n_threads(threads, cpu_omp_threads_bind.as_deref(), omp_num_threads.as_deref())?,
    })
}

fn context(length: Length) -> Result<Option<u32>, ConfigError> {
    match length {
        Length::Auto => Ok(None),
        Length::Tokens(tokens) => match u32::try_from(tokens) {
            Ok(tokens) if tokens >= 2 => Ok(Some(tokens)),
            _ => Err(ConfigError::Value {
                flag: "--max-model-len",
                problem: format!("{tokens} is no context; it must hold a prompt token and an answer token"),
            }),
        },
    }
}

/// The flag, then the number of cores vLLM would bind to, then the OpenMP variable. Values of the environment that
/// say nothing here are skipped, because they may be meant for other programs.
fn n_threads(
    flag: Option<usize>,
    bind: Option<&str>,
    omp: Option<&str>,
) -> Result<Option<NonZeroUsize>, ConfigError> {
    if let Some(threads) = flag {
        return NonZeroUsize::new(threads).map(Some).ok_or_else(|| ConfigError::Value {
            flag: "--threads",
            problem: "must be at least 1".to_owned(),
        });
    }
    let first = |list: &str| list.split(',').next().and_then(|it| it.trim().parse().ok());
    Ok(bind.and_then(n_cores).or_else(|| omp.and_then(first)).and_then(NonZeroUsize::new))
}

/// Cores in a list such as `0-3,8`, which vLLM separates by `|` for several ranks.
fn n_cores(list: &str) -> Option<usize> {
    let of_rank = list.split('|').next()?;
    of_rank.split(',').map(range_len).sum()
}

fn range_len(range: &str) -> Option<usize> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    last.checked_sub(first)?.checked_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_counted() {
        assert_eq!(n_cores("0-3,8"), Some(5));
        assert_eq!(n_cores("0-1|2-3"), Some(2));
        assert_eq!(n_cores("auto"), None);
        assert_eq!(n_cores("3-0"), None);
    }

    #[test]
    fn the_flag_wins_over_the_environment() {
        let n = |it| NonZeroUsize::new(it);
        assert_eq!(n_threads(Some(2), Some("0-7"), Some("4")), Ok(n(2)));
        assert_eq!(n_threads(None, Some("0-7"), Some("4")), Ok(n(8)));
        assert_eq!(n_threads(None, Some("nobind"), Some("4,2")), Ok(n(4)));
        assert_eq!(n_threads(None, None, None), Ok(None));
        assert!(n_threads(Some(0), None, None).is_err());
    }
}
