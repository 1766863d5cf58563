//! Programs from Go modules, without C, version control stamps or a container registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::command::shown;
use crate::workspace::root;

/// Version of Kubernetes, as in `e2e/k8s/go.mod`; stamped into the programs because clients compare it.
const KUBERNETES: (&str, &str) = ("v1.36.3", "36");

/// A version of a Go module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Module {
    pub(super) path: &'static str,
    pub(super) version: &'static str,
}

impl Module {
    /// Where Go keeps the module's sources; downloads them if need be.
    pub(super) fn folder(self) -> Result<PathBuf> {
        let anywhere = std::env::temp_dir();
        done(go(&anywhere).args(["mod", "download", &format!("{}@{}", self.path, self.version)]))?;
        let cache = go(&anywhere)
            .args(["env", "GOMODCACHE"])
            .output()
            .context("cannot ask Go for its module cache")?;
        let cache = PathBuf::from(String::from_utf8(cache.stdout)?.trim());
        Ok(cache.join(format!("{}@{}", escaped(self.path), self.version)))
    }

    /// Builds `package` of the module in a module of its own below `build`: `go install module@version` refuses
    /// modules with replace directives.
    pub(super) fn build(self, package: &str, tags: &str, program: &Path, build: &Path) -> Result<()> {
        let folder = build.join(program.file_name().context("a program has a name")?);
        fs::create_dir_all(&folder)?;
        if !folder.join("go.mod").exists() {
            done(go(&folder).args(["mod", "init", "llmd/build"]))?;
        }
        done(go(&folder).args(["get", &format!("{}@{}", self.path, self.version)]))?;
        let tags = format!("-tags={tags}");
        let mut command = go(&folder);
        command.args(["build", "-mod=mod", "-trimpath", "-ldflags=-s -w", &tags, "-o"]);
        written(command, program, &format!("{}{package}", self.path))
    }
}

/// Builds a program of the Kubernetes module that `e2e/k8s/go.mod` pins.
pub(super) fn build_kubernetes(name: &str, program: &Path) -> Result<()> {
    let (version, minor) = KUBERNETES;
    let stamp = "-X k8s.io/component-base/version.git";
    let flags = format!("-ldflags=-s -w {stamp}Version={version} {stamp}Major=1 {stamp}Minor={minor}");
    let mut command = go(&root().join("e2e/k8s"));
    command.args(["build", "-mod=readonly", "-trimpath", &flags, "-o"]);
    written(command, program, &format!("k8s.io/kubernetes/cmd/{name}"))
}

/// Builds a small program of this repository: a folder of `e2e/k8s`.
pub(super) fn build_own(name: &str, program: &Path) -> Result<()> {
    let mut command = go(&root().join("e2e/k8s"));
    command.args(["build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o"]);
    written(command, program, &format!("./{name}"))
}

/// Whether there is a Go to build with.
pub(super) fn is_there() -> bool {
    go(root()).arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Ends a build command with the program and the package. The program appears when it is whole, so a build that
/// was interrupted is done again.
fn written(mut command: Command, program: &Path, package: &str) -> Result<()> {
    let new = program.with_extension("new");
    done(command.arg(&new).arg(package))?;
    fs::rename(&new, program).with_context(|| format!("cannot write {}", program.display()))
}

/// Go in `folder`.
fn go(folder: &Path) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(folder)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-buildvcs=false")
        .stdin(Stdio::null());
    command
}

/// Runs Go; its output is shown only when it fails.
fn done(command: &mut Command) -> Result<()> {
    let output = command.output().context("cannot run go")?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> = errors.lines().rev().take(10).collect();
    bail!("{} failed:\n{}", shown(command), tail.into_iter().rev().collect::<Vec<_>>().join("\n"))
}

/// A module's path as the module cache spells it: `!a` for `A`.
fn escaped(path: &str) -> String {
    let escape = |it: char| {
        if it.is_ascii_uppercase() { format!("!{}", it.to_ascii_lowercase()) } else { it.to_string() }
    };
    path.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_are_escaped_as_in_the_module_cache() {
        assert_eq!(escaped("github.com/Masterminds/semver/v3"), "github.com/!masterminds/semver/v3");
    }
}
