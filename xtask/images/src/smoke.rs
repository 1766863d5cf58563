//! Images that were built serve their purpose: nothing that a program needs is missing from its root, and a model is
//! the one of the repository.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::GzDecoder;
use tempfile::TempDir;

use crate::catalogue::{Content, RECIPES, Recipe};
use crate::platform::Platform;
use crate::tree::{CERTIFICATES, MODELS, PROGRAMS, sbom_path};

/// The root of the image for this machine, if `cargo xtask images` made it.
fn root(recipe: &Recipe) -> Option<TempDir> {
    let Some(archive) = built(recipe) else {
        println!("skipped: {} is built by `cargo xtask images`", recipe.name);
        return None;
    };
    let root = tempfile::tempdir().unwrap();
    unpack(&archive, root.path());
    Some(root)
}

/// Where its archive lies.
fn built(recipe: &Recipe) -> Option<PathBuf> {
    let architecture = Platform::of_this_machine()?.architecture();
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let archive = target.join(format!("images/{}-{architecture}.tar", recipe.name));
    archive.exists().then_some(archive)
}

/// Unpacks the layers of an archive as a container runtime does.
fn unpack(archive: &Path, root: &Path) {
    let blobs = tempfile::tempdir().unwrap();
    tar::Archive::new(fs::File::open(archive).unwrap()).unpack(blobs.path()).unwrap();
    let manifest = fs::read(blobs.path().join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    for layer in manifest[0]["Layers"].as_array().unwrap() {
        let layer = fs::File::open(blobs.path().join(layer.as_str().unwrap())).unwrap();
        let mut plain = Vec::new();
        GzDecoder::new(layer).read_to_end(&mut plain).unwrap();
        let mut layer = tar::Archive::new(plain.as_slice());
        layer.set_preserve_permissions(true);
        layer.unpack(root).unwrap();
    }
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
        let sbom = fs::read(root.path().join(sbom_path(recipe.name))).unwrap();
        let sbom: serde_json::Value = serde_json::from_slice(&sbom).unwrap();
        assert_eq!(sbom["spdxVersion"], "SPDX-2.3");
    }
}

#[test]
fn every_built_model_is_the_one_of_the_repository_and_readable_for_everyone() {
    for recipe in &RECIPES {
        let Content::Model(model) = &recipe.content else { continue };
        let Some(root) = root(recipe) else { continue };
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(model.folder);
        for name in model.files {
            let path = root.path().join(MODELS).join(name);
            assert!(fs::read(&path).unwrap() == fs::read(here.join(name)).unwrap(), "{name} differs");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        }
        assert_eq!(fs::read_dir(root.path().join(MODELS)).unwrap().count(), model.files.len());
    }
}
