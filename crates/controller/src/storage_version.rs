//! Migration of stored objects to the current version: every service and config is written once unchanged, which makes
//! the API server store it anew, and then the CRD forgets its older versions.
//!
//! Runs while this process leads. An installation that stores only the current version costs one request a CRD.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::{Client, ResourceExt};
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceConfig};
use llmd_common::backoff::Backoff;
use llmd_common::report::Report;
use serde::Deserialize;
use serde_json::json;

use crate::apply::FIELD_MANAGER;
use crate::part::part_of;

/// Objects read at a time.
const PAGE: u32 = 200;
/// First delay after a failure.
const FIRST_RETRY: Duration = Duration::from_secs(2);

/// Why stored objects stay as they are.
#[derive(Debug, thiserror::Error)]
#[error("cannot migrate {resource}")]
pub struct MigrationError {
    resource: String,
    #[source]
    source: Box<kube::Error>,
}

impl MigrationError {
    /// Whether another attempt can help. What is forbidden stays forbidden.
    fn retry(&self) -> bool {
        !matches!(&*self.source, kube::Error::Api(status) if matches!(status.code, 401 | 403))
    }
}

/// Migrates both kinds, with attempts at most `interval` apart, for at most `timeout`.
pub async fn migrate(client: Client, timeout: Duration, interval: Duration) {
    let attempts = async {
        let mut backoff = Backoff::new(FIRST_RETRY.min(interval), interval);
        while let Err(error) = migrate_all(&client).await {
            if !error.retry() {
                tracing::error!(error = %Report(&error), "stored objects keep their version");
                return;
            }
            tracing::warn!(error = %Report(&error), "stored objects are not migrated yet");
            tokio::time::sleep(backoff.next_delay(0.0)).await;
        }
    };
    if tokio::time::timeout(timeout, attempts).await.is_err() {
        tracing::error!("stored objects keep their version: the migration took too long");
    }
}

async fn migrate_all(client: &Client) -> Result<(), MigrationError> {
    for resource in
        [ApiResource::erase::<LLMInferenceService>(&()), ApiResource::erase::<LLMInferenceServiceConfig>(&())]
    {
        let name = format!("{}.{}", resource.plural, resource.group);
        migrate_kind(client, &resource, &name)
            .await
            .map_err(|source| MigrationError { resource: name, source: Box::new(source) })?;
    }
    Ok(())
}

async fn migrate_kind(client: &Client, resource: &ApiResource, crd: &str) -> kube::Result<()> {
    let definition: Definition =
        part_of(client, &ApiResource::erase::<CustomResourceDefinition>(&()), crd).await?;
    let stored = definition.status.stored_versions;
    if stored.iter().all(|it| *it == resource.version) {
        return Ok(());
    }
    let n_objects = rewrite_all(client, resource).await?;
    let patch = json!({
        "metadata": {"resourceVersion": definition.metadata.resource_version},
        "status": {"storedVersions": [resource.version]},
    });
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    crds.patch_status(crd, &PatchParams::default(), &Patch::Merge(patch)).await?;
    tracing::info!(crd, objects = n_objects, version = resource.version, "stored objects are migrated");
    Ok(())
}

/// Of a CRD, what is read here. Its schemas are a megabyte.
#[derive(Debug, Deserialize)]
struct Definition {
    metadata: ObjectMeta,
    #[serde(default)]
    status: DefinitionStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DefinitionStatus {
    stored_versions: Vec<String>,
}

/// Writes every object unchanged. One that goes meanwhile needs no migration, and one that changes was just stored.
async fn rewrite_all(client: &Client, resource: &ApiResource) -> kube::Result<usize> {
    let all: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client.clone(), resource);
    let mut page = ListParams::default().limit(PAGE);
    let mut n_objects = 0;
    loop {
        let list = all.list(&page).await?;
        for object in &list.items {
            let namespace = object.namespace().unwrap_or_default();
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, resource);
            let params =
                PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            match api.patch_metadata(&object.name_any(), &params, &Patch::Merge(json!({}))).await {
                Ok(_) => n_objects += 1,
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(error) => return Err(error),
            }
        }
        match list.metadata.continue_.filter(|it| !it.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(n_objects),
        }
    }
}
