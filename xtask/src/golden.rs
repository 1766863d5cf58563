//! `cargo xtask golden`: makes the reference fixtures again.
//!
//! The fixtures in the repository say what the Python ecosystem (transformers, tokenizers, Jinja2) answers; tests read
//! them and need no Python. This command is for whoever adds a case: it sets up a virtual environment with pinned
//! versions under `target/` (torch is about 5 GB there) and runs the scripts in `xtask/golden`. Everything is seeded,
//! so without a change to a script `git status` stays clean afterwards.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;
use crate::workspace::root;

/// The scripts, in the order they run.
const SCRIPTS: [&str; 3] = ["models.py", "templates.py", "text.py"];

/// Sets up Python where needed and writes all fixtures.
pub(crate) fn run() -> Result<()> {
    let scripts = root().join("xtask/golden");
    let python = environment(&root().join("target/golden-venv"), &scripts.join("requirements.txt"))?;
    for script in SCRIPTS {
        command::run(Command::new(&python).arg(scripts.join(script)).current_dir(root()))?;
    }
    Ok(())
}

/// The Python of a virtual environment that holds the requirements. Pip does nothing when all are already there.
fn environment(venv: &Path, requirements: &Path) -> Result<PathBuf> {
    let python = venv.join("bin/python");
    // Without pip the environment is one that Python could not finish.
    if !venv.join("bin/pip").exists() {
        let made = command::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv));
        made.context("cannot make a virtual environment; on Debian it needs the package python3-venv")?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    command::run(Command::new(&python).args(pip).arg(requirements))?;
    Ok(python)
}
