//! What a program was made from, as an SPDX 2.3 document.
//!
//! The crates are those of `cargo metadata` that the program's package reaches for its platform through normal
//! dependencies; build scripts, macros and tests leave nothing in a program, so they are not listed. Features are
//! the workspace's, which may name a crate that the linker then left out, and never misses one. Checksums are those
//! of `Cargo.lock`. The standard library, the C library and the certificates are listed too.
//!
//! Format: <https://spdx.github.io/spdx-spec/v2.3/>.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use cargo_lock::Lockfile;
use cargo_metadata::{DependencyKind, Metadata, Package, PackageId};
use serde_json::{Value, json};

use crate::blob::{digest, hex};
use crate::image::SOURCE;
use crate::origin::Origin;

/// SHA-256 of crates by name and version.
pub(crate) type Checksums = BTreeMap<(String, String), String>;

/// What the compiler brings along: not in `Cargo.lock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toolchain {
    /// Version of rustc and so of the standard library.
    pub(crate) rust: String,
}

/// The checksums of `Cargo.lock`.
pub(crate) fn checksums(lockfile: &Lockfile) -> Checksums {
    let packages = lockfile.packages.iter();
    let known = packages.filter_map(|it| Some((it, it.checksum.as_ref()?.as_sha256()?)));
    known.map(|(it, sum)| ((it.name.to_string(), it.version.to_string()), hex(&sum))).collect()
}

/// The document about the program `name` of `package`. `metadata` is resolved for the platform.
///
/// # Errors
/// When `metadata` does not hold the package.
pub(crate) fn document(
    name: &str,
    package: &str,
    origin: &Origin,
    metadata: &Metadata,
    checksums: &Checksums,
    toolchain: &Toolchain,
) -> Result<Vec<u8>> {
    let graph = Graph::of(package, metadata)?;
    let crates = graph.reached.iter().map(|id| crate_entry(&metadata[id], checksums));
    let others = [
        other("rust-std", &toolchain.rust, "MIT OR Apache-2.0", "https://github.com/rust-lang/rust"),
        other("musl", "NOASSERTION", "MIT", "https://musl.libc.org"),
        authorities(metadata, checksums)?,
    ];
    let packages: Vec<Value> = crates.chain(others.clone()).collect();

    let root = spdx_id(&metadata[graph.root]);
    let described = relation("SPDXRef-DOCUMENT", "DESCRIBES", &root);
    let edges = graph
        .edges
        .iter()
        .map(|(from, to)| relation(&spdx_id(&metadata[from]), "DEPENDS_ON", &spdx_id(&metadata[to])));
    let others =
        others.iter().filter_map(|it| it["SPDXID"].as_str()).map(|it| relation(&root, "DEPENDS_ON", it));
    let relationships: Vec<Value> = std::iter::once(described).chain(edges).chain(others).collect();

    let content = digest(&serde_json::to_vec(&(&packages, &relationships))?);
    let document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{name}-{}", origin.version),
        // Unique to the content, so that equal builds have equal documents.
        "documentNamespace": format!("{SOURCE}/spdx/{name}/{}", content.digest()),
        "creationInfo": {
            "created": origin.created.to_string(),
            "creators": [format!("Tool: llmd-images-{}", origin.version)],
        },
        "packages": packages,
        "relationships": relationships,
    });
    Ok(serde_json::to_vec_pretty(&document)?)
}

/// The crates of a program and who needs whom.
struct Graph<'a> {
    root: &'a PackageId,
    reached: BTreeSet<&'a PackageId>,
    edges: BTreeSet<(&'a PackageId, &'a PackageId)>,
}

impl<'a> Graph<'a> {
    fn of(package: &str, metadata: &'a Metadata) -> Result<Self> {
        let members = metadata.workspace_packages();
        let root = members.into_iter().find(|it| it.name.as_str() == package);
        let root = &root.with_context(|| format!("{package} is not in the workspace"))?.id;
        let resolve = metadata.resolve.as_ref().context("cargo metadata resolved no dependencies")?;
        let needs: BTreeMap<&PackageId, Vec<&PackageId>> = resolve
            .nodes
            .iter()
            .map(|node| {
                let normal = node.deps.iter().filter(|dep| {
                    dep.dep_kinds.iter().any(|it| it.kind == DependencyKind::Normal)
                        && !is_macro(&metadata[&dep.pkg])
                });
                (&node.id, normal.map(|dep| &dep.pkg).collect())
            })
            .collect();
        let mut graph = Self { root, reached: BTreeSet::from([root]), edges: BTreeSet::new() };
        let mut next = vec![root];
        while let Some(from) = next.pop() {
            for &to in needs.get(from).into_iter().flatten() {
                graph.edges.insert((from, to));
                if graph.reached.insert(to) {
                    next.push(to);
                }
            }
        }
        Ok(graph)
    }
}

/// Macros run in the compiler; nothing of them is in the program.
fn is_macro(package: &Package) -> bool {
    package.targets.iter().any(cargo_metadata::Target::is_proc_macro)
}

fn crate_entry(package: &Package, checksums: &Checksums) -> Value {
    let (name, version) = (package.name.as_str(), package.version.to_string());
    let checksum = checksums.get(&(name.to_owned(), version.clone()));
    let download = match &package.source {
        Some(_) => format!("https://crates.io/api/v1/crates/{name}/{version}/download"),
        None => format!("git+{SOURCE}"),
    };
    let mut entry = json!({
        "SPDXID": spdx_id(package),
        "name": name,
        "versionInfo": version,
        "downloadLocation": download,
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": package.license.as_deref().map_or_else(|| "NOASSERTION".to_owned(), spdx_licence),
        "copyrightText": "NOASSERTION",
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": format!("pkg:cargo/{name}@{version}"),
        }],
    });
    if let Some(sum) = checksum {
        entry["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": sum}]);
    }
    entry
}

fn other(name: &str, version: &str, licence: &str, from: &str) -> Value {
    json!({
        "SPDXID": format!("SPDXRef-{name}"),
        "name": name,
        "versionInfo": version,
        "downloadLocation": from,
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": licence,
        "copyrightText": "NOASSERTION",
    })
}

/// The certificates lie beside the program, not in it, so no program depends on their crate.
fn authorities(metadata: &Metadata, checksums: &Checksums) -> Result<Value> {
    let package = metadata.packages.iter().find(|it| it.name.as_str() == "webpki-root-certs");
    Ok(crate_entry(package.context("webpki-root-certs is not in the workspace")?, checksums))
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

/// Letters, digits, dots and hyphens are what an SPDX identifier may hold.
fn spdx_id(package: &Package) -> String {
    let text = format!("SPDXRef-crate-{}-{}", package.name, package.version);
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
}

/// Old manifests separate licences by a slash, which means "or".
fn spdx_licence(text: &str) -> String {
    text.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

#[cfg(test)]
mod tests;
