//! Sending images to a registry, each with its SBOM as a referrer, and charts.
//!
//! Registries that keep no list of referrers get the one that the distribution specification describes for them: an
//! index under the tag `sha256-<digest>`. Credentials are those of `docker login`.

use anyhow::{Context, Result, ensure};
use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Reference, RegistryOperation};
use oci_spec::image::{Descriptor, ImageIndex, ImageIndexBuilder, MediaType};

use crate::blob::Blob;
use crate::image::{Artifact, Image};

/// Uploads wait for a registry that scans what it gets.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// A registry and the folder in it, such as `ghcr.io/llmd`.
pub(crate) struct Registry {
    client: Client,
    host: String,
    folder: Option<String>,
    auth: RegistryAuth,
}

impl Registry {
    /// `place` is a host with an optional port, then an optional folder. Registries on this machine are spoken to
    /// without TLS.
    ///
    /// # Errors
    /// When the credentials of this host cannot be read.
    pub(crate) fn open(place: &str) -> Result<Self> {
        let (host, folder) = match place.trim_end_matches('/').split_once('/') {
            Some((host, folder)) => (host, Some(folder.to_owned())),
            None => (place.trim_end_matches('/'), None),
        };
        ensure!(!host.is_empty(), "--push takes HOST[:PORT][/FOLDER], as in ghcr.io/llmd");
        // The first provider of the process stays; there is no other.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let protocol = if is_local(host) { ClientProtocol::Http } else { ClientProtocol::Https };
        let config = ClientConfig {
            protocol,
            read_timeout: Some(PATIENCE),
            connect_timeout: Some(PATIENCE),
            ..ClientConfig::default()
        };
        Ok(Self { client: Client::new(config), host: host.to_owned(), folder, auth: credentials(host)? })
    }

    /// Sends the images of all platforms and their SBOMs, and at last the tag, so that it never names something
    /// incomplete. Returns the full name.
    ///
    /// # Errors
    /// When the registry refuses something.
    pub(crate) async fn push(
        &self,
        name: &str,
        tag: &str,
        index: &Blob,
        images: &[Image],
    ) -> Result<Reference> {
        let to = self.enter(name, tag).await?;
        for image in images {
            self.blobs(&to, image.parts()).await?;
            self.manifest(&by_digest(&to, &image.manifest), &image.manifest).await?;
            if let Some(sbom) = &image.sbom {
                self.refer(&to, image, sbom).await?;
            }
        }
        self.manifest(&to, index).await?;
        Ok(to)
    }

    /// Sends an artifact that is about nothing else, under the tag. Returns the full name.
    ///
    /// # Errors
    /// When the registry refuses something.
    pub(crate) async fn push_artifact(
        &self,
        name: &str,
        tag: &str,
        artifact: &Artifact,
    ) -> Result<Reference> {
        let to = self.enter(name, tag).await?;
        self.blobs(&to, artifact.parts()).await?;
        self.manifest(&to, &artifact.manifest).await?;
        Ok(to)
    }

    /// Where `name` goes, with the registry's leave.
    async fn enter(&self, name: &str, tag: &str) -> Result<Reference> {
        let repository = match &self.folder {
            Some(folder) => format!("{folder}/{name}"),
            None => name.to_owned(),
        };
        let to = Reference::with_tag(self.host.clone(), repository, tag.to_owned());
        let authenticated = self.client.auth(&to, &self.auth, RegistryOperation::Push).await;
        authenticated.with_context(|| format!("{} refuses to be pushed to", self.host))?;
        self.client.store_auth_if_needed(&self.host, &self.auth).await;
        Ok(to)
    }

    async fn blobs(&self, to: &Reference, blobs: impl Iterator<Item = &Blob>) -> Result<()> {
        for blob in blobs {
            let digest = blob.digest.as_ref();
            if self
                .client
                .blob_exists(to, digest)
                .await
                .with_context(|| format!("cannot ask for {digest}"))?
            {
                continue;
            }
            match self.client.push_blob(to, blob.bytes.clone(), digest).await {
                Ok(_) => {}
                // Some registries take a blob and do not say where it is, as the specification wants.
                Err(OciDistributionError::RegistryNoLocationError)
                    if self.client.blob_exists(to, digest).await? => {}
                Err(error) => return Err(error).with_context(|| format!("cannot push {digest} to {to}")),
            }
        }
        Ok(())
    }

    async fn manifest(&self, to: &Reference, blob: &Blob) -> Result<()> {
        let media_type = blob.media_type.to_string().parse().context("a media type is a header")?;
        let sent = self.client.push_manifest_raw(to, blob.bytes.clone(), media_type).await;
        sent.map(drop).with_context(|| format!("cannot push the manifest {to}"))
    }

    async fn refer(&self, to: &Reference, image: &Image, artifact: &Artifact) -> Result<()> {
        self.blobs(to, artifact.parts()).await?;
        self.manifest(&by_digest(to, &artifact.manifest), &artifact.manifest).await?;
        let subject = to.clone_with_digest(image.manifest.digest.to_string());
        let known = self.client.pull_referrers(&subject, None).await;
        let known = serde_json::to_vec(&known.context("cannot read the list of referrers")?)?;
        let known = ImageIndex::from_reader(known.as_slice()).context("the list of referrers")?;
        let Some(list) = with_referrer(&known, artifact.descriptor())? else { return Ok(()) };
        let tag = image.manifest.digest.to_string().replace(':', "-");
        let list_at = Reference::with_tag(self.host.clone(), to.repository().to_owned(), tag);
        self.manifest(&list_at, &list).await
    }
}

/// Waits for work with a registry.
///
/// # Errors
/// Those of the work.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Registry")
            .field("host", &self.host)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// The list with one more entry; `None` when it is there.
fn with_referrer(known: &ImageIndex, referrer: Descriptor) -> Result<Option<Blob>> {
    if known.manifests().iter().any(|it| it.digest() == referrer.digest()) {
        return Ok(None);
    }
    let manifests = known.manifests().iter().cloned().chain([referrer]).collect::<Vec<_>>();
    let list = ImageIndexBuilder::default()
        .schema_version(2_u32)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests);
    Ok(Some(Blob::json(MediaType::ImageIndex, &list.build()?)?))
}

/// Where a manifest goes that has no tag. The digest stands in the place of the tag: oci-client 0.18 panics over a
/// reference by digest when the registry's answer has no `Location`.
fn by_digest(to: &Reference, blob: &Blob) -> Reference {
    Reference::with_tag(to.registry().to_owned(), to.repository().to_owned(), blob.digest.to_string())
}

/// Plain HTTP never leaves the machine.
fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost"
        || name.trim_matches(['[', ']']).parse().is_ok_and(|it: std::net::IpAddr| it.is_loopback())
}

fn credentials(host: &str) -> Result<RegistryAuth> {
    match docker_credential::get_credential(host) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(token)) => Ok(RegistryAuth::Bearer(token)),
        Err(
            CredentialRetrievalError::ConfigNotFound
            | CredentialRetrievalError::ConfigReadError
            | CredentialRetrievalError::NoCredentialConfigured,
        ) => Ok(RegistryAuth::Anonymous),
        Err(error) => Err(error).with_context(|| format!("credentials of `docker login` for {host}")),
    }
}

#[cfg(test)]
pub(crate) mod tests;
