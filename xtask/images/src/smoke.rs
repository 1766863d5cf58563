//! Images that were built serve their purpose: nothing that a program needs is missing from its root, and a model is
//! the one of the repository.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::GzDecoder;
use oci_spec::image::ANNOTATION_REVISION;
use serde_json::Value;
use tempfile::TempDir;

use crate::catalogue::{Content, RECIPES, Recipe};
use crate::origin::Origin;
use crate::platform::Platform;
use crate::tree::{CERTIFICATES, MODELS, PROGRAMS, sbom_path};

/// The root of the image for this machine, if `cargo xtask images` made it of this commit.
fn root(recipe: &Recipe) -> Option<TempDir> {
    let Some(archive) = built(recipe) else {
        println!("skipped: {} is built by `cargo xtask images`", recipe.name);
        return None;
    };
    let blobs = tempfile::tempdir().unwrap();
    tar::Archive::new(fs::File::open(archive).unwrap()).unpack(blobs.path()).unwrap();
    let image = &read(&blobs.path().join("manifest.json"))[0];
    let config = read(&blobs.path().join(image["Config"].as_str().unwrap()));
    let revision = &config["config"]["Labels"][ANNOTATION_REVISION];
    let here = Origin::of(&workspace(), env!("CARGO_PKG_VERSION"), None).unwrap().revision;
    if *revision != here {
        println!("skipped: {} was built of {revision}; `cargo xtask images` builds it anew", recipe.name);
        return None;
    }
    let root = tempfile::tempdir().unwrap();
    for layer in image["Layers"].as_array().unwrap() {
        unpack(&blobs.path().join(layer.as_str().unwrap()), root.path());
    }
    Some(root)
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where its archive lies.
fn built(recipe: &Recipe) -> Option<PathBuf> {
    let architecture = Platform::of_this_machine()?.architecture();
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let archive = target.join(format!("images/{}-{architecture}.tar", recipe.name));
    archive.exists().then_some(archive)
}

/// Unpacks a layer as a container runtime does.
fn unpack(layer: &Path, root: &Path) {
    let mut plain = Vec::new();
    GzDecoder::new(fs::File::open(layer).unwrap()).read_to_end(&mut plain).unwrap();
    let mut layer = tar::Archive::new(plain.as_slice());
    layer.set_preserve_permissions(true);
    layer.unpack(root).unwrap();
}

/// Runs a program of the image with nothing but the image around it.
fn inside(root: &Path, program: &str, args: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--root"]).arg(root).arg(program).args(args).env_clear();
    command
}

#[test]
fn every_built_image_runs_its_program() {
    let can_change_root = Command::new("unshare").args(["--user", "--map-root-user", "true"]).output();
    if !can_change_root.is_ok_and(|it| it.status.success()) {
        println!("skipped: programs run in another root, which this account may not change to");
        return;
    }
    for recipe in &RECIPES {
        let Some(program) = recipe.program() else { continue };
        let Some(root) = root(recipe) else { continue };
        for name in std::iter::once(&recipe.name).chain(program.links) {
            let output =
                inside(root.path(), &format!("/{PROGRAMS}/{name}"), &["--version"]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {errors}");
            assert!(said.contains(env!("CARGO_PKG_VERSION")), "{name} --version says {said}");
        }
        let authorities = fs::read_to_string(root.path().join(CERTIFICATES)).unwrap();
        assert!(authorities.starts_with("-----BEGIN CERTIFICATE-----"));
        assert_eq!(read(&root.path().join(sbom_path(recipe.name)))["spdxVersion"], "SPDX-2.3");
    }
}

#[test]
fn every_built_model_is_the_one_of_the_repository_and_readable_for_everyone() {
    for recipe in &RECIPES {
        let Content::Model(model) = &recipe.content else { continue };
        let Some(root) = root(recipe) else { continue };
        let here = workspace().join(model.folder);
        for name in model.files {
            let path = root.path().join(MODELS).join(name);
            assert!(fs::read(&path).unwrap() == fs::read(here.join(name)).unwrap(), "{name} differs");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        }
        assert_eq!(fs::read_dir(root.path().join(MODELS)).unwrap().count(), model.files.len());
    }
}
