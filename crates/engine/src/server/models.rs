//! Served names, and `GET /v1/models`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use llmd_api::openai::models::{ModelCard, ModelList};

use super::error::ApiError;
use super::generate::unix_seconds;
use super::state::App;
use crate::config::ServedNames;

/// Names of the served model.
#[derive(Debug, Clone)]
pub struct Models {
    names: ServedNames,
    any_name: bool,
    list: ModelList,
}

impl Models {
    /// A model under `names`. With `any_name`, requests may name anything.
    #[must_use]
    pub fn new(names: ServedNames, any_name: bool, root: &str, max_model_len: u32) -> Self {
        let created = unix_seconds();
        let data = names.iter().map(|it| ModelCard::base(it, root, created, max_model_len)).collect();
        Self { list: ModelList { object: "list", data }, names, any_name }
    }

    /// The name written in responses.
    #[must_use]
    pub fn first(&self) -> &str {
        &self.names.first
    }

    /// Whether a request for `name` is for this model. None and an empty name are.
    ///
    /// # Errors
    /// [`ApiError::UnknownModel`] naming what is served.
    pub fn check(&self, name: Option<&str>) -> Result<(), ApiError> {
        let Some(name) = name.filter(|it| !it.is_empty() && !self.any_name) else { return Ok(()) };
        if self.names.iter().any(|it| it == name) {
            return Ok(());
        }
        let served = self.names.iter().map(str::to_owned).collect();
        Err(ApiError::UnknownModel { name: name.to_owned(), served })
    }
}

/// `GET /v1/models`.
pub async fn list(State(app): State<Arc<App>>) -> Result<Json<ModelList>, ApiError> {
    Ok(Json(app.serving()?.models.list.clone()))
}
