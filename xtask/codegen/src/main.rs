//! `cargo xtask codegen`: files that are made from code and kept in the repository.
//!
//! The CustomResourceDefinitions come from the wire types; the controller's rights, webhooks and presets from the
//! controller; dashboards and alerts from their descriptions. Readers and Helm take them as they are, so they are
//! committed, and `cargo xtask lint` fails when they are not what the code says.

mod controller;
mod crds;
mod observability;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;

#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask codegen")]
struct Options {
    /// Write nothing; fail when a file differs
    #[arg(long)]
    check: bool,
}

/// A folder that holds nothing but generated files, and how to make them: texts by path.
type Generated = (&'static str, fn() -> Result<BTreeMap<PathBuf, String>>);

const FOLDERS: [Generated; 3] = [
    ("llmd-crds/files", crds::files),
    ("llmd-controller/files", controller::files),
    ("llmd-observability/files", observability::files),
];

fn main() -> ExitCode {
    let options = Options::parse();
    let done = if options.check { check() } else { FOLDERS.into_iter().try_for_each(write) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without standard error nobody can be told.
            let _ = writeln!(std::io::stderr(), "codegen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Fails when a file differs from what the code says.
fn check() -> Result<()> {
    let mut stale = Vec::new();
    for (folder, files) in FOLDERS {
        let (expected, present) = (files()?, present(&charts().join(folder))?);
        let names: BTreeSet<&PathBuf> = expected.keys().chain(present.keys()).collect();
        let differ = names.into_iter().filter(|it| expected.get(*it) != present.get(*it));
        stale.extend(differ.map(|it| format!("charts/{folder}/{}", it.display())));
    }
    if stale.is_empty() {
        return Ok(());
    }
    bail!("run `cargo xtask codegen`; out of date: {}", stale.join(", "))
}

fn write((name, files): Generated) -> Result<()> {
    let folder = charts().join(name);
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
    // A reader that closed the pipe wants no more.
    let _ = writeln!(std::io::stdout(), "codegen: {} files in charts/{name}", expected.len());
    Ok(())
}

fn charts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts")
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
