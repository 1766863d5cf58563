//! The programs for those who run them without containers: one archive a platform, and the SBOMs as files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Files;
use crate::kitchen::Made;
use crate::layer;
use crate::platform::Platform;
use crate::tree::{Node, Tree};

/// What lies beside the programs.
const TEXTS: [&str; 2] = ["LICENSE", "README.md"];

/// The files for each of `platforms`; `root` is the repository.
///
/// # Errors
/// When a text of the repository cannot be read.
pub(super) fn files(root: &Path, version: &str, platforms: &[Platform], made: &[Made]) -> Result<Files> {
    let mut files = Files::new();
    for &platform in platforms {
        let folder = format!("llmd-{version}-linux-{}", platform.architecture());
        let mut tree = Tree::default();
        for text in TEXTS {
            let content = fs::read(root.join(text)).with_context(|| format!("cannot read {text}"))?;
            tree.add(&format!("{folder}/{text}"), Node::File { mode: 0o644, content });
        }
        for (name, built) in built_for(made, platform) {
            let program = Node::File { mode: 0o755, content: built.executable.clone() };
            tree.add(&format!("{folder}/bin/{name}"), program);
            let path = format!("sbom/{name}-{version}-linux-{}.spdx.json", platform.architecture());
            files.insert(path, built.sbom.clone());
        }
        files.insert(format!("{folder}.tar.gz"), layer::pack(&tree)?.blob.bytes);
    }
    Ok(files)
}

fn built_for(
    made: &[Made],
    platform: Platform,
) -> impl Iterator<Item = (&'static str, &crate::kitchen::Built)> {
    let programs = made.iter().flat_map(|it| it.programs.iter().map(|built| (it.recipe.name, built)));
    programs.filter(move |(_, built)| built.platform == platform)
}
