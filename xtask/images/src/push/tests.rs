use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use oci_client::client::ClientConfig;
use oci_client::manifest::OciManifest;

use super::*;
use crate::blob::digest;
use crate::image::tests::{engine, images, origin};
use crate::image::{SPDX, index};

/// A registry of its own process on loopback; it ends with the test.
pub(crate) struct RealRegistry {
    process: Child,
    pub(crate) host: String,
}

impl RealRegistry {
    /// `None` without Go, which builds it.
    pub(crate) fn start(args: &[&str]) -> Option<Self> {
        let program = registry_program()?;
        let mut process =
            Command::new(program).args(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Some(Self { process, host: format!("127.0.0.1:{}", port.trim()) })
    }
}

impl Drop for RealRegistry {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Built once a run, beside the test's own program; Go's cache makes the next run quick.
fn registry_program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(build_registry).as_deref()
}

fn build_registry() -> Option<PathBuf> {
    let program = std::env::current_exe().unwrap().with_file_name("llmd-images-registry");
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("registry");
    let mut build = Command::new("go");
    build
        .current_dir(module)
        .args(["build", "-mod=readonly", "-buildvcs=false", "-o"])
        .arg(&program)
        .arg(".");
    match build.output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(program)
        }
        Err(error) => {
            println!("skipped: a real registry is built by Go: {error}");
            None
        }
    }
}

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() })
}

/// Pushes twice and reads everything back; each image has its SBOM as a referrer, once.
async fn push_and_pull(registry: &RealRegistry) {
    let client = client();
    let images = images(engine());
    let index = index(engine(), &origin(), &images).unwrap();
    let to = Registry::open(&format!("{}/a/folder", registry.host)).unwrap();
    for _ in 0..2 {
        to.push("llmd-engine", "v1", &index, &images).await.unwrap();
    }

    let name: Reference = format!("{}/a/folder/llmd-engine:v1", registry.host).parse().unwrap();
    let auth = RegistryAuth::Anonymous;
    let (pulled, found) = client.pull_manifest(&name, &auth).await.unwrap();
    assert_eq!(found, index.digest.to_string());
    let OciManifest::ImageIndex(pulled) = pulled else { panic!("an index") };
    assert_eq!(pulled.manifests.len(), 2);
    for (image, entry) in images.iter().zip(&pulled.manifests) {
        assert_eq!(entry.digest, image.manifest.digest.to_string());
        let at = name.clone_with_digest(entry.digest.clone());
        let (manifest, _) = client.pull_manifest(&at, &auth).await.unwrap();
        let OciManifest::Image(manifest) = manifest else { panic!("an image") };
        for layer in std::iter::once(&manifest.config).chain(&manifest.layers) {
            let mut bytes = Vec::new();
            client.pull_blob(&name, layer, &mut bytes).await.unwrap();
            assert_eq!(digest(&bytes).to_string(), layer.digest);
        }
        let referrers = client.pull_referrers(&at, Some(SPDX)).await.unwrap();
        let referrers: Vec<_> = referrers.manifests.iter().map(|it| it.digest.clone()).collect();
        let sbom = image.sbom.as_ref().unwrap();
        assert_eq!(referrers, [sbom.manifest.digest.to_string()]);
    }
}

#[tokio::test]
async fn a_registry_with_referrers_has_images_and_sboms() {
    let Some(registry) = RealRegistry::start(&["-referrers"]) else { return };
    push_and_pull(&registry).await;
}

#[tokio::test]
async fn a_registry_without_referrers_gets_their_list_as_a_tag() {
    let Some(registry) = RealRegistry::start(&[]) else { return };
    push_and_pull(&registry).await;
    let name: Reference = format!("{}/a/folder/llmd-engine", registry.host).parse().unwrap();
    let tags = client().list_tags(&name, &RegistryAuth::Anonymous, None, None).await.unwrap().tags;
    let lists = images(engine()).into_iter().map(|it| it.manifest.digest.to_string().replace(':', "-"));
    let mut expected: Vec<_> = lists.chain(["v1".to_owned()]).collect();
    expected.sort();
    assert_eq!(tags.into_iter().filter(|it| expected.contains(it)).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn nobody_listening_is_an_error_that_names_the_registry() {
    let _ = client();
    let images = images(engine());
    let index = index(engine(), &origin(), &images).unwrap();
    // Port 1 of loopback is bound by nobody.
    let to = Registry::open("127.0.0.1:1").unwrap();
    let error = to.push("llmd-engine", "v1", &index, &images).await.unwrap_err();
    assert!(format!("{error:#}").contains("127.0.0.1:1"), "{error:#}");
}

#[test]
fn plain_http_is_for_this_machine_alone() {
    for local in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"] {
        assert!(is_local(local), "{local}");
    }
    for remote in ["ghcr.io", "localhost.example.org:5000", "10.0.0.1:5000", "registry:5000"] {
        assert!(!is_local(remote), "{remote}");
    }
}
