use std::collections::BTreeMap;

use super::*;

/// What a Secret with these keys gives, one line each: `NAME=value`, `NAME<-key` or `volume@path`.
fn given(keys: &[&str], annotations: &[(&str, &str)]) -> Vec<String> {
    let secret = CredentialSecret {
        name: "secret".to_owned(),
        keys: keys.iter().map(|it| (*it).to_owned()).collect(),
        annotations: annotations.iter().map(|(key, it)| ((*key).to_owned(), (*it).to_owned())).collect(),
        https_host: keys.contains(&"https-host").then(|| "models.example.com".to_owned()),
    };
    let (mut pod, mut container) = (PodSpec::default(), Container::default());
    attach_secret(&secret, &CredentialSettings::default(), &mut pod, &mut container);
    let variable = |it: EnvVar| match it.value_from.and_then(|it| it.secret_key_ref) {
        Some(source) => format!("{}<-{}", it.name, source.key),
        None => format!("{}={}", it.name, it.value.unwrap_or_default()),
    };
    let mounts = container.volume_mounts.into_iter().flatten();
    let mounts: Vec<_> = mounts.map(|it| format!("{}@{}", it.name, it.mount_path)).collect();
    let volumes = pod.volumes.into_iter().flatten().count();
    assert_eq!(volumes, mounts.len(), "every mount has its volume");
    mounts.into_iter().chain(container.env.into_iter().flatten().map(variable)).collect()
}

#[test]
fn the_first_known_key_tells_what_a_secret_is_for() {
    for (keys, expected) in [
        (
            &["awsAccessKeyID", "awsSecretAccessKey", "HF_TOKEN"][..],
            &["AWS_ACCESS_KEY_ID<-awsAccessKeyID", "AWS_SECRET_ACCESS_KEY<-awsSecretAccessKey"][..],
        ),
        (
            &["gcloud-application-credentials.json"],
            &[
                "user-gcp-sa@/var/secrets/",
                "GOOGLE_APPLICATION_CREDENTIALS=/var/secrets/gcloud-application-credentials.json",
            ],
        ),
        (
            &["AZ_CLIENT_ID", "AZ_CLIENT_SECRET", "AZ_SUBSCRIPTION_ID", "AZ_TENANT_ID"],
            &[
                "AZURE_SUBSCRIPTION_ID<-AZ_SUBSCRIPTION_ID",
                "AZURE_TENANT_ID<-AZ_TENANT_ID",
                "AZURE_CLIENT_ID<-AZ_CLIENT_ID",
                "AZURE_CLIENT_SECRET<-AZ_CLIENT_SECRET",
            ],
        ),
        (
            &["AZURE_CLIENT_ID", "AZURE_ACCOUNT_NAME"],
            &["AZURE_CLIENT_ID<-AZURE_CLIENT_ID", "AZURE_ACCOUNT_NAME<-AZURE_ACCOUNT_NAME"],
        ),
        (
            &["AZURE_ACCESS_TOKEN", "AZURE_ACCESS_EXPIRES_ON_SECONDS"],
            &[
                "AZURE_ACCESS_TOKEN<-AZURE_ACCESS_TOKEN",
                "AZURE_ACCESS_EXPIRES_ON_SECONDS<-AZURE_ACCESS_EXPIRES_ON_SECONDS",
            ],
        ),
        (&["AZURE_STORAGE_ACCESS_KEY"], &["AZURE_STORAGE_ACCESS_KEY<-AZURE_STORAGE_ACCESS_KEY"]),
        (&["https-host", "headers"], &["models.example.com-headers<-headers"]),
        (&["https-host"], &[]),
        (&["HDFS_NAMENODE"], &["hdfs-secrets@/var/secrets/kserve-hdfscreds"]),
        (&["HF_TOKEN"], &["HF_TOKEN<-HF_TOKEN"]),
        (&["MODELSCOPE_API_TOKEN"], &["MODELSCOPE_API_TOKEN<-MODELSCOPE_API_TOKEN"]),
        (&["something.else"], &[]),
    ] {
        assert_eq!(given(keys, &[]), expected, "{keys:?}");
    }
}

#[test]
fn annotations_of_the_secret_say_where_the_bucket_is() {
    let variables = given(
        &["awsSecretAccessKey"],
        &[("serving.kserve.io/s3-endpoint", "minio:9000"), ("serving.kserve.io/s3-usehttps", "1")],
    );
    assert_eq!(
        variables[2..],
        ["S3_USE_HTTPS=1", "S3_ENDPOINT=minio:9000", "AWS_ENDPOINT_URL=https://minio:9000"]
    );
}

#[test]
fn settings_say_where_the_bucket_is_unless_annotations_do() {
    let settings = crate::settings::S3Settings {
        s3_endpoint: "minio:9000".to_owned(),
        s3_use_https: "0".to_owned(),
        ..Default::default()
    };
    let variables = |annotations: &BTreeMap<String, String>| {
        let variables = s3::variables(annotations, &settings).into_iter();
        variables.map(|it| format!("{}={}", it.name, it.value.unwrap())).collect::<Vec<_>>()
    };
    let defaults = ["S3_USE_HTTPS=0", "S3_ENDPOINT=minio:9000", "AWS_ENDPOINT_URL=http://minio:9000"];
    assert_eq!(variables(&BTreeMap::new()), defaults);
    let annotations = BTreeMap::from([("serving.kserve.io/s3-endpoint".to_owned(), "s3:1".to_owned())]);
    assert_eq!(variables(&annotations), ["S3_ENDPOINT=s3:1", "AWS_ENDPOINT_URL=https://s3:1"]);
}
