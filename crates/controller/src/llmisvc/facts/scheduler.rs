//! The endpoint picker's configuration when a ConfigMap holds it, and what its generated account carries over.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapKeySelector, LocalObjectReference, ObjectReference, ServiceAccount,
};
use kube::{Api, Client};
use llmd_api::serving::v1alpha2::{LLMInferenceServiceSpec, SchedulerSpec};

use crate::names::Names;
use crate::settings::Installation;

/// ConfigMaps whose name starts like this are the installation's, so they are read in the system namespace.
const SHARED_PREFIX: &str = "config-scheduler-";
/// Key that is read when the reference names none.
const DEFAULT_KEY: &str = "epp";

/// Objects that the scheduler section names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SchedulerFacts {
    pub config: ReferencedConfig,
    pub account: AccountCopy,
}

/// What `spec.router.scheduler.config.ref` leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ReferencedConfig {
    /// There is no reference, or it is optional and leads nowhere.
    #[default]
    None,
    /// The text of the configuration.
    Text(String),
    Missing(ConfigRefError),
}

/// Why a reference leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigRefError {
    /// The ConfigMap does not exist.
    #[error(
        "spec.router.scheduler.config.ref: ConfigMap {namespace}/{name} not found; create it, or correct the name"
    )]
    ConfigMap { namespace: String, name: String },
    /// The ConfigMap exists without the key.
    #[error(
        "spec.router.scheduler.config.ref: key {key:?} not found in ConfigMap {namespace}/{name}, which has [{}]",
        keys.join(" ")
    )]
    Key { namespace: String, name: String, key: String, keys: Vec<String> },
}

/// What the generated service account gets from another account.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccountCopy {
    pub annotations: BTreeMap<String, String>,
    pub secrets: Vec<ObjectReference>,
    pub image_pull_secrets: Vec<LocalObjectReference>,
}

/// Namespace and name of the ConfigMap that the scheduler's configuration refers to, for indexes and look-ups.
#[must_use]
pub fn referenced_config_map(
    namespace: &str,
    spec: &LLMInferenceServiceSpec,
    installation: &Installation,
) -> Option<(String, String)> {
    let reference = reference(scheduler(spec)?)?;
    let namespace =
        if reference.name.starts_with(SHARED_PREFIX) { &installation.system_namespace } else { namespace };
    Some((namespace.to_owned(), reference.name.clone()))
}

/// Reads what the scheduler section of the effective `spec` names.
///
/// # Errors
/// When the API server cannot be read; what does not exist is no error.
pub async fn gather(
    client: &Client,
    namespace: &str,
    service: &str,
    spec: &LLMInferenceServiceSpec,
    installation: &Installation,
) -> kube::Result<SchedulerFacts> {
    let Some(scheduler) = scheduler(spec) else { return Ok(SchedulerFacts::default()) };
    let config_map = match referenced_config_map(namespace, spec, installation) {
        Some((namespace, name)) => {
            Api::<ConfigMap>::namespaced(client.clone(), &namespace).get_opt(&name).await?
        }
        None => None,
    };
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    let own = accounts.get_opt(&Names::new(namespace, service).scheduler_account()).await?;
    let default = if own.is_some() { None } else { accounts.get_opt("default").await? };
    let location = referenced_config_map(namespace, spec, installation);
    Ok(SchedulerFacts {
        config: resolve(scheduler, location, config_map.as_ref()),
        account: AccountCopy::of(own.as_ref(), default.as_ref()),
    })
}

/// What the reference of `scheduler` leads to, given the ConfigMap at its `location`.
#[must_use]
pub fn resolve(
    scheduler: &SchedulerSpec,
    location: Option<(String, String)>,
    config_map: Option<&ConfigMap>,
) -> ReferencedConfig {
    let (Some(reference), Some((namespace, name))) = (reference(scheduler), location) else {
        return ReferencedConfig::None;
    };
    let key = if reference.key.is_empty() { DEFAULT_KEY } else { &reference.key };
    let data = config_map.map(|it| it.data.clone().unwrap_or_default());
    if let Some(text) = data.as_ref().and_then(|it| it.get(key)) {
        return ReferencedConfig::Text(text.clone());
    }
    if reference.optional == Some(true) {
        return ReferencedConfig::None;
    }
    ReferencedConfig::Missing(match data {
        None => ConfigRefError::ConfigMap { namespace, name },
        Some(data) => {
            ConfigRefError::Key { namespace, name, key: key.to_owned(), keys: data.into_keys().collect() }
        }
    })
}

