//! `cargo xtask codegen`: files that are made from code and kept in the repository.
//!
//! Today these are the CustomResourceDefinitions of `charts/llmd-crds`, made from the wire types. Readers and Helm
//! take them as they are, so they are committed, and `cargo xtask lint` fails when they are not what the code says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use llmd_api::crd::{self, Definition, Variant};

use crate::command::say;
use crate::workspace::root;

/// Folder that holds nothing but generated files.
const CRDS: &str = "charts/llmd-crds/files";
const HEADER: &str = "# Generated from crates/api by `cargo xtask codegen`. Do not edit.\n";

/// Writes the files, or with `check` only compares them.
pub(crate) fn run(check: bool) -> Result<()> {
    if check { self::check() } else { write() }
}

/// Fails when a file differs from what the code says.
pub(crate) fn check() -> Result<()> {
    let (expected, present) = (files()?, present(&root().join(CRDS))?);
    let names: BTreeSet<&PathBuf> = expected.keys().chain(present.keys()).collect();
    let stale: Vec<String> = names
        .into_iter()
        .filter(|it| expected.get(*it) != present.get(*it))
        .map(|it| format!("{CRDS}/{}", it.display()))
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    bail!("run `cargo xtask codegen`; out of date: {}", stale.join(", "))
}

fn write() -> Result<()> {
    let folder = root().join(CRDS);
    let expected = files()?;
    for (name, text) in &expected {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(&folder);
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    for name in present(&folder)?.keys().filter(|it| !expected.contains_key(*it)) {
        fs::remove_file(folder.join(name)).with_context(|| format!("cannot remove {}", name.display()))?;
    }
    say(&format!("codegen: {} files in {CRDS}", expected.len()));
    Ok(())
}

/// What the folder must hold: texts by path.
fn files() -> Result<BTreeMap<PathBuf, String>> {
    let groups = [
        ("full", crd::serving(Variant::Full)),
        ("slim", crd::serving(Variant::Slim)),
        ("inference", crd::inference()),
    ];
    let files = groups.into_iter().flat_map(|(folder, definitions)| {
        definitions
            .into_iter()
            .map(move |it| Ok((Path::new(folder).join(format!("{}.yaml", it.name)), yaml(&it)?)))
    });
    files.collect()
}

fn yaml(definition: &Definition) -> Result<String> {
    let text = serde_saphyr::to_string(&definition.object);
    Ok(format!("{HEADER}{}", text.with_context(|| format!("cannot write {} as YAML", definition.name))?))
}

/// What the folder holds now.
fn present(folder: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(current) = folders.pop() {
        let Ok(entries) = fs::read_dir(&current) else { continue };
        for entry in entries {
            let path = entry.with_context(|| format!("cannot list {}", current.display()))?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.insert(path.strip_prefix(folder).unwrap_or(&path).to_path_buf(), text);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_says_what_the_definition_says() {
        for definition in
            [crd::serving(Variant::Full), crd::serving(Variant::Slim), crd::inference()].concat()
        {
            let text = yaml(&definition).unwrap();
            let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
            assert!(read == definition.object, "{}", definition.name);
        }
    }
}
