//! What an installation decides for all its services.
//!
//! [`Installation`] is fixed at start (flags, environment). [`ClusterSettings`] is KServe's ConfigMap
//! `inferenceservice-config`, read unchanged and followed while the process runs.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::quantity;

#[cfg(test)]
mod tests;

const INGRESS: &str = "ingress";
const STORAGE_INITIALIZER: &str = "storageInitializer";

/// Name of the ConfigMap with [`ClusterSettings`], in the system namespace.
pub const CONFIG_MAP: &str = "inferenceservice-config";

/// The ClusterRole of an installation that allows to `get` the path `/metrics`, unless it has another name.
pub const METRICS_READER_ROLE: &str = "llmd-metrics-reader";

/// What does not change while the process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Where presets, settings and credentials of the installation live.
    pub system_namespace: String,
    /// Prepended to the well-known preset names.
    pub config_prefix: String,
    /// Whether a service stays with the preset names it first used.
    pub pin_presets: bool,
    /// DNS domain of Services.
    pub cluster_domain: String,
    /// Replaces the `*` of a listener's wildcard host name in URLs.
    pub wildcard_hostname: String,
    /// Whether PodMonitors and ServiceMonitors are made where their CRDs exist.
    pub monitoring: bool,
    /// Name of the ClusterRole that allows to `get` the path `/metrics`.
    pub metrics_reader_role: String,
}

impl Default for Installation {
    fn default() -> Self {
        Self {
            system_namespace: "kserve".to_owned(),
            config_prefix: "kserve-".to_owned(),
            pin_presets: true,
            cluster_domain: "cluster.local".to_owned(),
            wildcard_hostname: "inference".to_owned(),
            monitoring: false,
            metrics_reader_role: METRICS_READER_ROLE.to_owned(),
        }
    }
}

/// The keys of `inferenceservice-config` that concern this controller. What is missing or empty has KServe's
/// default; fields of other controllers are left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterSettings {
    pub ingress: IngressSettings,
    pub storage_initializer: StorageInitializerSettings,
    pub credentials: CredentialSettings,
    pub scheduler: SchedulerSettings,
    pub autoscaling: AutoscalingSettings,
    pub local_model: LocalModelSettings,
}

/// Key `ingress`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressSettings {
    pub enable_gateway_api: bool,
    /// Default gateway, `namespace/name`; a plain name is in the system namespace.
    pub kserve_ingress_gateway: String,
    pub ingress_gateway: String,
    pub url_scheme: String,
    #[serde(rename = "enableLLMInferenceServiceTLS")]
    pub enable_tls: bool,
    /// Header that carries the model's name; empty = requests are not routed by it.
    pub model_based_routing_header_name: String,
    /// `enabled`, `disabled` or `forced`.
    pub model_based_routing_mode: String,
}

impl Default for IngressSettings {
    fn default() -> Self {
        Self {
            enable_gateway_api: false,
            kserve_ingress_gateway: "kserve/kserve-ingress-gateway".to_owned(),
            ingress_gateway: String::new(),
            url_scheme: "http".to_owned(),
            enable_tls: false,
            model_based_routing_header_name: "X-Gateway-Model-Name".to_owned(),
            model_based_routing_mode: "enabled".to_owned(),
        }
    }
}

impl IngressSettings {
    fn checked(mut self) -> Result<Self, SettingsError> {
        let default = Self::default();
        default_if_empty(&mut self.kserve_ingress_gateway, default.kserve_ingress_gateway);
        default_if_empty(&mut self.url_scheme, default.url_scheme);
        default_if_empty(&mut self.model_based_routing_mode, default.model_based_routing_mode);
        let gateway = &self.kserve_ingress_gateway;
        if gateway.matches('/').count() > 1 || gateway.starts_with('/') || gateway.ends_with('/') {
            return Err(SettingsError::Value {
                key: INGRESS,
                field: "kserveIngressGateway",
                value: gateway.clone(),
                expected: "neither `namespace/name` nor `name`",
            });
        }
        Ok(self)
    }
}

fn default_if_empty(value: &mut String, default: String) {
    if value.is_empty() {
        *value = default;
    }
}

