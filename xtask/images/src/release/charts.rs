//! Helm charts as archives and as artifacts of a registry, made in process: `helm package` writes the time of day into
//! each file, and these have none.
//!
//! Formats: <https://helm.sh/docs/topics/charts/>, <https://github.com/helm/community/blob/main/hips/hip-0006.md>.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use oci_spec::image::{
    ANNOTATION_CREATED, ANNOTATION_DESCRIPTION, ANNOTATION_REVISION, ANNOTATION_SOURCE, ANNOTATION_TITLE,
    ANNOTATION_VERSION, ImageManifestBuilder, MediaType,
};
use serde_json::Value;

use crate::blob::Blob;
use crate::image::{Artifact, SOURCE};
use crate::layer;
use crate::origin::Origin;
use crate::tree::{Node, Tree};

const METADATA: &str = "application/vnd.cncf.helm.config.v1+json";
const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// A chart with the charts that it depends on.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    pub(super) name: String,
    /// `Chart.yaml`.
    metadata: Value,
    /// The archive that `helm install` takes.
    pub(super) package: Vec<u8>,
}

/// The charts in `folder`, in the order of their names.
///
/// # Errors
/// When one is of another version than `version`, or cannot be read.
pub(super) fn read_all(folder: &Path, version: &str) -> Result<Vec<Chart>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut paths = entries.map(|it| Ok(it?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|it| it.join("Chart.yaml").is_file());
    paths.sort();
    paths.iter().map(|path| Chart::read(path, version)).collect()
}

impl Chart {
    fn read(folder: &Path, version: &str) -> Result<Self> {
        let path = folder.join("Chart.yaml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let metadata: Value =
            serde_saphyr::from_str(&text).with_context(|| format!("{} is no YAML", path.display()))?;
        let field = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
        for name in ["version", "appVersion"] {
            let said = field(name);
            let path = path.display();
            ensure!(said == version, "{path}: {name} is {said}, not {version}: see `cargo xtask version`");
        }
        let mut tree = Tree::default();
        let name = field("name");
        add(&mut tree, &name, folder)?;
        Ok(Self { package: layer::pack(&tree)?.blob.bytes, name, metadata })
    }

    /// As Helm names it.
    pub(super) fn file_name(&self) -> String {
        format!("{}-{}.tgz", self.name, self.field("version"))
    }

    /// As `helm push` sends it.
    ///
    /// # Errors
    /// When a document cannot be written.
    pub(super) fn artifact(&self, origin: &Origin) -> Result<Artifact> {
        let config = Blob::json(MediaType::Other(METADATA.to_owned()), &self.metadata)?;
        let content = Blob::new(MediaType::Other(CONTENT.to_owned()), self.package.clone());
        let facts = [
            (ANNOTATION_CREATED, origin.created.to_string()),
            (ANNOTATION_DESCRIPTION, self.field("description")),
            (ANNOTATION_REVISION, origin.revision.clone()),
            (ANNOTATION_SOURCE, SOURCE.to_owned()),
            (ANNOTATION_TITLE, self.name.clone()),
            (ANNOTATION_VERSION, self.field("version")),
        ];
        let manifest = ImageManifestBuilder::default()
            .schema_version(2_u32)
            .media_type(MediaType::ImageManifest)
            .config(config.descriptor())
            .layers([content.descriptor()])
            .annotations(
                facts.map(|(key, value)| (key.to_owned(), value)).into_iter().collect::<HashMap<_, _>>(),
            )
            .build()?;
        Ok(Artifact { manifest: Blob::json(MediaType::ImageManifest, &manifest)?, config, content })
    }

    fn field(&self, name: &str) -> String {
        self.metadata[name].as_str().unwrap_or_default().to_owned()
    }
}

/// Adds what lies in `folder`. Charts that others depend on are links in a checkout and folders in an archive.
fn add(tree: &mut Tree, path: &str, folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = format!("{path}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            add(tree, &path, &entry.path())?;
        } else {
            let content = fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
            tree.add(&path, Node::File { mode: 0o644, content });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
