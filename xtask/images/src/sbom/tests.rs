use std::path::Path;

use cargo_metadata::MetadataCommand;

use super::*;
use crate::image::tests::origin;

/// The SBOM of the sidecar of this workspace.
fn sbom() -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let options = ["--filter-platform", "x86_64-unknown-linux-musl"].map(str::to_owned);
    let metadata = MetadataCommand::new().current_dir(&root).other_options(options).exec().unwrap();
    let checksums = checksums(&Lockfile::load(root.join("Cargo.lock")).unwrap());
    let toolchain = Toolchain { rust: "1.2.3".to_owned() };
    let bytes =
        || document("llmd-sidecar", "llmd-sidecar", &origin(), &metadata, &checksums, &toolchain).unwrap();
    assert_eq!(bytes(), bytes());
    serde_json::from_slice(&bytes()).unwrap()
}

#[test]
fn the_sbom_lists_what_is_in_the_program_and_nothing_else() {
    let sbom = sbom();
    let names: BTreeSet<_> =
        sbom["packages"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    for name in
        ["llmd-sidecar", "llmd-common", "hyper", "ring", "mimalloc", "rust-std", "musl", "webpki-root-certs"]
    {
        assert!(names.contains(name), "{name} is in the image");
    }
    // A macro, a build script's tool, a test's tool, another program's crate.
    for name in ["serde_derive", "cc", "proptest", "tonic"] {
        assert!(!names.contains(name), "{name} is not in the image");
    }
}

#[test]
fn every_relation_is_between_listed_packages_and_every_crate_has_its_checksum() {
    let sbom = sbom();
    let packages = sbom["packages"].as_array().unwrap();
    let mut ids: BTreeSet<_> = packages.iter().map(|it| it["SPDXID"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), packages.len(), "identifiers are unique");
    for package in packages {
        let is_foreign = package["downloadLocation"].as_str().unwrap().starts_with("https://crates.io/");
        assert_eq!(package["checksums"].is_array(), is_foreign, "{package}");
        assert!(!package["licenseDeclared"].as_str().unwrap().contains('/'), "{package}");
    }
    ids.insert("SPDXRef-DOCUMENT");
    for relation in sbom["relationships"].as_array().unwrap() {
        for end in ["spdxElementId", "relatedSpdxElement"] {
            assert!(ids.contains(relation[end].as_str().unwrap()), "{relation}");
        }
    }
    let described = &sbom["relationships"][0];
    assert_eq!(described["relationshipType"], "DESCRIBES");
    assert!(described["relatedSpdxElement"].as_str().unwrap().starts_with("SPDXRef-crate-llmd-sidecar-"));
}