impl AccountCopy {
    /// Everything of the account that exists already under the generated name, so that nothing added to it is lost;
    /// otherwise the pull secrets of the namespace's default account.
    #[must_use]
    pub fn of(own: Option<&ServiceAccount>, default: Option<&ServiceAccount>) -> Self {
        let pull_secrets = |it: &ServiceAccount| it.image_pull_secrets.clone().unwrap_or_default();
        match own {
            Some(own) => Self {
                annotations: own.metadata.annotations.clone().unwrap_or_default(),
                secrets: own.secrets.clone().unwrap_or_default(),
                image_pull_secrets: pull_secrets(own),
            },
            None => {
                Self { image_pull_secrets: default.map(pull_secrets).unwrap_or_default(), ..Self::default() }
            }
        }
    }
}

fn scheduler(spec: &LLMInferenceServiceSpec) -> Option<&SchedulerSpec> {
    spec.router.as_ref()?.scheduler.as_ref()
}

fn reference(scheduler: &SchedulerSpec) -> Option<&ConfigMapKeySelector> {
    scheduler.config.as_ref()?.reference.as_ref()
}

#[cfg(test)]
mod tests {
    use llmd_api::serving::v1alpha2::{RouterSpec, SchedulerConfigChoice};

    use super::*;

    fn spec(name: &str, key: &str, optional: Option<bool>) -> LLMInferenceServiceSpec {
        let reference = ConfigMapKeySelector { name: name.to_owned(), key: key.to_owned(), optional };
        let scheduler = SchedulerSpec {
            config: Some(SchedulerConfigChoice { inline: None, reference: Some(reference) }),
            ..SchedulerSpec::default()
        };
        let router = RouterSpec { scheduler: Some(scheduler), ..RouterSpec::default() };
        LLMInferenceServiceSpec { router: Some(router), ..LLMInferenceServiceSpec::default() }
    }

    fn config_map(key: &str) -> ConfigMap {
        ConfigMap {
            data: Some(BTreeMap::from([(key.to_owned(), "plugins: []".to_owned())])),
            ..ConfigMap::default()
        }
    }

    fn resolved(spec: &LLMInferenceServiceSpec, config_map: Option<&ConfigMap>) -> ReferencedConfig {
        let location = referenced_config_map("team", spec, &Installation::default());
        resolve(scheduler(spec).unwrap(), location, config_map)
    }

    #[test]
    fn shared_config_maps_are_read_in_the_system_namespace() {
        let location =
            |name| referenced_config_map("team", &spec(name, "epp", None), &Installation::default());
        assert_eq!(location("mine"), Some(("team".to_owned(), "mine".to_owned())));
        assert_eq!(
            location("config-scheduler-pd"),
            Some(("kserve".to_owned(), "config-scheduler-pd".to_owned()))
        );
        assert_eq!(
            referenced_config_map("team", &LLMInferenceServiceSpec::default(), &Installation::default()),
            None
        );
    }

    #[test]
    fn the_key_defaults_to_epp() {
        let text = ReferencedConfig::Text("plugins: []".to_owned());
        assert_eq!(resolved(&spec("mine", "", None), Some(&config_map("epp"))), text);
        assert_eq!(resolved(&spec("mine", "other", None), Some(&config_map("other"))), text);
    }

    #[test]
    fn what_is_missing_is_named() {
        let message = |spec, config_map| match resolved(&spec, config_map) {
            ReferencedConfig::Missing(error) => error.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            message(spec("mine", "epp", None), None),
            "spec.router.scheduler.config.ref: ConfigMap team/mine not found; create it, or correct the name"
        );
        assert_eq!(
            message(spec("mine", "epp", None), Some(&config_map("other"))),
            "spec.router.scheduler.config.ref: key \"epp\" not found in ConfigMap team/mine, which has [other]"
        );
    }

    #[test]
    fn an_optional_reference_may_lead_nowhere() {
        assert_eq!(resolved(&spec("mine", "epp", Some(true)), None), ReferencedConfig::None);
    }

    #[test]
    fn an_account_keeps_what_it_has_and_a_new_one_gets_the_default_pull_secrets() {
        let account = |name: &str| ServiceAccount {
            metadata: kube::core::ObjectMeta {
                annotations: Some(BTreeMap::from([("role".to_owned(), name.to_owned())])),
                ..kube::core::ObjectMeta::default()
            },
            secrets: Some(vec![ObjectReference {
                name: Some(name.to_owned()),
                ..ObjectReference::default()
            }]),
            image_pull_secrets: Some(vec![LocalObjectReference { name: name.to_owned() }]),
            ..ServiceAccount::default()
        };
        let (own, default) = (account("own"), account("default"));
        let kept = AccountCopy::of(Some(&own), Some(&default));
        assert_eq!(kept.annotations["role"], "own");
        assert_eq!(kept.secrets[0].name.as_deref(), Some("own"));
        assert_eq!(kept.image_pull_secrets[0].name, "own");
        let new = AccountCopy::of(None, Some(&default));
        assert_eq!(new.image_pull_secrets[0].name, "default");
        assert!(new.annotations.is_empty() && new.secrets.is_empty());
    }
}
