//! What the model's download needs from the cluster: which credentials there are, and the CA bundle.
//!
//! Secrets are read for their keys and annotations; their values are dropped at once, because pods refer to them by
//! name. Not here: the accounts that name the Secrets (`accounts`), and what becomes of all this (`render::storage`).

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};

use super::accounts::AccountFacts;
use crate::settings::{ClusterSettings, Installation};

/// Key of the CA bundle in its ConfigMap, in PEM.
pub const CA_BUNDLE_KEY: &str = "cabundle.crt";
/// Secret key: the host that the key `headers` is meant for.
const HTTPS_HOST: &str = "https-host";

/// What the storage initializer needs besides the model's URI. Empty when rendered offline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageFacts {
    /// The Secrets that exist of those that the service or its accounts name, by name.
    pub secrets: BTreeMap<String, CredentialSecret>,
    /// Names of Secrets that do not exist.
    pub missing_secrets: BTreeSet<String>,
    pub ca_bundle: CaBundle,
}

/// A Secret without its values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CredentialSecret {
    pub name: String,
    pub keys: BTreeSet<String>,
    pub annotations: BTreeMap<String, String>,
    /// Value of the key `https-host`: a host name, no credential.
    pub https_host: Option<String>,
}

/// The CA bundle of the installation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CaBundle {
    /// None is configured, or nobody looked.
    #[default]
    None,
    /// The ConfigMap of the system namespace does not exist.
    NoConfigMap,
    /// It exists without the key [`CA_BUNDLE_KEY`].
    NoKey,
    /// Certificates in PEM.
    Found(String),
}

impl From<&Secret> for CredentialSecret {
    fn from(secret: &Secret) -> Self {
        let data = secret.data.iter().flatten();
        let host = secret.data.as_ref().and_then(|it| it.get(HTTPS_HOST));
        Self {
            name: secret.metadata.name.clone().unwrap_or_default(),
            keys: data.map(|(key, _)| key.clone()).collect(),
            annotations: secret.metadata.annotations.clone().unwrap_or_default(),
            https_host: host.and_then(|it| String::from_utf8(it.0.clone()).ok()),
        }
    }
}

impl From<Option<&ConfigMap>> for CaBundle {
    fn from(config_map: Option<&ConfigMap>) -> Self {
        let Some(config_map) = config_map else { return Self::NoConfigMap };
        let bundle = config_map.data.as_ref().and_then(|it| it.get(CA_BUNDLE_KEY));
        bundle.filter(|it| !it.is_empty()).map_or(Self::NoKey, |it| Self::Found(it.clone()))
    }
}

impl StorageFacts {
    /// Facts from what a lookup found: each named Secret or its absence, and the CA bundle.
    #[must_use]
    pub fn from_objects(secrets: &BTreeMap<String, Option<Secret>>, ca_bundle: CaBundle) -> Self {
        let found = secrets.values().flatten().map(CredentialSecret::from);
        let missing = secrets.iter().filter(|(_, it)| it.is_none());
        Self {
            secrets: found.map(|it| (it.name.clone(), it)).collect(),
            missing_secrets: missing.map(|(name, _)| name.clone()).collect(),
            ca_bundle,
        }
    }
}

/// Names of the Secrets that may hold credentials: the one that the service's annotation names, otherwise all that
/// its accounts list.
#[must_use]
pub fn named_secrets(
    annotations: &BTreeMap<String, String>,
    accounts: &AccountFacts,
    settings: &ClusterSettings,
) -> BTreeSet<String> {
    if let Some(name) = annotated_secret(annotations, settings) {
        return BTreeSet::from([name.to_owned()]);
    }
    let accounts = accounts.named.values().chain([&accounts.default]);
    accounts.flat_map(|it| it.secrets.iter().cloned()).collect()
}

/// The Secret that the service's annotation names.
#[must_use]
pub fn annotated_secret<'a>(
    annotations: &'a BTreeMap<String, String>,
    settings: &ClusterSettings,
) -> Option<&'a str> {
    let key = &settings.credentials.storage_secret_name_annotation;
    annotations.get(key).map(String::as_str).filter(|it| !key.is_empty() && !it.is_empty())
}

/// Reads the Secrets and the CA bundle of a service in `namespace` with these annotations.
///
/// # Errors
/// When the API server cannot be asked. What does not exist is a fact.
pub async fn gather(
    client: &Client,
    namespace: &str,
    annotations: &BTreeMap<String, String>,
    accounts: &AccountFacts,
    installation: &Installation,
    settings: &ClusterSettings,
) -> Result<StorageFacts, kube::Error> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let names = named_secrets(annotations, accounts, settings);
    let lookups = names.into_iter().map(|name| async {
        let found = api.get_opt(&name).await?;
        Ok::<_, kube::Error>((name, found))
    });
    let secrets = try_join_all(lookups).await?.into_iter().collect();
    let ca_bundle = gather_ca_bundle(client, installation, settings).await?;
    Ok(StorageFacts::from_objects(&secrets, ca_bundle))
}

async fn gather_ca_bundle(
    client: &Client,
    installation: &Installation,
    settings: &ClusterSettings,
) -> Result<CaBundle, kube::Error> {
    let name = &settings.storage_initializer.ca_bundle_config_map_name;
    if name.is_empty() {
        return Ok(CaBundle::None);
    }
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &installation.system_namespace);
    Ok(CaBundle::from(api.get_opt(name).await?.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secrets_are_not_kept() {
        let secret: Secret = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "minio", "annotations": {"serving.kserve.io/s3-region": "eu"}},
            "data": {"awsSecretAccessKey": "aHVudGVyMg==", "https-host": "aG9zdA=="},
        }))
        .unwrap();
        let secrets = BTreeMap::from([("minio".to_owned(), Some(secret)), ("stale".to_owned(), None)]);
        let facts = StorageFacts::from_objects(&secrets, CaBundle::None);
        let kept = &facts.secrets["minio"];
        assert!(kept.keys.contains("awsSecretAccessKey"));
        assert_eq!(kept.https_host.as_deref(), Some("host"));
        assert!(!format!("{facts:?}").contains("hunter2"));
        assert_eq!(facts.missing_secrets, BTreeSet::from(["stale".to_owned()]));
    }

    #[test]
    fn an_annotation_names_the_only_secret() {
        let settings = ClusterSettings::default();
        let account = super::super::accounts::Account {
            secrets: vec!["a".to_owned(), "b".to_owned()],
            ..Default::default()
        };
        let accounts = AccountFacts { default: account, ..AccountFacts::default() };
        let names = |annotations: &[(&str, &str)]| {
            let annotations = annotations.iter().map(|(key, it)| ((*key).to_owned(), (*it).to_owned()));
            let names = named_secrets(&annotations.collect(), &accounts, &settings);
            names.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), ["a", "b"]);
        assert_eq!(names(&[("serving.kserve.io/storageSecretName", "mine")]), ["mine"]);
    }
}
