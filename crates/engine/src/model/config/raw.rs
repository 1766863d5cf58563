//! `config.json` as it is written, and its check.

use llmd_kernels::ElementType;
use llmd_kernels::rope::HeadShape;
use serde::Deserialize;
use serde_json::Value;

use super::{ConfigError, ModelConfig, TokenIds};
use crate::model::registry::{self, Architecture, Bias};
use crate::model::rope::RopeScaling;

/// The fields with a meaning here. `null` is the same as absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawConfig {
    architectures: Option<Vec<String>>,
    model_type: Option<String>,
    vocab_size: Option<usize>,
    hidden_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    intermediate_size: Option<usize>,
    max_position_embeddings: Option<usize>,
    rms_norm_eps: Option<f32>,
    hidden_act: Option<String>,
    rope_theta: Option<f64>,
    rope_scaling: Option<RawRope>,
    rope_parameters: Option<RawRope>,
    partial_rotary_factor: Option<f64>,
    tie_word_embeddings: Option<bool>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    use_sliding_window: Option<bool>,
    layer_types: Option<Vec<String>>,
    quantization_config: Option<Value>,
    eos_token_id: Option<TokenIds>,
    bos_token_id: Option<u32>,
    dtype: Option<String>,
    torch_dtype: Option<String>,
}

/// `rope_scaling` (version 4) or `rope_parameters` (version 5).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawRope {
    rope_type: Option<String>,
    /// The older name of `rope_type`.
    r#type: Option<String>,
    rope_theta: Option<f64>,
    partial_rotary_factor: Option<f64>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
}

impl RawConfig {
    /// The checked configuration.
    pub(super) fn check(self) -> Result<ModelConfig, ConfigError> {
        let architecture = self.architecture()?;
        self.refuse_missing_features(architecture.name)?;
        let configured = self.attention_bias.unwrap_or(false);
        let has_bias = |bias| match bias {
            Bias::Never => false,
            Bias::Always => true,
            Bias::AsConfigured => configured,
        };
        let config = ModelConfig {
            architecture: architecture.name,
            hidden_size: positive("hidden_size", self.hidden_size)?,
            n_layers: positive("num_hidden_layers", self.num_hidden_layers)?,
            heads: self.heads()?,
            intermediate_size: positive("intermediate_size", self.intermediate_size)?,
            vocab_size: positive("vocab_size", self.vocab_size)?,
            max_position_embeddings: positive("max_position_embeddings", self.max_position_embeddings)?,
            rms_norm_eps: self.rms_norm_eps.unwrap_or(1e-6),
            rope_theta: self.rope_theta()?,
            rope_scaling: self.rope_scaling(architecture.name)?,
            tie_word_embeddings: self.tie_word_embeddings.unwrap_or(false),
            qkv_bias: has_bias(architecture.qkv_bias),
            output_bias: has_bias(architecture.output_bias),
            mlp_bias: architecture.mlp_bias && self.mlp_bias.unwrap_or(false),
            qk_norm: architecture.qk_norm,
            bos_token_id: self.bos_token_id,
            dtype: self.dtype(architecture.name)?,
            eos_token_ids: self.eos_token_id.map(TokenIds::into_vec).unwrap_or_default(),
        };
        Ok(config)
    }

    fn architecture(&self) -> Result<Architecture, ConfigError> {
        let name = match self.architectures.as_deref() {
            Some([name, ..]) => name.clone(),
            // Some tools leave `architectures` out; the model type is unambiguous for the known ones.
            _ => match self.model_type.as_deref() {
                Some("llama") => "LlamaForCausalLM".to_owned(),
                Some("qwen2") => "Qwen2ForCausalLM".to_owned(),
                Some("qwen3") => "Qwen3ForCausalLM".to_owned(),
                other => other.unwrap_or("unknown").to_owned(),
            },
        };
        registry::find(&name).ok_or(ConfigError::Architecture { found: name })
    }

    /// Refuses, by name, settings that would change the answer and that no architecture here supports.
    fn refuse_missing_features(&self, architecture: &'static str) -> Result<(), ConfigError> {
        let refuse = |feature: String| Err(ConfigError::Feature { architecture, feature });
        if let Some(quantization) = &self.quantization_config {
            let method = quantization.get("quant_method").and_then(Value::as_str).unwrap_or("unknown");
            return refuse(format!("quantization_config (quant_method {method:?})"));
        }
        if let Some(activation) = self.hidden_act.as_deref().filter(|&it| it != "silu") {
            return refuse(format!("hidden_act {activation:?}"));
        }
        if self.use_sliding_window == Some(true) {
            return refuse("use_sliding_window".to_owned());
        }
        let layer_types = self.layer_types.as_deref().unwrap_or_default();
        if let Some(layer_type) = layer_types.iter().find(|&it| it != "full_attention") {
            return refuse(format!("layer type {layer_type:?}"));
        }
        let partial = [self.partial_rotary_factor, self.rope().and_then(|it| it.partial_rotary_factor)];
        if let Some(factor) = partial.into_iter().flatten().find(|&it| it != 1.0) {
            return refuse(format!("partial_rotary_factor {factor}"));
        }
        Ok(())
    }

