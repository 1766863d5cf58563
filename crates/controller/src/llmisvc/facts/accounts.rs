//! Service accounts: those that a service's pods name, and the namespace's default account, from which generated
//! accounts copy their secrets. A missing account is a fact, not an error.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{try_join, try_join_all};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client};
use llmd_api::serving::v1alpha2::LLMInferenceServiceSpec;

/// The account that pods without another one run with; every namespace gets it.
pub const DEFAULT: &str = "default";

/// What of a service account is used or copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    pub annotations: BTreeMap<String, String>,
    /// Names of the Secrets its pods may use.
    pub secrets: Vec<String>,
    /// Names of the Secrets its images are pulled with.
    pub image_pull_secrets: Vec<String>,
}

/// Service accounts and what they reference. Empty when rendered offline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountFacts {
    /// The namespace's account `default`, empty when it does not exist.
    pub default: Account,
    /// The accounts that the service's pods name.
    pub named: BTreeMap<String, Account>,
    /// Names that the service's pods give, of accounts that do not exist.
    pub missing: BTreeSet<String>,
}

impl AccountFacts {
    /// Facts from what a lookup found: the default account, and each named one or its absence.
    #[must_use]
    pub fn from_objects(
        default: Option<&ServiceAccount>,
        named: &BTreeMap<String, Option<ServiceAccount>>,
    ) -> Self {
        let mut facts = Self { default: default.map(Account::from).unwrap_or_default(), ..Self::default() };
        for (name, object) in named {
            match object {
                Some(it) => drop(facts.named.insert(name.clone(), Account::from(it))),
                None => drop(facts.missing.insert(name.clone())),
            }
        }
        facts
    }
}

impl From<&ServiceAccount> for Account {
    fn from(object: &ServiceAccount) -> Self {
        let secrets = object.secrets.iter().flatten().filter_map(|it| it.name.clone());
        let pull_secrets = object.image_pull_secrets.iter().flatten().map(|it| it.name.clone());
        Self {
            annotations: object.metadata.annotations.clone().unwrap_or_default(),
            secrets: secrets.collect(),
            image_pull_secrets: pull_secrets.filter(|it| !it.is_empty()).collect(),
        }
    }
}

/// Names of the service accounts that the pods of an effective spec ask for. The endpoint picker's is not among them:
/// its account is looked up with everything else about it.
#[must_use]
pub fn named_in(spec: &LLMInferenceServiceSpec) -> BTreeSet<String> {
    let scheduler = spec.router.as_ref().and_then(|it| it.scheduler.as_ref());
    let tokenizer = scheduler.and_then(|it| it.tokenizer.as_ref());
    [
        spec.workload.template.as_ref(),
        spec.workload.worker.as_ref(),
        spec.prefill.as_ref().and_then(|it| it.template.as_ref()),
        spec.prefill.as_ref().and_then(|it| it.worker.as_ref()),
        tokenizer.and_then(|it| it.template.as_ref()),
    ]
    .into_iter()
    .flatten()
    .filter_map(|it| it.service_account_name.clone())
    .filter(|it| !it.is_empty())
    .collect()
}

/// Looks up the default account and those named in `spec`.
///
/// # Errors
/// When the API server cannot be asked; an account that does not exist is no error.
pub async fn gather(
    client: Client,
    namespace: &str,
    spec: &LLMInferenceServiceSpec,
) -> kube::Result<AccountFacts> {
    let accounts = &Api::<ServiceAccount>::namespaced(client, namespace);
    let lookups = named_in(spec).into_iter().map(async |name| {
        let object = accounts.get_opt(&name).await?;
        Ok::<_, kube::Error>((name, object))
    });
    let (default, named) = try_join(accounts.get_opt(DEFAULT), try_join_all(lookups)).await?;
    Ok(AccountFacts::from_objects(default.as_ref(), &named.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(manifest: &str) -> ServiceAccount {
        serde_saphyr::from_str(manifest).unwrap()
    }

    #[test]
    fn secrets_are_kept_by_name_and_missing_accounts_are_remembered() {
        let default = account("{imagePullSecrets: [{name: registry}, {name: ''}], secrets: [{name: token}]}");
        let robot = account("{metadata: {annotations: {eks.amazonaws.com/role-arn: arn}}}");
        let named = BTreeMap::from([("robot".to_owned(), Some(robot)), ("ghost".to_owned(), None)]);
        let facts = AccountFacts::from_objects(Some(&default), &named);
        assert_eq!(facts.default.image_pull_secrets, ["registry"]);
        assert_eq!(facts.default.secrets, ["token"]);
        assert_eq!(facts.named["robot"].annotations["eks.amazonaws.com/role-arn"], "arn");
        assert_eq!(facts.missing, BTreeSet::from(["ghost".to_owned()]));
    }

    #[test]
    fn a_namespace_without_a_default_account_gives_nothing_to_copy() {
        assert_eq!(AccountFacts::from_objects(None, &BTreeMap::new()), AccountFacts::default());
    }

    #[test]
    fn every_pod_that_loads_a_model_is_asked_for_its_account() {
        let spec: LLMInferenceServiceSpec = serde_saphyr::from_str(
            "{template: {serviceAccountName: a}, worker: {serviceAccountName: b},
              prefill: {template: {serviceAccountName: c}, worker: {serviceAccountName: ''}},
              router: {scheduler: {template: {serviceAccountName: d},
                                   tokenizer: {template: {serviceAccountName: e}}}}}",
        )
        .unwrap();
        assert_eq!(named_in(&spec).into_iter().collect::<Vec<_>>(), ["a", "b", "c", "e"]);
    }
}
