//! An image: layers, configuration, manifest, and the SBOM that refers to it. Pure: bytes in, blobs out.

use std::collections::HashMap;

use anyhow::Result;
use oci_spec::image::{
    ANNOTATION_CREATED, ANNOTATION_DESCRIPTION, ANNOTATION_LICENSES, ANNOTATION_REVISION, ANNOTATION_SOURCE,
    ANNOTATION_TITLE, ANNOTATION_VERSION,
};
use oci_spec::image::{
    ConfigBuilder, Descriptor, History, HistoryBuilder, ImageConfigurationBuilder, ImageIndexBuilder,
    ImageManifestBuilder, MediaType, Os, RootFsBuilder,
};

use crate::blob::Blob;
use crate::catalogue::{Content, Recipe};
use crate::layer::Layer;
use crate::origin::Origin;
use crate::platform::Platform;
use crate::tree::{CERTIFICATES, NONROOT, PROGRAMS};

/// Home of the project.
pub(crate) const SOURCE: &str = "https://github.com/llmd/llmd";
const LICENCE: &str = "Apache-2.0";
/// Registered media type of SPDX in JSON.
pub(crate) const SPDX: &str = "application/spdx+json";

/// An image for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) platform: Platform,
    pub(crate) manifest: Blob,
    pub(crate) config: Blob,
    /// Of a program: the shared one, then its own.
    pub(crate) layers: Vec<Layer>,
    /// The SBOM of a program as an artifact whose subject is the manifest.
    pub(crate) sbom: Option<Artifact>,
}

/// What refers to an image without being one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Artifact {
    pub(crate) manifest: Blob,
    pub(crate) config: Blob,
    pub(crate) content: Blob,
}

/// What one image is made from.
#[derive(Debug, Clone)]
pub(crate) struct Ingredients {
    pub(crate) platform: Platform,
    /// The lowest first.
    pub(crate) layers: Vec<Layer>,
    /// SPDX document in JSON, of programs.
    pub(crate) sbom: Option<Vec<u8>>,
}

impl Image {
    /// Assembles the image of `recipe`.
    ///
    /// # Errors
    /// When a document cannot be written.
    pub(crate) fn assemble(recipe: &Recipe, origin: &Origin, ingredients: Ingredients) -> Result<Self> {
        let Ingredients { platform, layers, sbom } = ingredients;
        let config = config(recipe, origin, platform, &layers)?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(2_u32)
            .media_type(MediaType::ImageManifest)
            .config(config.descriptor())
            .layers(layers.iter().map(|layer| layer.blob.descriptor()).collect::<Vec<_>>())
            .annotations(annotations(recipe, origin))
            .build()?;
        let manifest = Blob::json(MediaType::ImageManifest, &manifest)?;
        let sbom = sbom.map(|sbom| Blob::new(MediaType::Other(SPDX.to_owned()), sbom));
        let sbom = sbom.map(|sbom| Artifact::about(&manifest, sbom)).transpose()?;
        Ok(Self { platform, manifest, config, layers, sbom })
    }

    /// Configuration and layers: what the manifest names.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Blob> {
        std::iter::once(&self.config).chain(self.layers.iter().map(|layer| &layer.blob))
    }
}

impl Artifact {
    /// `content` as an artifact about `subject`, as version 1.1 of the image specification describes it.
    fn about(subject: &Blob, content: Blob) -> Result<Self> {
        let config = Blob::new(MediaType::EmptyJSON, b"{}".to_vec());
        let manifest = ImageManifestBuilder::default()
            .schema_version(2_u32)
            .media_type(MediaType::ImageManifest)
            .artifact_type(content.media_type.clone())
            .config(config.descriptor())
            .layers([content.descriptor()])
            .subject(subject.descriptor())
            .build()?;
        Ok(Self { manifest: Blob::json(MediaType::ImageManifest, &manifest)?, config, content })
    }

    /// For a list of referrers: with the type, so that nobody has to fetch the manifest to learn it.
    pub(crate) fn descriptor(&self) -> Descriptor {
        let mut descriptor = self.manifest.descriptor();
        descriptor.set_artifact_type(Some(self.content.media_type.clone()));
        descriptor
    }

    /// What the manifest names.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Blob> {
        [&self.config, &self.content].into_iter()
    }
}

/// One name for the images of all platforms: machines pull the one for theirs.
///
/// # Errors
/// When the document cannot be written.
pub(crate) fn index(recipe: &Recipe, origin: &Origin, images: &[Image]) -> Result<Blob> {
    let manifests = images.iter().map(|image| {
        let mut descriptor = image.manifest.descriptor();
        descriptor.set_platform(Some(image.platform.descriptor()));
        descriptor
    });
    let index = ImageIndexBuilder::default()
        .schema_version(2_u32)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests.collect::<Vec<_>>())
        .annotations(annotations(recipe, origin))
        .build()?;
    Blob::json(MediaType::ImageIndex, &index)
}

fn config(recipe: &Recipe, origin: &Origin, platform: Platform, layers: &[Layer]) -> Result<Blob> {
    let mut config = ConfigBuilder::default().labels(annotations(recipe, origin));
    if let Content::Program(program) = &recipe.content {
        let environment =
            [format!("PATH=/{PROGRAMS}:/usr/bin:/bin"), format!("SSL_CERT_FILE=/{CERTIFICATES}")];
        config = config
            .user(format!("{NONROOT}:{NONROOT}"))
            .env(environment)
            .entrypoint([format!("/{PROGRAMS}/{}", recipe.name)])
            .working_dir("/");
        if !program.ports.is_empty() {
            config = config.exposed_ports(program.ports.iter().map(|&it| it.to_owned()).collect::<Vec<_>>());
        }
    }
    let root = RootFsBuilder::default()
        .typ("layers")
        .diff_ids(layers.iter().map(|layer| layer.diff_id.to_string()).collect::<Vec<_>>())
        .build()?;
    let steps: &[&str] = match recipe.content {
        Content::Program(_) => &["certificates, account and licence", recipe.name],
        Content::Model(_) => &[recipe.name],
    };
    let history = steps.iter().map(|step| made(origin, step)).collect::<Result<Vec<_>>>()?;
    let mut configuration = ImageConfigurationBuilder::default()
        .created(origin.created.to_string())
        .architecture(platform.architecture())
        .os(Os::Linux)
        .config(config.build()?)
        .rootfs(root)
        .history(history);
    if let Some(variant) = platform.descriptor().variant() {
        configuration = configuration.variant(variant.clone());
    }
    Blob::json(MediaType::ImageConfig, &configuration.build()?)
}

fn made(origin: &Origin, step: &str) -> Result<History> {
    Ok(HistoryBuilder::default()
        .created(origin.created.to_string())
        .created_by("cargo xtask images")
        .comment(step)
        .build()?)
}

/// As labels for container runtimes, as annotations for registries.
fn annotations(recipe: &Recipe, origin: &Origin) -> HashMap<String, String> {
    let facts = [
        (ANNOTATION_CREATED, origin.created.to_string()),
        (ANNOTATION_DESCRIPTION, recipe.description.to_owned()),
        (ANNOTATION_LICENSES, LICENCE.to_owned()),
        (ANNOTATION_REVISION, origin.revision.clone()),
        (ANNOTATION_SOURCE, SOURCE.to_owned()),
        (ANNOTATION_TITLE, recipe.name.to_owned()),
        (ANNOTATION_VERSION, origin.version.clone()),
    ];
    facts.map(|(key, value)| (key.to_owned(), value)).into()
}

#[cfg(test)]
pub(crate) mod tests;
