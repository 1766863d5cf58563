//! Crates that others may use: each says what it is, packs all that it is made from, and builds without the rest of
//! the workspace. A crate is for others unless its manifest says `publish = false`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use cargo_metadata::Package;

use crate::command::{self, cargo, say};
use crate::workspace::{self, root};

/// Macros that read a file while compiling.
const READERS: [&str; 2] = ["include_str!", "include_bytes!"];

/// Packs the crates without building them, which takes seconds: building what was packed is `cargo package`.
pub(crate) fn check() -> Result<()> {
    let metadata = workspace::metadata()?;
    let published: Vec<&Package> =
        metadata.workspace_packages().into_iter().filter(|it| is_published(it)).collect();
    let mut violations = Vec::new();
    for package in &published {
        violations.extend(unsaid(package));
        violations.extend(left_out(package)?);
    }
    if !violations.is_empty() {
        bail!("\n  {}", violations.join("\n  "));
    }
    let mut pack = cargo();
    pack.current_dir(root()).args(["package", "--quiet", "--no-verify", "--allow-dirty"]);
    for package in &published {
        pack.args(["--package", &package.name]);
    }
    command::run(&mut pack)
}

/// Checks each crate by itself. Among others it may use a feature that only they switch on.
pub(crate) fn check_each() -> Result<()> {
    let metadata = workspace::metadata()?;
    let mut failed = Vec::new();
    for package in metadata.workspace_packages() {
        say(&format!("lint: {} alone", package.name));
        let mut check = cargo();
        check.current_dir(root()).args(["check", "--quiet", "--package", &package.name]);
        if command::run(&mut check).is_err() {
            failed.push(package.name.as_str());
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("only build with the rest: {}", failed.join(", ")) }
}

fn is_published(package: &Package) -> bool {
    package.publish.as_ref().is_none_or(|registries| !registries.is_empty())
}

/// What a registry shows of a crate and its manifest does not say.
fn unsaid(package: &Package) -> Vec<String> {
    let said = [
        ("description", package.description.is_some()),
        ("license", package.license.is_some()),
        ("repository", package.repository.is_some()),
        ("rust-version", package.rust_version.is_some()),
        ("readme", package.readme.is_some()),
        ("keywords", (1..=5).contains(&package.keywords.len())),
        ("categories", !package.categories.is_empty()),
    ];
    let unsaid = said.iter().filter(|(_, is_said)| !is_said);
    unsaid.map(|(field, _)| format!("{}: Cargo.toml says no {field}", package.name)).collect()
}

/// Files that the sources of `package` read while compiling and that its package would not hold.
fn left_out(package: &Package) -> Result<Vec<String>> {
    let mut list = cargo();
    list.current_dir(root()).args(["package", "--list", "--allow-dirty", "--package", &package.name]);
    let packed: BTreeSet<PathBuf> = command::output(&mut list)?.lines().map(PathBuf::from).collect();
    let folder = package.manifest_path.parent().context("a manifest lies in a folder")?;
    let mut found = Vec::new();
    for source in packed.iter().filter(|it| it.extension().is_some_and(|it| it == "rs")) {
        let text = fs::read_to_string(folder.as_std_path().join(source))?;
        let missing = read_by(source, &text).into_iter().filter(|path| !packed.contains(path));
        found.extend(missing.map(|path| {
            let (name, source, path) = (&package.name, source.display(), path.display());
            format!("{name}: {source} reads {path}, which is not packed: see `include` in Cargo.toml")
        }));
    }
    Ok(found)
}

/// The files that `text`, the source at `path`, reads while compiling; `../` first means outside the crate.
fn read_by(path: &Path, text: &str) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let arguments = READERS.iter().flat_map(|reader| text.split(reader).skip(1));
    let literals =
        arguments.filter_map(|it| it.strip_prefix('(')?.trim_start().strip_prefix('"')?.split('"').next());
    literals.map(|it| without_detours(&folder.join(it))).collect()
}

/// `a/../b` as `b`.
fn without_detours(path: &Path) -> PathBuf {
    let mut straight = PathBuf::new();
    for part in path.components() {
        let can_return = straight.file_name().is_some();
        match part {
            Component::ParentDir if can_return => _ = straight.pop(),
            _ => straight.push(part),
        }
    }
    straight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_files_that_a_source_reads() {
        let [text, bytes] = READERS;
        let source = format!(
            "#[doc = {text}(\"../README.md\")]\nconst A: &[u8] = {bytes}(\n    \"a/b.bin\");\n{text}(concat!(x))"
        );
        assert_eq!(
            read_by(Path::new("src/lib.rs"), &source),
            ["README.md", "src/a/b.bin"].map(PathBuf::from)
        );
        let outside = format!("{text}(\"../../../other/x.yaml\")");
        assert_eq!(read_by(Path::new("src/a.rs"), &outside), [PathBuf::from("../../other/x.yaml")]);
    }

    #[test]
    fn a_crate_for_others_says_what_it_is() {
        let metadata = workspace::metadata().unwrap();
        let packages = metadata.workspace_packages();
        let named = |name: &str| *packages.iter().find(|it| it.name == name).unwrap();
        assert!(is_published(named("llmd-kv")) && !is_published(named("xtask")));
        assert_eq!(unsaid(named("llmd-kv")), [""; 0]);
        assert_eq!(left_out(named("llmd-epp")).unwrap(), [""; 0]);
        let expected = ["repository", "readme", "keywords", "categories"];
        assert_eq!(unsaid(named("xtask")), expected.map(|it| format!("xtask: Cargo.toml says no {it}")));
    }
}
