//! Environment of an S3 client: from annotations of a Secret or service account, otherwise from the installation's
//! settings.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::EnvVar;

use crate::llmisvc::render::workload::pod;
use crate::settings::S3Settings;

/// Names the ConfigMap with the CA bundle of the S3 server.
pub(super) const CA_BUNDLE_CONFIG_MAP: &str = "AWS_CA_BUNDLE_CONFIGMAP";
/// Names the CA bundle's file.
pub(super) const CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// The variables, without the keys.
pub(super) fn variables(annotations: &BTreeMap<String, String>, settings: &S3Settings) -> Vec<EnvVar> {
    let mut variables = endpoint(annotations, settings);
    variables.extend(
        [
            ("S3_VERIFY_SSL", "s3-verifyssl", &settings.s3_verify_ssl),
            ("awsAnonymousCredential", "s3-useanoncredential", &settings.s3_use_anonymous_credential),
            ("AWS_DEFAULT_REGION", "s3-region", &settings.s3_region),
            ("S3_USER_VIRTUAL_BUCKET", "s3-usevirtualbucket", &settings.s3_use_virtual_bucket),
            ("S3_USE_ACCELERATE", "s3-useaccelerate", &settings.s3_use_accelerate),
            (CA_BUNDLE, "s3-cabundle", &settings.s3_ca_bundle),
            (CA_BUNDLE_CONFIG_MAP, "s3-cabundle-configmap", &settings.s3_ca_bundle_config_map),
        ]
        .into_iter()
        .filter_map(|(name, key, default)| {
            let value = annotation(annotations, key).unwrap_or(default);
            (!value.is_empty()).then(|| pod::variable(name, value))
        }),
    );
    variables
}

/// Where the server is. `0` for `s3-usehttps` means plain HTTP.
fn endpoint(annotations: &BTreeMap<String, String>, settings: &S3Settings) -> Vec<EnvVar> {
    let (host, use_https) = match annotation(annotations, "s3-endpoint") {
        Some(host) => (host, annotation(annotations, "s3-usehttps")),
        None if settings.s3_endpoint.is_empty() => return Vec::new(),
        None => (settings.s3_endpoint.as_str(), Some(settings.s3_use_https.as_str()).filter(|&it| it == "0")),
    };
    let scheme = if use_https == Some("0") { "http" } else { "https" };
    use_https
        .map(|it| pod::variable("S3_USE_HTTPS", it))
        .into_iter()
        .chain([
            pod::variable("S3_ENDPOINT", host),
            pod::variable("AWS_ENDPOINT_URL", format!("{scheme}://{host}")),
        ])
        .collect()
}

fn annotation<'a>(annotations: &'a BTreeMap<String, String>, key: &str) -> Option<&'a str> {
    annotations.get(&format!("serving.kserve.io/{key}")).map(String::as_str)
}
