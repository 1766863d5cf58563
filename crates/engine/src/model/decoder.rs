//! The decoder that all known architectures share, written against [`Backend`].
//!
//! ```text
//! hidden = embed(tokens)
//! each layer:  hidden += o(attention(rope(qkv(norm(hidden)))))
//!              hidden += down(silu(gate(norm(hidden))) * up(norm(hidden)))
//! logits = head(norm(hidden))
//! ```
//!
//! A layer knows no device and no checkpoint format; tensor names are those of Hugging Face checkpoints.

use super::config::ModelConfig;
use crate::backend::{Backend, HeadNorms};
use crate::runner::{Logits, RunnerError};
use crate::step::StepPlan;
use crate::weights::{LoadError, Loader};

/// A model on a device.
#[derive(Debug)]
pub struct Decoder<B: Backend> {
    embedding: B::Matrix,
    layers: Vec<Layer<B>>,
    norm: B::Vector,
    /// `None` when the embedding serves.
    head: Option<B::Matrix>,
    activations: Activations<B::Buffer>,
}

#[derive(Debug)]
struct Layer<B: Backend> {
    attention_norm: B::Vector,
    qkv: B::Matrix,
    head_norms: Option<HeadNorms<B::Vector>>,
    output: B::Matrix,
    mlp_norm: B::Vector,
    gate_up: B::Matrix,
    down: B::Matrix,
}

/// Intermediate results of a step, allocated once.
#[derive(Debug)]
struct Activations<T> {
    /// The residual stream.
    hidden: T,
    normed: T,
    qkv: T,
    attended: T,
    gate_up: T,
}

impl<B: Backend> Decoder<B> {
    /// Moves the weights to `backend`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape, or memory runs out.
    pub fn load(config: &ModelConfig, backend: &mut B, loader: &mut Loader<'_>) -> Result<Self, LoadError> {
        let hidden = config.hidden_size;
        let embedding =
            loader.matrix(backend, &[("model.embed_tokens", config.vocab_size)], hidden, false)?;
        let layers = (0..config.n_layers)
            .map(|layer| Layer::load(config, layer, backend, loader))
            .collect::<Result<_, _>>()?;
        let norm = loader.vector(backend, "model.norm.weight", hidden)?;
        let head = if config.tie_word_embeddings {
            None
        } else {
            Some(loader.matrix(backend, &[("lm_head", config.vocab_size)], hidden, false)?)
        };
        let activations = Activations {
            hidden: backend.buffer(hidden)?,
            normed: backend.buffer(hidden)?,
            qkv: backend.buffer(config.heads.qkv_cols())?,
            attended: backend.buffer(config.heads.q_cols())?,
            gate_up: backend.buffer(2 * config.intermediate_size)?,
        };
        Ok(Self { embedding, layers, norm, head, activations })
    }

    /// Computes a step.
    ///
    /// # Errors
    /// See [`Backend::begin`] and [`Backend::logits`].
    pub fn forward(
        &mut self,
        backend: &mut B,
        plan: &StepPlan,
        logits: &mut Logits,
    ) -> Result<(), RunnerError> {
        let Activations { hidden, normed, qkv, attended, gate_up } = &mut self.activations;
        backend.begin(plan)?;
        backend.embed(&self.embedding, hidden);
        for (index, layer) in self.layers.iter().enumerate() {
            backend.rms_norm(hidden, &layer.attention_norm, normed);
            backend.linear(normed, &layer.qkv, qkv);
            backend.rope_and_cache(index, qkv, layer.head_norms.as_ref());
            backend.attention(index, qkv, attended);
            backend.linear_add(attended, &layer.output, hidden);
            backend.rms_norm(hidden, &layer.mlp_norm, normed);
            backend.gated_mlp(normed, &layer.gate_up, &layer.down, gate_up, hidden);
        }
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        backend.logits(hidden, &self.norm, head, normed, logits)
    }
}

impl<B: Backend> Layer<B> {
    fn load(
        config: &ModelConfig,
        layer: usize,
        backend: &mut B,
        loader: &mut Loader<'_>,
    ) -> Result<Self, LoadError> {
        let prefix = format!("model.layers.{layer}");
        let attention = |part: &str| format!("{prefix}.self_attn.{part}");
        let mlp = |part: &str| format!("{prefix}.mlp.{part}");
        let ModelConfig { hidden_size, intermediate_size, heads, .. } = *config;
        let qkv = [
            (&*attention("q_proj"), heads.q_cols()),
            (&*attention("k_proj"), heads.kv_cols()),
            (&*attention("v_proj"), heads.kv_cols()),
        ];
        let gate_up = [(&*mlp("gate_proj"), intermediate_size), (&*mlp("up_proj"), intermediate_size)];
        let head_norms = if config.qk_norm {
            Some(HeadNorms {
                q: loader.vector(backend, &attention("q_norm.weight"), heads.head_dim)?,
                k: loader.vector(backend, &attention("k_norm.weight"), heads.head_dim)?,
            })
        } else {
            None
        };
        Ok(Self {
            attention_norm: loader.vector(
                backend,
                &format!("{prefix}.input_layernorm.weight"),
                hidden_size,
            )?,
            qkv: loader.matrix(backend, &qkv, hidden_size, config.qkv_bias)?,
            head_norms,
            output: loader.matrix(
                backend,
                &[(&attention("o_proj"), hidden_size)],
                heads.q_cols(),
                config.output_bias,
            )?,
            mlp_norm: loader.vector(
                backend,
                &format!("{prefix}.post_attention_layernorm.weight"),
                hidden_size,
            )?,
            gate_up: loader.matrix(backend, &gate_up, hidden_size, config.mlp_bias)?,
            down: loader.matrix(
                backend,
                &[(&mlp("down_proj"), hidden_size)],
                intermediate_size,
                config.mlp_bias,
            )?,
        })
    }
}
