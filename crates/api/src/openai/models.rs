//! `GET /v1/models`.

use serde::Serialize;

/// A list of models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelList {
    /// Always `list`.
    pub object: &'static str,
    /// One card a served name.
    pub data: Vec<ModelCard>,
}

/// One served name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelCard {
    /// The served name.
    pub id: String,
    /// Always `model`.
    pub object: &'static str,
    /// Unix seconds.
    pub created: u64,
    /// Owner, as vLLM reports it.
    pub owned_by: &'static str,
    /// Where the weights came from.
    pub root: String,
    /// Base model of an adapter.
    pub parent: Option<String>,
    /// Context length in tokens; absent for adapters.
    pub max_model_len: Option<u32>,
    /// One permission object.
    pub permission: Vec<ModelPermission>,
}

/// What clients may do with a model; constant, kept for old clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the shape is OpenAI's")]
#[expect(missing_docs, reason = "the fields say what they are and never vary")]
pub struct ModelPermission {
    pub id: String,
    pub object: &'static str,
    pub created: u64,
    pub allow_create_engine: bool,
    pub allow_sampling: bool,
    pub allow_logprobs: bool,
    pub allow_search_indices: bool,
    pub allow_view: bool,
    pub allow_fine_tuning: bool,
    pub organization: &'static str,
    pub group: Option<String>,
    pub is_blocking: bool,
}

impl ModelCard {
    /// The card of a base model.
    #[must_use]
    pub fn base(id: &str, root: &str, created: u64, max_model_len: u32) -> Self {
        Self {
            id: id.to_owned(),
            object: "model",
            created,
            owned_by: "vllm",
            root: root.to_owned(),
            parent: None,
            max_model_len: Some(max_model_len),
            permission: vec![ModelPermission {
                id: format!("modelperm-{id}"),
                object: "model_permission",
                created,
                allow_create_engine: false,
                allow_sampling: true,
                allow_logprobs: true,
                allow_search_indices: false,
                allow_view: true,
                allow_fine_tuning: false,
                organization: "*",
                group: None,
                is_blocking: false,
            }],
        }
    }
}
