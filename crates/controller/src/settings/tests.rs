use super::*;

fn parse(entries: &[(&str, &str)]) -> Result<ClusterSettings, SettingsError> {
    ClusterSettings::parse(
        &entries.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect(),
    )
}

#[test]
fn what_is_missing_or_empty_has_its_default() {
    assert_eq!(parse(&[]).unwrap(), ClusterSettings::default());
    let empty = parse(&[
        ("ingress", r#"{"urlScheme": "", "kserveIngressGateway": "", "ingressDomain": "x"}"#),
        ("storageInitializer", r#"{"image": "", "cpuLimit": "", "uidModelcar": null}"#),
        ("credentials", r#"{"storageSecretNameAnnotation": "", "s3": {"s3AccessKeyIDName": ""}}"#),
        ("scheduler", " "),
    ]);
    assert_eq!(empty.unwrap(), ClusterSettings::default());
}

#[test]
fn every_key_is_read_by_its_name() {
    let settings = parse(&[
        (
            "ingress",
            r#"{"enableGatewayApi": true, "kserveIngressGateway": "ns/gw", "urlScheme": "https", "enableLLMInferenceServiceTLS": true, "modelBasedRoutingMode": "forced"}"#,
        ),
        ("storageInitializer", r#"{"image": "i", "enableModelcar": true, "ociModelMode": "native", "uidModelcar": 1010}"#),
        ("credentials", r#"{"s3": {"s3AccessKeyIDName": "id", "s3VerifySSL": "0", "s3CABundle": "c"}, "gcs": {"gcsCredentialFileName": "g"}}"#),
        ("scheduler", r#"{"expirationAnnotations": ["a"]}"#),
        ("autoscaling-wva-controller-config", r#"{"prometheus": {"url": "http://p", "tlsInsecureSkipVerify": true}}"#),
        ("localModel", r#"{"enabled": true, "jobNamespace": "x"}"#),
    ])
    .unwrap();
    assert!(settings.ingress.enable_gateway_api && settings.ingress.enable_tls);
    assert_eq!(settings.workload_scheme(), "https");
    assert_eq!(settings.default_gateway(&Installation::default()), ("ns".to_owned(), "gw".to_owned()));
    assert_eq!(settings.storage_initializer.uid_modelcar, Some(1010));
    assert_eq!(settings.credentials.s3.s3_access_key_id_name, "id");
    assert_eq!(settings.credentials.s3.s3_verify_ssl, "0");
    assert_eq!(settings.credentials.s3.s3_ca_bundle, "c");
    assert_eq!(settings.credentials.gcs.gcs_credential_file_name, "g");
    assert_eq!(settings.scheduler.expiration_annotations, ["a"]);
    assert_eq!(settings.autoscaling.prometheus.url, "http://p");
    assert!(settings.local_model.enabled);
}

#[test]
fn an_empty_header_name_is_a_choice() {
    let settings = parse(&[("ingress", r#"{"modelBasedRoutingHeaderName": ""}"#)]).unwrap();
    assert_eq!(settings.ingress.model_based_routing_header_name, "");
}

#[test]
fn a_plain_gateway_name_is_in_the_system_namespace() {
    let settings = parse(&[("ingress", r#"{"kserveIngressGateway": "gw"}"#)]).unwrap();
    assert_eq!(settings.default_gateway(&Installation::default()), ("kserve".to_owned(), "gw".to_owned()));
}

#[test]
fn values_that_mean_nothing_are_named() {
    let message = |key: &str, text: &str| parse(&[(key, text)]).unwrap_err().to_string();
    assert_eq!(
        message("storageInitializer", r#"{"memoryLimit": "1 GB"}"#),
        "key \"storageInitializer\" of ConfigMap inferenceservice-config: field memoryLimit is \"1 GB\", no quantity"
    );
    assert!(
        message("storageInitializer", r#"{"ociModelMode": "fetch"}"#)
            .ends_with(r#"field ociModelMode is "fetch", which is not supported: use modelcar or native"#)
    );
    assert!(message("ingress", r#"{"kserveIngressGateway": "a/b/c"}"#).contains("kserveIngressGateway"));
    assert_eq!(
        message("localModel", "{"),
        "key \"localModel\" of ConfigMap inferenceservice-config is not valid"
    );
}
