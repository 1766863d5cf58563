//! Reading the models of the repository.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::catalogue::Model;

/// Name and content of the files of `model`; `root` is the repository.
///
/// # Errors
/// When one cannot be read.
pub(crate) fn files(root: &Path, model: &Model) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let folder = root.join(model.folder);
    let read = |&name: &&'static str| {
        let path = folder.join(name);
        Ok((name, fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?))
    };
    model.files.iter().map(read).collect()
}
