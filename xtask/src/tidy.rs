//! House rules that no compiler knows: headers, lengths, words that must not stay, manifests, paths in documents.

mod documents;
mod manifests;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace::root;

/// Folders that hold crates.
const CODE_FOLDERS: [&str; 3] = ["crates", "e2e", "xtask"];

/// Fails with every violation, one a line.
pub(crate) fn check() -> Result<()> {
    let mut violations = Vec::new();
    for folder in CODE_FOLDERS {
        for path in files_below(&root().join(folder))? {
            let name = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
            let text = || fs::read_to_string(&path).with_context(|| format!("cannot read {name}"));
            if path.extension().is_some_and(|it| it == "rs") {
                violations.extend(sources::violations(&name, &text()?));
            } else if path.file_name().is_some_and(|it| it == "Cargo.toml") {
                violations.extend(manifests::violations(&name, &text()?));
            }
        }
    }
    violations.extend(documents::dead_paths(root())?);
    if violations.is_empty() { Ok(()) } else { bail!("\n  {}", violations.join("\n  ")) }
}

/// All files of a folder at any depth, in a fixed order.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut paths = entries.map(|it| it.map(|it| it.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() { files.extend(files_below(&path)?) } else { files.push(path) }
    }
    Ok(files)
}