    fn heads(&self) -> Result<HeadShape, ConfigError> {
        let n_heads = positive("num_attention_heads", self.num_attention_heads)?;
        let n_kv_heads = positive("num_key_value_heads", self.num_key_value_heads.or(Some(n_heads)))?;
        let head_dim =
            positive("head_dim", self.head_dim.or_else(|| self.hidden_size.map(|it| it / n_heads)))?;
        if !n_heads.is_multiple_of(n_kv_heads) {
            return wrong(
                "num_key_value_heads",
                format!("is {n_kv_heads}, which does not divide {n_heads} heads"),
            );
        }
        if !head_dim.is_multiple_of(2) {
            return wrong("head_dim", format!("is {head_dim}, which is odd"));
        }
        Ok(HeadShape { n_heads, n_kv_heads, head_dim })
    }

    fn rope(&self) -> Option<&RawRope> {
        self.rope_parameters.as_ref().or(self.rope_scaling.as_ref())
    }

    fn rope_theta(&self) -> Result<f64, ConfigError> {
        let theta = self.rope().and_then(|it| it.rope_theta).or(self.rope_theta).unwrap_or(10_000.0);
        if theta > 1.0 && theta.is_finite() {
            Ok(theta)
        } else {
            wrong("rope_theta", format!("is {theta}, which is not above 1"))
        }
    }

    fn rope_scaling(&self, architecture: &'static str) -> Result<RopeScaling, ConfigError> {
        let Some(rope) = self.rope() else { return Ok(RopeScaling::None) };
        match rope.rope_type.as_deref().or(rope.r#type.as_deref()) {
            None | Some("default") => Ok(RopeScaling::None),
            Some("linear") => Ok(RopeScaling::Linear { factor: factor("factor", rope.factor)? }),
            Some("llama3") => {
                let low_freq_factor = factor("low_freq_factor", rope.low_freq_factor)?;
                let high_freq_factor = factor("high_freq_factor", rope.high_freq_factor)?;
                if high_freq_factor <= low_freq_factor {
                    return wrong(
                        "high_freq_factor",
                        format!("is not above low_freq_factor {low_freq_factor}"),
                    );
                }
                let original = rope.original_max_position_embeddings;
                Ok(RopeScaling::Llama3 {
                    factor: factor("factor", rope.factor)?,
                    low_freq_factor,
                    high_freq_factor,
                    original_context: factor("original_max_position_embeddings", original)?,
                })
            }
            Some(other) => {
                Err(ConfigError::Feature { architecture, feature: format!("rope type {other:?}") })
            }
        }
    }

    fn dtype(&self, architecture: &'static str) -> Result<ElementType, ConfigError> {
        let name = self.dtype.as_deref().or(self.torch_dtype.as_deref()).unwrap_or("float32");
        [ElementType::Bf16, ElementType::F16, ElementType::F32]
            .into_iter()
            .find(|it| it.name() == name.trim_start_matches("torch."))
            .ok_or_else(|| ConfigError::Feature { architecture, feature: format!("dtype {name:?}") })
    }
}

/// A size that must be there. The bound keeps products of sizes far from overflow.
fn positive(field: &'static str, value: Option<usize>) -> Result<usize, ConfigError> {
    match value {
        Some(value @ 1..=0xFFF_FFFF) => Ok(value),
        Some(value) => wrong(field, format!("is {value}, which is not a size")),
        None => wrong(field, "is missing".to_owned()),
    }
}

/// A factor of the rotary embedding that must be there.
fn factor(field: &'static str, value: Option<f64>) -> Result<f64, ConfigError> {
    match value {
        Some(value) if value > 0.0 && value.is_finite() => Ok(value),
        Some(value) => wrong(field, format!("is {value}, which is not a positive number")),
        None => wrong(field, "is missing".to_owned()),
    }
}

fn wrong<T>(field: &'static str, problem: String) -> Result<T, ConfigError> {
    Err(ConfigError::Value { field, problem })
}
