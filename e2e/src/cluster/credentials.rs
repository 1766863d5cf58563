//! The cluster's certificate authority, its certificates and the kubeconfigs that log in with them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

/// The folder with all of them.
#[derive(Debug)]
pub(super) struct Credentials {
    folder: PathBuf,
}

/// A certificate (or public key) and its private key, as PEM files.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// File name, common name and organisation of each certificate. Organisations are groups to RBAC.
const CERTIFICATES: [(&str, &str, &str); 10] = [
    ("apiserver", "kube-apiserver", "k8s"),
    ("etcd", "etcd", "k8s"),
    ("admin", "admin", "system:masters"),
    // The API server when it passes requests on to others that serve a part of the API.
    ("front-proxy", "front-proxy", "k8s"),
    // The controllers under test; they have the rights that they are given, not an administrator's.
    (super::CONTROLLERS[0], super::CONTROLLERS[0], super::CONTROLLER_GROUP),
    (super::CONTROLLERS[1], super::CONTROLLERS[1], super::CONTROLLER_GROUP),
    ("controller-manager", "system:kube-controller-manager", "k8s"),
    ("scheduler", "system:kube-scheduler", "k8s"),
    ("kubelet", "system:node:node-0", "system:nodes"),
    ("kube-proxy", "system:kube-proxy", "k8s"),
];
/// Who logs in with a kubeconfig.
const USERS: [&str; 7] = [
    "admin",
    super::CONTROLLERS[0],
    super::CONTROLLERS[1],
    "controller-manager",
    "scheduler",
    "kubelet",
    "kube-proxy",
];
/// By which clients call the API server or the kubelet.
const NAMES: [&str; 10] = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    super::node::NAME,
    "127.0.0.1",
    "10.96.0.1",
    "10.243.0.1",
    "10.243.0.2",
];

impl Credentials {
    /// Makes everything for the API server with this URL.
    pub(super) fn make(folder: &Path, server: &str) -> Result<Self> {
        let it = Self { folder: folder.to_path_buf() };
        let key = KeyPair::generate()?;
        let params = authority();
        it.write("ca", &params.self_signed(&key)?.pem(), &key)?;
        let issuer = Issuer::from_params(&params, key);
        for (file, name, organisation) in CERTIFICATES {
            let key = KeyPair::generate()?;
            it.write(file, &leaf(name, organisation)?.signed_by(&key, &issuer)?.pem(), &key)?;
        }
        let accounts = KeyPair::generate()?;
        it.write("service-accounts", &accounts.public_key_pem(), &accounts)?;
        for user in USERS {
            fs::write(folder.join(format!("{user}.conf")), it.kubeconfig(user, server))?;
        }
        Ok(it)
    }

    pub(super) fn files(&self, name: &str) -> Files {
        let path = |extension: &str| self.folder.join(format!("{name}.{extension}"));
        Files { certificate: path("crt"), key: path("key") }
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.files("ca").certificate
    }

    /// The keys that sign and verify service account tokens.
    pub(super) fn service_accounts(&self) -> Files {
        self.files("service-accounts")
    }

    fn write(&self, name: &str, certificate: &str, key: &KeyPair) -> Result<()> {
        let files = self.files(name);
        fs::write(files.certificate, certificate)?;
        fs::write(files.key, key.serialize_pem())?;
        Ok(())
    }

    fn kubeconfig(&self, user: &str, server: &str) -> String {
        let (ca, files) = (self.ca(), self.files(user));
        let (ca, certificate, key) = (ca.display(), files.certificate.display(), files.key.display());
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: k8s\n\
             clusters: [{{name: k8s, cluster: {{server: '{server}', certificate-authority: '{ca}'}}}}]\n\
             users: [{{name: {user}, user: {{client-certificate: '{certificate}', client-key: '{key}'}}}}]\n\
             contexts: [{{name: k8s, context: {{cluster: k8s, user: {user}}}}}]\n"
        )
    }
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name("k8s-ca", "k8s");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn leaf(common_name: &str, organisation: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
    params.distinguished_name = name(common_name, organisation);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn name(common_name: &str, organisation: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name.push(DnType::OrganizationName, organisation);
    name
}
