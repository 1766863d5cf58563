use serde_json::{Value, json};

use super::*;

/// A Llama configuration as transformers 4 writes it.
fn llama() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 512, "hidden_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 160,
        "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_theta": 500000.0,
        "rope_scaling": null, "tie_word_embeddings": true, "attention_bias": false, "eos_token_id": [3, 1],
        "bos_token_id": 0, "torch_dtype": "bfloat16", "head_dim": null, "quantization_config": null
    })
}

fn with(changes: &Value) -> Result<ModelConfig, ConfigError> {
    let mut config = llama();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    ModelConfig::from_json(&config.to_string())
}

#[track_caller]
fn refused(changes: &Value, message: &str) {
    let error = with(changes).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn transformers_4_form() {
    let config = with(&json!({})).unwrap();
    assert_eq!(config.heads, HeadShape { n_heads: 4, n_kv_heads: 2, head_dim: 16 });
    assert_eq!(config.rope_theta, 500_000.0);
    assert_eq!(config.rope_scaling, RopeScaling::None);
    assert_eq!(config.dtype, ElementType::Bf16);
    assert_eq!(config.eos_token_ids, [3, 1]);
    assert!(config.tie_word_embeddings && !config.qkv_bias && !config.qk_norm);
}

#[test]
fn transformers_5_form() {
    let config = with(&json!({
        "torch_dtype": null, "dtype": "float16", "rope_theta": null, "eos_token_id": 7,
        "rope_parameters": {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
                            "high_freq_factor": 4.0, "original_max_position_embeddings": 128},
    }))
    .unwrap();
    assert_eq!(config.dtype, ElementType::F16);
    assert_eq!(config.rope_theta, 10_000.0);
    assert_eq!(config.eos_token_ids, [7]);
    let expected = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context: 128.0,
    };
    assert_eq!(config.rope_scaling, expected);
}

#[test]
fn the_older_name_of_the_rope_type() {
    let config = with(&json!({"rope_scaling": {"type": "linear", "factor": 2.0}})).unwrap();
    assert_eq!(config.rope_scaling, RopeScaling::Linear { factor: 2.0 });
}

#[test]
fn architectures_differ_in_bias_and_head_norms() {
    let qwen2 = with(&json!({"architectures": ["Qwen2ForCausalLM"], "use_sliding_window": false})).unwrap();
    assert!(qwen2.qkv_bias && !qwen2.output_bias && !qwen2.qk_norm);
    let qwen3 = with(&json!({"architectures": ["Qwen3ForCausalLM"], "head_dim": 32})).unwrap();
    assert!(!qwen3.qkv_bias && qwen3.qk_norm && qwen3.heads.head_dim == 32);
    let biased = with(&json!({"attention_bias": true, "mlp_bias": true})).unwrap();
    assert!(biased.qkv_bias && biased.output_bias && biased.mlp_bias);
}

#[test]
fn the_cache_follows_the_weights() {
    assert_eq!(with(&json!({})).unwrap().kv_layout(16, None).dtype, KvDtype::Bf16);
    assert_eq!(with(&json!({"torch_dtype": "float32"})).unwrap().kv_layout(16, None).dtype, KvDtype::F32);
    assert_eq!(with(&json!({})).unwrap().kv_layout(16, Some(KvDtype::F32)).dtype, KvDtype::F32);
}

#[test]
fn what_is_not_supported_is_named() {
    refused(
        &json!({"architectures": ["MixtralForCausalLM"]}),
        "architecture \"MixtralForCausalLM\" is not supported; supported are LlamaForCausalLM, Qwen2",
    );
    refused(&json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}), "rope type \"yarn\"");
    refused(&json!({"quantization_config": {"quant_method": "fp8"}}), "\"fp8\"");
    refused(&json!({"hidden_act": "gelu"}), "hidden_act \"gelu\"");
    refused(&json!({"use_sliding_window": true}), "use_sliding_window");
    refused(&json!({"layer_types": ["full_attention", "sliding_attention"]}), "sliding_attention");
    refused(&json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor 0.5");
    refused(&json!({"torch_dtype": "float8_e4m3fn"}), "float8_e4m3fn");
}

#[test]
fn values_that_cannot_be_are_refused() {
    refused(&json!({"hidden_size": 0}), "hidden_size is 0");
    refused(&json!({"hidden_size": usize::MAX}), "hidden_size");
    refused(&json!({"vocab_size": null}), "vocab_size is missing");
    refused(&json!({"num_key_value_heads": 3}), "does not divide");
    refused(&json!({"head_dim": 15}), "odd");
    refused(&json!({"rope_theta": 0.0}), "rope_theta");
    refused(&json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}), "low_freq_factor is missing");
}
