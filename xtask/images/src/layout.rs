//! Images as files: a folder in the OCI image layout, and archives that container runtimes import.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use oci_spec::image::{ANNOTATION_REF_NAME, Descriptor, ImageIndexBuilder, MediaType};
use serde_json::json;
use tar::{Builder, Header};

use crate::blob::Blob;
use crate::image::{Artifact, Image};

/// containerd's name of an image in an archive.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Writes the images of all platforms and their SBOMs into `folder`, in the place of what was there.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write_folder(folder: &Path, tag: &str, index: &Blob, images: &[Image]) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    for (path, bytes) in folder_files(tag, index, images)? {
        let path = folder.join(path);
        let above = path.parent().expect("every file lies in the folder");
        fs::create_dir_all(above).with_context(|| format!("cannot make {}", above.display()))?;
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The files of an image layout, by path. <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>
fn folder_files(tag: &str, index: &Blob, images: &[Image]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut named = index.descriptor();
    named.set_annotations(Some([(ANNOTATION_REF_NAME.to_owned(), tag.to_owned())].into()));
    let referrers = images.iter().filter_map(|image| image.sbom.as_ref()).map(Artifact::descriptor);
    let mut files = layout_files(std::iter::once(named).chain(referrers).collect())?;
    let blobs = images.iter().flat_map(|image| {
        let sbom = image.sbom.iter().flat_map(|sbom| std::iter::once(&sbom.manifest).chain(sbom.parts()));
        std::iter::once(&image.manifest).chain(image.parts()).chain(sbom)
    });
    files.extend(std::iter::once(index).chain(blobs).map(|blob| (blob.path(), blob.bytes.clone())));
    Ok(files)
}

/// An archive of the image for one platform under its full name, such as `localhost/llmd-epp:dev`. containerd and
/// kind read `index.json`, Docker may read `manifest.json`. The same image gives the same bytes.
///
/// # Errors
/// When a document cannot be written.
pub(crate) fn archive(name: &str, image: &Image) -> Result<Vec<u8>> {
    let mut named = image.manifest.descriptor();
    let (_, tag) = name.rsplit_once(':').context("the name of an image ends with a tag")?;
    let names = [(CONTAINERD_NAME, name), (ANNOTATION_REF_NAME, tag)];
    named.set_annotations(Some(names.map(|(key, value)| (key.to_owned(), value.to_owned())).into()));
    named.set_platform(Some(image.platform.descriptor()));
    let mut files = layout_files(vec![named])?;
    let for_docker = json!([{
        "Config": image.config.path(),
        "RepoTags": [name],
        "Layers": image.layers.iter().map(|layer| layer.blob.path()).collect::<Vec<_>>(),
    }]);
    files.insert("manifest.json".to_owned(), serde_json::to_vec(&for_docker)?);
    let blobs = std::iter::once(&image.manifest).chain(image.parts());
    files.extend(blobs.map(|blob| (blob.path(), blob.bytes.clone())));

    let mut archive = Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = Header::new_ustar();
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, path, bytes.as_slice())?;
    }
    Ok(archive.into_inner()?)
}

fn layout_files(manifests: Vec<Descriptor>) -> Result<BTreeMap<String, Vec<u8>>> {
    let index = ImageIndexBuilder::default()
        .schema_version(2_u32)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests);
    let index = Blob::json(MediaType::ImageIndex, &index.build()?)?;
    let version = serde_json::to_vec(&json!({"imageLayoutVersion": "1.0.0"}))?;
    Ok([("oci-layout".to_owned(), version), ("index.json".to_owned(), index.bytes)].into())
}

#[cfg(test)]
mod tests {
    use oci_spec::image::{ImageIndex, ImageManifest};

    use super::*;
    use crate::blob::digest;
    use crate::catalogue::Recipe;
    use crate::image::tests::{engine, images, origin, recipe};

    #[test]
    fn every_blob_of_the_folder_is_found_from_its_index_and_lies_under_its_digest() {
        every_blob_is_found(engine());
        every_blob_is_found(recipe("llmd-tiny"));
    }

    fn every_blob_is_found(recipe: &Recipe) {
        let images = images(recipe);
        let index = crate::image::index(recipe, &origin(), &images).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join(recipe.name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("left-over"), "").unwrap();
        write_folder(&folder, "dev", &index, &images).unwrap();
        assert!(!folder.join("left-over").exists());

        let read = |descriptor: &Descriptor| {
            let digest_of = descriptor.digest();
            let bytes = fs::read(folder.join(format!("blobs/sha256/{}", digest_of.digest()))).unwrap();
            assert_eq!((&digest(&bytes), bytes.len() as u64), (digest_of, descriptor.size()));
            bytes
        };
        let mut found = std::collections::BTreeSet::new();
        let mut next = ImageIndex::from_file(folder.join("index.json")).unwrap().manifests().clone();
        assert_eq!(next[0].annotations().as_ref().unwrap()[ANNOTATION_REF_NAME], "dev");
        while let Some(descriptor) = next.pop() {
            let bytes = read(&descriptor);
            match descriptor.media_type() {
                MediaType::ImageIndex => {
                    next.extend(ImageIndex::from_reader(bytes.as_slice()).unwrap().manifests().clone());
                }
                MediaType::ImageManifest => {
                    let manifest = ImageManifest::from_reader(bytes.as_slice()).unwrap();
                    next.extend(std::iter::once(manifest.config().clone()).chain(manifest.layers().clone()));
                }
                _ => {}
            }
            found.insert(descriptor.digest().digest().to_owned());
        }
        let stored = fs::read_dir(folder.join("blobs/sha256")).unwrap();
        let stored = stored.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(found, stored);
    }

    #[test]
    fn an_archive_names_its_image_for_containerd_and_for_docker() {
        let image = images(engine()).remove(0);
        let bytes = archive("localhost/llmd-engine:dev", &image).unwrap();
        assert_eq!(bytes, archive("localhost/llmd-engine:dev", &image).unwrap());
        let mut read = tar::Archive::new(bytes.as_slice());
        let mut files = BTreeMap::new();
        for entry in read.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
            files.insert(path, content);
        }
        let index = ImageIndex::from_reader(files["index.json"].as_slice()).unwrap();
        let [named] = index.manifests().as_slice() else { panic!("one image") };
        assert_eq!(named.annotations().as_ref().unwrap()[CONTAINERD_NAME], "localhost/llmd-engine:dev");
        assert_eq!(files[&image.manifest.path()], image.manifest.bytes);
        let docker: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(docker[0]["RepoTags"][0], "localhost/llmd-engine:dev");
        assert!(files.contains_key(docker[0]["Config"].as_str().unwrap()));
        for layer in docker[0]["Layers"].as_array().unwrap() {
            assert!(files.contains_key(layer.as_str().unwrap()));
        }
    }
}