/// Key `storageInitializer`. Quantities are as Kubernetes writes them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StorageInitializerSettings {
    pub image: String,
    pub cpu_request: String,
    pub cpu_limit: String,
    pub memory_request: String,
    pub memory_limit: String,
    pub ca_bundle_config_map_name: String,
    pub ca_bundle_volume_mount_path: String,
    pub enable_modelcar: bool,
    pub enable_oci_model_support: bool,
    /// `modelcar` or `native`; empty = modelcar where enabled.
    pub oci_model_mode: String,
    pub cpu_modelcar: String,
    pub memory_modelcar: String,
    pub uid_modelcar: Option<i64>,
}

impl Default for StorageInitializerSettings {
    fn default() -> Self {
        Self {
            image: "kserve/storage-initializer:latest".to_owned(),
            cpu_request: "100m".to_owned(),
            cpu_limit: "1".to_owned(),
            memory_request: "100Mi".to_owned(),
            memory_limit: "1Gi".to_owned(),
            ca_bundle_config_map_name: String::new(),
            ca_bundle_volume_mount_path: "/etc/ssl/custom-certs".to_owned(),
            enable_modelcar: false,
            enable_oci_model_support: false,
            oci_model_mode: String::new(),
            cpu_modelcar: "10m".to_owned(),
            memory_modelcar: "15Mi".to_owned(),
            uid_modelcar: None,
        }
    }
}

impl StorageInitializerSettings {
    fn checked(mut self) -> Result<Self, SettingsError> {
        let default = Self::default();
        default_if_empty(&mut self.image, default.image);
        default_if_empty(&mut self.ca_bundle_volume_mount_path, default.ca_bundle_volume_mount_path);
        let quantities = [
            ("cpuRequest", &mut self.cpu_request, default.cpu_request),
            ("cpuLimit", &mut self.cpu_limit, default.cpu_limit),
            ("memoryRequest", &mut self.memory_request, default.memory_request),
            ("memoryLimit", &mut self.memory_limit, default.memory_limit),
            ("cpuModelcar", &mut self.cpu_modelcar, default.cpu_modelcar),
            ("memoryModelcar", &mut self.memory_modelcar, default.memory_modelcar),
        ];
        let invalid = |field, value: &str, expected| SettingsError::Value {
            key: STORAGE_INITIALIZER,
            field,
            value: value.to_owned(),
            expected,
        };
        for (field, quantity, default) in quantities {
            default_if_empty(quantity, default);
            quantity::whole(quantity).ok_or_else(|| invalid(field, quantity, "no quantity"))?;
        }
        let mode = self.oci_model_mode.as_str();
        if !["", "modelcar", "native"].contains(&mode) {
            return Err(invalid("ociModelMode", mode, "which is not supported: use modelcar or native"));
        }
        Ok(self)
    }
}

/// Key `credentials`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CredentialSettings {
    pub storage_secret_name_annotation: String,
    pub s3: S3Settings,
    pub gcs: GcsSettings,
}

impl Default for CredentialSettings {
    fn default() -> Self {
        Self {
            storage_secret_name_annotation: "serving.kserve.io/storageSecretName".to_owned(),
            s3: S3Settings::default(),
            gcs: GcsSettings::default(),
        }
    }
}

impl CredentialSettings {
    fn completed(mut self) -> Self {
        let default = Self::default();
        let (s3, s3_default) = (&mut self.s3, default.s3);
        default_if_empty(&mut self.storage_secret_name_annotation, default.storage_secret_name_annotation);
        default_if_empty(&mut s3.s3_access_key_id_name, s3_default.s3_access_key_id_name);
        default_if_empty(&mut s3.s3_secret_access_key_name, s3_default.s3_secret_access_key_name);
        default_if_empty(&mut self.gcs.gcs_credential_file_name, default.gcs.gcs_credential_file_name);
        self
    }
}

/// Part `s3` of [`CredentialSettings`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct S3Settings {
    #[serde(rename = "s3AccessKeyIDName", alias = "s3AccessKeyIdName")]
    pub s3_access_key_id_name: String,
    pub s3_secret_access_key_name: String,
    pub s3_endpoint: String,
    pub s3_use_https: String,
    pub s3_region: String,
    #[serde(rename = "s3VerifySSL")]
    pub s3_verify_ssl: String,
    pub s3_use_virtual_bucket: String,
    pub s3_use_accelerate: String,
    pub s3_use_anonymous_credential: String,
    #[serde(rename = "s3CABundle")]
    pub s3_ca_bundle: String,
    #[serde(rename = "s3CABundleConfigMap")]
    pub s3_ca_bundle_config_map: String,
}

