//! 0.9.0: prefix scoring is a pipeline. A producer finds matches, `prefix-cache-scorer` scores them; the precise
//! scorer, which did everything, becomes tokens → matches → scores with the tokens from the service's tokenizer.

use serde_json::{Map, Value, json};

use super::document::{self, Plugin};
use super::{PRECISE_SCORER, PREFIX_SCORER, Step, Surroundings, Version};

pub(super) const STEP: Step = Step { since: Version(0, 9, 0), flags: &[], apply };

const TOKENS: &str = "token-producer";
const PRECISE_PRODUCER: &str = "precise-prefix-cache-producer";
const MATCHES_FROM: &str = "prefixMatchInfoProducerName";
/// Where the tokenizer mounts the model.
const MODEL: &str = "/mnt/models/base";

fn apply(config: &mut Value, surroundings: &Surroundings<'_>) {
    if config["apiVersion"] == "inference.networking.x-k8s.io/v1alpha1" {
        config["apiVersion"] = "llm-d.ai/v1alpha1".into();
    }
    document::plugins_mut(config).for_each(keep_producer_name);
    if let Some(url) = surroundings.tokenizer_url {
        split_precise_scorer(config);
        document::plugins_mut(config)
            .filter(|it| document::is_type(it, TOKENS))
            .for_each(|it| complete(it, url));
    }
}

/// What else the scorer was told is the producer's business now.
fn keep_producer_name(plugin: &mut Plugin) {
    if !document::is_type(plugin, PREFIX_SCORER) {
        return;
    }
    let producer = document::take_parameter(plugin, MATCHES_FROM);
    plugin.shift_remove("parameters");
    if let Some(producer) = producer {
        plugin.insert("parameters".to_owned(), json!({ MATCHES_FROM: producer }));
    }
}

fn split_precise_scorer(config: &mut Value) {
    let Some(position) = document::position(config, PRECISE_SCORER) else { return };
    let Some(precise) = document::plugin_mut(config, PRECISE_SCORER) else { return };
    let parameters = precise.shift_remove("parameters");
    document::rename_type(config, PRECISE_SCORER, PREFIX_SCORER);
    document::plugins_mut(config).for_each(keep_producer_name);
    let scorers = document::plugins_mut(config).filter(|it| document::is_type(it, PREFIX_SCORER));
    for parameters in scorers.filter_map(document::parameters_mut) {
        parameters.insert(MATCHES_FROM.to_owned(), PRECISE_PRODUCER.into());
    }
    if !document::has_plugin(config, PRECISE_PRODUCER) {
        document::insert_plugin(config, position, PRECISE_PRODUCER);
        let producer = document::plugin_mut(config, PRECISE_PRODUCER).and_then(document::parameters_mut);
        if let (Some(producer), Some(Value::Object(parameters))) = (producer, parameters) {
            *producer = without_tokenizers(parameters);
        }
    }
    if !document::has_plugin(config, TOKENS) {
        document::insert_plugin(config, position, TOKENS);
    }
}

/// The precise scorer's parameters without its own tokenizers.
fn without_tokenizers(mut parameters: Map<String, Value>) -> Map<String, Value> {
    let indexer = parameters.get_mut("indexerConfig").and_then(Value::as_object_mut);
    if let Some(indexer) = indexer {
        indexer.shift_remove("tokenizersPoolConfig");
        if indexer.is_empty() {
            parameters.shift_remove("indexerConfig");
        }
    }
    parameters
}

/// Fills in the model and the tokenizer's URL. A producer that estimates was told not to ask a tokenizer.
fn complete(producer: &mut Plugin, url: &str) {
    let Some(parameters) = document::parameters_mut(producer) else { return };
    parameters.entry("modelName").or_insert_with(|| MODEL.into());
    if !parameters.contains_key("estimate") {
        let vllm = parameters.entry("vllm").or_insert_with(|| json!({}));
        if let Some(vllm) = vllm.as_object_mut() {
            vllm.entry("url").or_insert_with(|| url.into());
        }
    }
}
