//! `llmd render`: the objects that the controller would apply for a manifest, as YAML.

use std::io::Write as _;

use crate::args::RenderArgs;
use crate::manifest;

/// Why nothing was printed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The manifest has no plan.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// An object cannot be written as YAML.
    #[error("cannot write YAML")]
    Yaml(#[source] serde_saphyr::ser::Error),
    /// Standard output is gone.
    #[error("cannot write to standard output")]
    Write(#[from] std::io::Error),
}

/// Prints every object in apply order; warnings go to standard error.
///
/// # Errors
/// See [`Error`].
pub fn run(args: &RenderArgs) -> Result<(), Error> {
    let plan = manifest::read(&args.manifest)?.plan()?;
    for warning in &plan.warnings {
        writeln!(std::io::stderr(), "warning: {warning}")?;
    }
    let mut out = std::io::stdout().lock();
    for child in &plan.children {
        write!(out, "---\n{}", serde_saphyr::to_string(&child.body).map_err(Error::Yaml)?)?;
    }
    Ok(())
}
