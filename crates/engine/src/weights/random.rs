//! Random weights of any shape, made as they are asked for: to measure speed without a download.
//!
//! Every tensor is cut from one megabyte of noise at a place that its name decides, and scaled: making half a
//! billion numbers one by one would take longer than measuring with them.

use std::borrow::Cow;

use half::bf16;
use llmd_kernels::ElementType;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::{LoadError, Tensor, TensorSource};
use crate::model::ModelConfig;

/// A checkpoint of random bf16 weights for a model's shape.
#[derive(Debug)]
pub struct RandomWeights {
    config: ModelConfig,
    /// Even distribution in -1.7..1.7, which has a standard deviation of 1.
    noise: Vec<f32>,
}

/// Elements of noise. Odd, so that the rows of a matrix differ.
const NOISE: usize = (1 << 18) + 1;

impl RandomWeights {
    /// Weights for `config`.
    #[must_use]
    pub fn new(config: ModelConfig) -> Self {
        let mut rng = SmallRng::seed_from_u64(0);
        Self { config, noise: (0..NOISE).map(|_| rng.random_range(-1.7..1.7)).collect() }
    }

    /// The shape of a tensor, by the end of its name.
    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let ModelConfig { hidden_size, intermediate_size, vocab_size, heads, .. } = self.config;
        let (layer, kind) = name.rsplit_once('.')?;
        let (outputs, inputs) = match layer.rsplit('.').next()? {
            "embed_tokens" | "lm_head" => (vocab_size, hidden_size),
            "q_proj" => (heads.q_cols(), hidden_size),
            "k_proj" | "v_proj" => (heads.kv_cols(), hidden_size),
            "o_proj" => (hidden_size, heads.q_cols()),
            "gate_proj" | "up_proj" => (intermediate_size, hidden_size),
            "down_proj" => (hidden_size, intermediate_size),
            "q_norm" | "k_norm" => return Some(vec![heads.head_dim]),
            "input_layernorm" | "post_attention_layernorm" | "norm" => return Some(vec![hidden_size]),
            _ => return None,
        };
        match kind {
            "weight" => Some(vec![outputs, inputs]),
            "bias" => Some(vec![outputs]),
            _ => None,
        }
    }
}

impl TensorSource for RandomWeights {
    fn tensor(&self, name: &str) -> Result<Tensor<'_>, LoadError> {
        let shape = self.shape(name).ok_or_else(|| LoadError::Missing { name: name.to_owned() })?;
        let elements: usize = shape.iter().product();
        // Scaled by the inputs, so that activations keep their size through any number of layers.
        let scale = (shape.last().copied().unwrap_or(1) as f32).sqrt().recip();
        let scaled: Vec<_> = self.noise.iter().map(|it| bf16::from_f32(it * scale)).collect();
        let place = name.bytes().fold(0_usize, |place, byte| (place * 31 + usize::from(byte)) % NOISE);
        let mut bytes = vec![0; 2 * elements];
        let mut rest = bytes.as_mut_slice();
        let mut noise = &scaled[place..];
        while !rest.is_empty() {
            let n = noise.len().min(rest.len() / 2);
            let (head, tail) = rest.split_at_mut(2 * n);
            head.copy_from_slice(bytemuck::cast_slice(&noise[..n]));
            (rest, noise) = (tail, &scaled);
        }
        Ok(Tensor { element_type: ElementType::Bf16, shape, bytes: Cow::Owned(bytes) })
    }

    fn total_bytes(&self) -> u64 {
        let ModelConfig { hidden_size, intermediate_size, vocab_size, heads, n_layers, .. } = self.config;
        let layer = hidden_size * (heads.qkv_cols() + heads.q_cols() + 3 * intermediate_size);
        let heads_and_tables = if self.config.tie_word_embeddings { 1 } else { 2 };
        2 * (n_layers * layer + heads_and_tables * vocab_size * hidden_size) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_have_the_shapes_of_the_model_and_differ() {
        let config = ModelConfig::from_json(
            r#"{"architectures": ["Qwen2ForCausalLM"], "hidden_size": 8, "num_hidden_layers": 2,
                "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 12, "vocab_size": 20,
                "max_position_embeddings": 16, "tie_word_embeddings": true}"#,
        )
        .unwrap();
        let weights = RandomWeights::new(config);
        let shape = |name| weights.tensor(name).unwrap().shape;
        assert_eq!(shape("model.layers.1.self_attn.k_proj.weight"), [4, 8]);
        assert_eq!(shape("model.layers.1.self_attn.k_proj.bias"), [4]);
        assert_eq!(shape("model.layers.0.mlp.down_proj.weight"), [8, 12]);
        assert_eq!(shape("model.norm.weight"), [8]);
        assert!(matches!(weights.tensor("model.other.weight"), Err(LoadError::Missing { .. })));
        let bytes = |name| weights.tensor(name).unwrap().bytes.into_owned();
        assert_ne!(bytes("model.layers.0.mlp.up_proj.weight"), bytes("model.layers.1.mlp.up_proj.weight"));
        assert_eq!(bytes("model.norm.weight"), bytes("model.norm.weight"));
    }

    #[test]
    fn large_tensors_repeat_the_noise_whole() {
        let config = ModelConfig::from_json(
            r#"{"architectures": ["LlamaForCausalLM"], "hidden_size": 1024, "num_hidden_layers": 1,
                "num_attention_heads": 4, "intermediate_size": 1024, "vocab_size": 600,
                "max_position_embeddings": 16}"#,
        )
        .unwrap();
        let weights = RandomWeights::new(config);
        let bytes = weights.tensor("lm_head.weight").unwrap().bytes;
        assert_eq!(bytes.len(), 2 * 600 * 1024);
        assert_eq!(bytes[..100], bytes[2 * NOISE..][..100]);
    }
}