impl Default for S3Settings {
    fn default() -> Self {
        Self {
            s3_access_key_id_name: "awsAccessKeyID".to_owned(),
            s3_secret_access_key_name: "awsSecretAccessKey".to_owned(),
            s3_endpoint: String::new(),
            s3_use_https: String::new(),
            s3_region: String::new(),
            s3_verify_ssl: String::new(),
            s3_use_virtual_bucket: String::new(),
            s3_use_accelerate: String::new(),
            s3_use_anonymous_credential: String::new(),
            s3_ca_bundle: String::new(),
            s3_ca_bundle_config_map: String::new(),
        }
    }
}

/// Part `gcs` of [`CredentialSettings`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GcsSettings {
    pub gcs_credential_file_name: String,
}

impl Default for GcsSettings {
    fn default() -> Self {
        Self { gcs_credential_file_name: "gcloud-application-credentials.json".to_owned() }
    }
}

/// Key `scheduler`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SchedulerSettings {
    /// Annotations that carry a certificate's renewal time: the first is written, all are read.
    pub expiration_annotations: Vec<String>,
}

/// Key `autoscaling-wva-controller-config`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AutoscalingSettings {
    pub prometheus: PrometheusSettings,
}

/// Where KEDA asks for the autoscaler's wish.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PrometheusSettings {
    pub url: String,
    pub tls_insecure_skip_verify: bool,
    pub auth_modes: String,
    pub trigger_auth_name: String,
    pub trigger_auth_kind: String,
}

/// Key `localModel`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LocalModelSettings {
    pub enabled: bool,
}

/// Why `inferenceservice-config` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A field has a value that means nothing.
    #[error("key {key:?} of ConfigMap {CONFIG_MAP}: field {field} is {value:?}, {expected}")]
    Value { key: &'static str, field: &'static str, value: String, expected: &'static str },
    /// One key holds no valid JSON of its kind.
    #[error("key {key:?} of ConfigMap {CONFIG_MAP} is not valid")]
    Key {
        key: &'static str,
        #[source]
        source: serde_json::Error,
    },
}

impl ClusterSettings {
    /// Reads the data of the ConfigMap.
    ///
    /// # Errors
    /// When a key that concerns this controller holds something else than its JSON object, or a field of it a
    /// value that means nothing.
    pub fn parse(data: &BTreeMap<String, String>) -> Result<Self, SettingsError> {
        fn key<T: Default + for<'de> Deserialize<'de>>(
            data: &BTreeMap<String, String>,
            key: &'static str,
        ) -> Result<T, SettingsError> {
            data.get(key).filter(|it| !it.trim().is_empty()).map_or_else(
                || Ok(T::default()),
                |text| serde_json::from_str(text).map_err(|source| SettingsError::Key { key, source }),
            )
        }
        let ingress: IngressSettings = key(data, INGRESS)?;
        let storage_initializer: StorageInitializerSettings = key(data, STORAGE_INITIALIZER)?;
        Ok(Self {
            ingress: ingress.checked()?,
            storage_initializer: storage_initializer.checked()?,
            credentials: key::<CredentialSettings>(data, "credentials")?.completed(),
            scheduler: key(data, "scheduler")?,
            autoscaling: key(data, "autoscaling-wva-controller-config")?,
            local_model: key(data, "localModel")?,
        })
    }

    /// The default gateway as namespace and name.
    #[must_use]
    pub fn default_gateway(&self, installation: &Installation) -> (String, String) {
        let gateway = &self.ingress.kserve_ingress_gateway;
        gateway.split_once('/').map_or_else(
            || (installation.system_namespace.clone(), gateway.clone()),
            |(namespace, name)| (namespace.to_owned(), name.to_owned()),
        )
    }

    /// `https` where services speak TLS, otherwise `http`.
    #[must_use]
    pub const fn workload_scheme(&self) -> &'static str {
        if self.ingress.enable_tls { "https" } else { "http" }
    }
}
