//! What a model folder must hold, and what is said when it does not.

use std::fs;

use llmd_engine::kv_cache::KvDtype;
use llmd_engine::runner::ModelRunner;
use llmd_kernels::ElementType;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{RunnerOptions, Sequence, llmd_tiny, load, options, run};
use llmd_engine::step::LogitRows;

/// The demo model with changes to its `config.json`.
fn changed(changes: &Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(llmd_tiny().join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    std::os::unix::fs::symlink(
        llmd_tiny().join("model.safetensors"),
        folder.path().join("model.safetensors"),
    )
    .unwrap();
    folder
}

#[track_caller]
fn refused(changes: &Value, message: &str) {
    let folder = changed(changes);
    let error = ModelRunner::load(folder.path(), options(KvDtype::F32), &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains(message), "{error}");
}

#[test]
fn progress_grows_to_one() {
    let mut seen = vec![0.0];
    ModelRunner::load(&llmd_tiny(), options(KvDtype::F32), &mut |it| seen.push(it)).unwrap();
    assert!(seen.len() > 40 && seen.is_sorted() && seen.last() == Some(&1.0), "{seen:?}");
}

#[test]
fn configuration_and_weights_must_agree() {
    refused(&json!({"tie_word_embeddings": false}), "no tensor \"lm_head.weight\"");
    refused(&json!({"attention_bias": true}), "no tensor \"model.layers.0.self_attn.q_proj.bias\"");
    refused(&json!({"num_hidden_layers": 7}), "no tensor \"model.layers.6.");
    refused(&json!({"intermediate_size": 577}), "\"model.layers.0.mlp.gate_proj.weight\" is [576, 192]");
    refused(&json!({"architectures": ["GPT2LMHeadModel"]}), "\"GPT2LMHeadModel\" is not supported");
}

#[test]
fn a_folder_without_generation_config_has_no_defaults() {
    let folder = changed(&json!({}));
    let runner = ModelRunner::load(folder.path(), options(KvDtype::F32), &mut |_| ()).unwrap();
    assert!(runner.generation_config().eos_token_ids.is_none());
    let runner = load(&llmd_tiny(), options(KvDtype::F32));
    assert_eq!(runner.generation_config().eos_token_ids.clone().unwrap().into_vec(), [3, 1]);
}

#[test]
fn weights_stored_wider_give_the_same_logits_and_narrower_nearly_so() {
    let prompt = [0, 2, 1175, 203, 44, 407, 83, 3];
    let logits = |weight_dtype| {
        let mut runner =
            load(&llmd_tiny(), RunnerOptions { weight_dtype: Some(weight_dtype), ..options(KvDtype::F32) });
        run(&mut runner, vec![Sequence::new(&prompt, 1).step(8, LogitRows::Last)]).values
    };
    let stored = logits(ElementType::Bf16);
    assert!(stored == logits(ElementType::F32));
    for (a, b) in stored.iter().zip(logits(ElementType::F16)) {
        assert!((a - b).abs() < 0.05, "{a} {b}");
    }
}
