//! Credentials of the storage initializer, from the service account's Secrets. Values are never read: the pod
//! refers to the Secrets by name.

use k8s_openapi::api::core::v1::{
    Container, EnvVar, EnvVarSource, PodSpec, SecretKeySelector, SecretVolumeSource, Volume, VolumeMount,
};

use super::{edit, s3};
use crate::llmisvc::facts::accounts::Account;
use crate::llmisvc::facts::storage::{CredentialSecret, annotated_secret};
use crate::llmisvc::render::workload::pod;
use crate::llmisvc::service::Service;
use crate::settings::CredentialSettings;

/// Annotation (EKS) of an account that assumes an IAM role, so S3 needs no keys.
const ROLE_ARN: &str = "eks.amazonaws.com/role-arn";

/// Gives the init container `container` of `pod` every credential that its account leads to.
pub(super) fn attach(service: &Service, pod: &mut PodSpec, container: &mut Container) {
    let settings = &service.settings.credentials;
    let account = account(service, pod);
    if account.annotations.contains_key(ROLE_ARN) {
        set_all(container, s3::variables(&account.annotations, &settings.s3));
    }
    for secret in secrets(service, account) {
        attach_secret(secret, settings, pod, container);
    }
}

/// The pod's account. A generated one has the Secrets of the namespace's default account.
fn account<'a>(service: &'a Service, pod: &PodSpec) -> &'a Account {
    let accounts = &service.facts.accounts;
    let named = pod.service_account_name.as_ref().and_then(|it| accounts.named.get(it));
    named.unwrap_or(&accounts.default)
}

/// The Secret that the service names, otherwise those of its account, as far as they exist.
fn secrets<'a>(service: &'a Service, account: &'a Account) -> Vec<&'a CredentialSecret> {
    let known = &service.facts.storage.secrets;
    match annotated_secret(&service.annotations, &service.settings) {
        Some(name) => known.get(name).into_iter().collect(),
        None => account.secrets.iter().filter_map(|it| known.get(it)).collect(),
    }
}

/// What a Secret is for, told by the first key that it has.
fn attach_secret(
    secret: &CredentialSecret,
    settings: &CredentialSettings,
    pod: &mut PodSpec,
    container: &mut Container,
) {
    let has = |key: &str| secret.keys.contains(key);
    let gcs_file = &settings.gcs.gcs_credential_file_name;
    if has(&settings.s3.s3_secret_access_key_name) {
        set_all(container, s3_variables(secret, settings));
    } else if has(gcs_file) {
        mount(pod, container, secret, "user-gcp-sa", "/var/secrets/");
        let path = format!("/var/secrets/{gcs_file}");
        edit::set_variable(container, pod::variable("GOOGLE_APPLICATION_CREDENTIALS", path));
    } else if has("AZ_CLIENT_ID") || has("AZURE_CLIENT_ID") || has("AZURE_ACCESS_TOKEN") {
        set_all(container, azure_variables(secret));
    } else if has("AZURE_STORAGE_ACCESS_KEY") {
        set_all(container, [from_key(secret, "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_ACCESS_KEY")]);
    } else if has("https-host") {
        set_all(container, https_headers(secret));
    } else if has("HDFS_NAMENODE") {
        mount(pod, container, secret, "hdfs-secrets", "/var/secrets/kserve-hdfscreds");
    } else if let Some(token) = ["HF_TOKEN", "MODELSCOPE_API_TOKEN"].into_iter().find(|it| has(it)) {
        set_all(container, [from_key(secret, token, token)]);
    }
}

/// Keys of an S3 account and where its server is.
fn s3_variables(secret: &CredentialSecret, settings: &CredentialSettings) -> Vec<EnvVar> {
    let s3 = &settings.s3;
    let mut variables = vec![
        from_key(secret, "AWS_ACCESS_KEY_ID", &s3.s3_access_key_id_name),
        from_key(secret, "AWS_SECRET_ACCESS_KEY", &s3.s3_secret_access_key_name),
    ];
    variables.extend(s3::variables(&secret.annotations, s3));
    variables
}

/// An Azure account; the first four also have older names of their keys, which win. Only what the Secret has is
/// named, since a pod that refers to a missing key does not start.
fn azure_variables(secret: &CredentialSecret) -> Vec<EnvVar> {
    [
        ("AZURE_SUBSCRIPTION_ID", "AZ_SUBSCRIPTION_ID"),
        ("AZURE_TENANT_ID", "AZ_TENANT_ID"),
        ("AZURE_CLIENT_ID", "AZ_CLIENT_ID"),
        ("AZURE_CLIENT_SECRET", "AZ_CLIENT_SECRET"),
        ("AZURE_STORAGE_ACCESS_KEY", ""),
        ("AZURE_ACCESS_TOKEN", ""),
        ("AZURE_ACCESS_EXPIRES_ON_SECONDS", ""),
        ("AZURE_ACCOUNT_NAME", ""),
        ("AZURE_SERVICE_URL", ""),
    ]
    .into_iter()
    .filter_map(|(name, legacy)| {
        let key = [legacy, name].into_iter().find(|it| secret.keys.contains(*it))?;
        Some(from_key(secret, name, key))
    })
    .collect()
}

/// Headers for one HTTP host; the variable is named after the host.
fn https_headers(secret: &CredentialSecret) -> Option<EnvVar> {
    let host = secret.https_host.as_deref().map(str::trim).filter(|it| !it.is_empty())?;
    secret.keys.contains("headers").then(|| from_key(secret, &format!("{host}-headers"), "headers"))
}

fn from_key(secret: &CredentialSecret, variable: &str, key: &str) -> EnvVar {
    let selector =
        SecretKeySelector { name: secret.name.clone(), key: key.to_owned(), ..SecretKeySelector::default() };
    let source = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: variable.to_owned(), value: None, value_from: Some(source) }
}

fn mount(pod: &mut PodSpec, container: &mut Container, secret: &CredentialSecret, volume: &str, path: &str) {
    let source =
        SecretVolumeSource { secret_name: Some(secret.name.clone()), ..SecretVolumeSource::default() };
    edit::add_volume(pod, Volume { name: volume.to_owned(), secret: Some(source), ..Volume::default() });
    edit::add_mount(
        container,
        VolumeMount {
            name: volume.to_owned(),
            mount_path: path.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        },
    );
}

fn set_all(container: &mut Container, variables: impl IntoIterator<Item = EnvVar>) {
    for variable in variables {
        edit::set_variable(container, variable);
    }
}

#[cfg(test)]
mod tests;
