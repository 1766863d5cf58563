//! The architectures this engine runs. Adding one that is a dense decoder is adding a row here.

/// Where a bias of a linear layer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bias {
    /// Never there.
    Never,
    /// Always there.
    Always,
    /// As `attention_bias` in the configuration says.
    AsConfigured,
}

/// How an architecture differs from the others. All are pre-norm decoders with grouped-query attention, half-split
/// rotary embedding and a SiLU-gated MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    /// The value of `architectures` in `config.json`.
    pub name: &'static str,
    /// Bias of the query, key and value projections.
    pub qkv_bias: Bias,
    /// Bias of the attention's output projection.
    pub output_bias: Bias,
    /// Whether `mlp_bias` in the configuration has a meaning.
    pub mlp_bias: bool,
    /// Whether each query and key head is normalised before the rotation.
    pub qk_norm: bool,
}

/// All known architectures.
pub const ARCHITECTURES: [Architecture; 3] = [
    Architecture {
        name: "LlamaForCausalLM",
        qkv_bias: Bias::AsConfigured,
        output_bias: Bias::AsConfigured,
        mlp_bias: true,
        qk_norm: false,
    },
    Architecture {
        name: "Qwen2ForCausalLM",
        qkv_bias: Bias::Always,
        output_bias: Bias::Never,
        mlp_bias: false,
        qk_norm: false,
    },
    Architecture {
        name: "Qwen3ForCausalLM",
        qkv_bias: Bias::AsConfigured,
        output_bias: Bias::AsConfigured,
        mlp_bias: false,
        qk_norm: true,
    },
];

/// The architecture of that name.
#[must_use]
pub fn find(name: &str) -> Option<Architecture> {
    ARCHITECTURES.into_iter().find(|it| it.name == name)
}

/// The known names, for error messages.
#[must_use]
pub fn names() -> String {
    ARCHITECTURES.map(|it| it.name).join(", ")
}
