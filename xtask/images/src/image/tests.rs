use oci_spec::image::{ImageConfiguration, ImageIndex, ImageManifest};

use super::*;
use crate::catalogue::RECIPES;
use crate::layer::pack;
use crate::tree;

pub(crate) fn origin() -> Origin {
    Origin {
        version: "1.2.3".to_owned(),
        revision: "0123456789abcdef".to_owned(),
        created: "2024-05-06T07:08:09Z".parse().unwrap(),
    }
}

/// Images of a small program for both platforms.
pub(crate) fn images(recipe: &Recipe) -> Vec<Image> {
    let image = |platform: Platform| {
        let trees = match &recipe.content {
            Content::Program(program) => {
                let executable = format!("program for {platform}").into_bytes();
                let own = tree::program(recipe.name, program, executable, b"{}".to_vec());
                vec![tree::base("certificates"), own]
            }
            Content::Model(_) => vec![tree::model(vec![("config.json", b"{}".to_vec())])],
        };
        let layers = trees.iter().map(|tree| pack(tree).unwrap()).collect();
        let sbom = recipe.program().map(|_| b"{}".to_vec());
        Image::assemble(recipe, &origin(), Ingredients { platform, layers, sbom }).unwrap()
    };
    [Platform::Amd64, Platform::Arm64].map(image).into()
}

pub(crate) fn engine() -> &'static Recipe {
    recipe("llmd-engine")
}

pub(crate) fn recipe(name: &str) -> &'static Recipe {
    RECIPES.iter().find(|recipe| recipe.name == name).unwrap()
}

#[test]
fn assembling_twice_gives_the_same_bytes() {
    assert_eq!(images(engine()), images(engine()));
    let index = |images: &[Image]| index(engine(), &origin(), images).unwrap();
    assert_eq!(index(&images(engine())), index(&images(engine())));
}

#[test]
fn the_manifest_names_what_the_image_consists_of() {
    for image in images(engine()) {
        let manifest = ImageManifest::from_reader(image.manifest.bytes.as_slice()).unwrap();
        assert_eq!(manifest.config(), &image.config.descriptor());
        let layers: Vec<_> = image.layers.iter().map(|layer| layer.blob.descriptor()).collect();
        assert_eq!(manifest.layers(), &layers);
        let annotations = manifest.annotations().clone().unwrap();
        assert_eq!(annotations[ANNOTATION_REVISION], origin().revision);
        assert_eq!(annotations[ANNOTATION_CREATED], "2024-05-06T07:08:09Z");
    }
}

#[test]
fn the_configuration_runs_the_program_as_nobody_in_particular() {
    let images = images(engine());
    for image in &images {
        let read = ImageConfiguration::from_reader(image.config.bytes.as_slice()).unwrap();
        assert_eq!(read.architecture(), &image.platform.architecture());
        let diff_ids: Vec<_> = image.layers.iter().map(|layer| layer.diff_id.to_string()).collect();
        assert_eq!(read.rootfs().diff_ids(), &diff_ids);
        assert_eq!(read.history().as_ref().unwrap().len(), diff_ids.len());
        let config = read.config().as_ref().unwrap();
        assert_eq!(config.user().as_deref(), Some("65532:65532"));
        assert_eq!(config.entrypoint().as_deref().unwrap(), ["/usr/local/bin/llmd-engine"]);
        assert_eq!(config.exposed_ports().as_deref().unwrap(), ["8000/tcp"]);
        assert_eq!(config.labels().as_ref().unwrap()[ANNOTATION_TITLE], "llmd-engine");
    }
    assert_eq!(images[0].layers[0], images[1].layers[0], "the shared layer is one");
}

#[test]
fn a_model_is_the_same_layer_everywhere_and_runs_nothing() {
    let images = images(recipe("llmd-tiny"));
    assert_eq!(images[0].layers, images[1].layers);
    for image in &images {
        assert_eq!((image.layers.len(), &image.sbom), (1, &None));
        let read = ImageConfiguration::from_reader(image.config.bytes.as_slice()).unwrap();
        assert_eq!(read.architecture(), &image.platform.architecture());
        let config = read.config().as_ref().unwrap();
        assert_eq!((config.user(), config.entrypoint(), config.env()), (&None, &None, &None));
        assert_eq!(config.labels().as_ref().unwrap()[ANNOTATION_TITLE], "llmd-tiny");
    }
}

#[test]
fn the_index_tells_platforms_apart() {
    let images = images(engine());
    let index = index(engine(), &origin(), &images).unwrap();
    let index = ImageIndex::from_reader(index.bytes.as_slice()).unwrap();
    let found = index.manifests().iter().map(|it| {
        let platform = it.platform().as_ref().unwrap();
        (platform.architecture().to_string(), it.digest().clone())
    });
    let expected =
        images.iter().map(|it| (it.platform.architecture().to_string(), it.manifest.digest.clone()));
    assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

#[test]
fn the_sbom_refers_to_its_image() {
    for image in images(engine()) {
        let sbom = image.sbom.as_ref().unwrap();
        let manifest = ImageManifest::from_reader(sbom.manifest.bytes.as_slice()).unwrap();
        assert_eq!(manifest.subject().as_ref(), Some(&image.manifest.descriptor()));
        assert_eq!(manifest.artifact_type().as_ref().unwrap().to_string(), SPDX);
        assert_eq!(manifest.layers(), &[sbom.content.descriptor()]);
    }
}
