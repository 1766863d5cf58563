//! `cargo xtask version`: the crates, the charts and the images that manifests name have one version. It stands in the
//! sources, so that what is built of a commit does not depend on how it was built.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::semver::Version;

use crate::command::{self, cargo, say};
use crate::workspace::{self, root};

/// Where files name the version.
const PLACES: [&str; 7] = [
    "Cargo.toml",
    "charts",
    "crates/controller/presets",
    "docs/guides",
    "docs/images.md",
    "docs/install.md",
    "e2e/tests/it/charts/snapshots",
];

const CHANGELOG: &str = "CHANGELOG.md";
const TO_COME: &str = "## Unreleased\n";

/// Says the version, or makes the sources those of `next`.
pub(crate) fn run(next: Option<&str>) -> Result<()> {
    let current = current()?;
    let Some(next) = next else {
        say(&current.to_string());
        return Ok(());
    };
    let next: Version = next.parse().with_context(|| format!("{next} is no version such as 1.2.3"))?;
    ensure!(next > current, "{next} does not come after {current}");
    ensure!(next.build.is_empty(), "not supported: {next}: tags of images and charts cannot have a `+`");
    let path = root().join(CHANGELOG);
    let changelog = fs::read_to_string(&path)?;
    let changelog = released(&changelog, &next, &today()?)?;

    for file in files()? {
        let path = root().join(&file);
        // Charts contain links to others.
        if fs::symlink_metadata(&path)?.is_file() {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
            fs::write(&path, replaced(&text, &current.to_string(), &next.to_string()))?;
        }
    }
    fs::write(&path, changelog)?;
    command::run(cargo().current_dir(root()).args(["update", "--workspace", "--offline", "--quiet"]))?;
    say(&format!("{current} is {next} now; run `cargo xtask codegen` and `cargo xtask test`, then commit"));
    Ok(())
}

fn current() -> Result<Version> {
    let metadata = workspace::metadata()?;
    let package = metadata.workspace_packages().into_iter().next().context("the workspace is empty")?;
    Ok(package.version.clone())
}

fn files() -> Result<Vec<String>> {
    let mut list = Command::new("git");
    list.current_dir(root()).arg("ls-files").args(PLACES);
    Ok(command::output(&mut list)?.lines().map(str::to_owned).collect())
}

fn today() -> Result<String> {
    Ok(command::output(Command::new("date").args(["--utc", "+%F"]))?.trim().to_owned())
}

/// `text` with `next` wherever it names `current` and not a longer version that holds it.
fn replaced(text: &str, current: &str, next: &str) -> String {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(current) {
        let (before, after) = (&rest[..at], &rest[at + current.len()..]);
        let goes_on =
            after.starts_with(['-', '+']) || after.starts_with(|it: char| it.is_ascii_alphanumeric());
        let goes_on = goes_on
            || after.strip_prefix('.').is_some_and(|it| it.starts_with(|it: char| it.is_ascii_digit()));
        let began_earlier = before.ends_with(|it: char| it.is_ascii_alphanumeric() || it == '.');
        done.push_str(before);
        done.push_str(if goes_on || began_earlier { current } else { next });
        rest = after;
    }
    done + rest
}

/// The changelog with a heading for `next` above what had none.
fn released(changelog: &str, next: &Version, date: &str) -> Result<String> {
    let Some((before, after)) = changelog.split_once(TO_COME) else {
        bail!("{CHANGELOG} has no heading `{}`", TO_COME.trim_end());
    };
    let section = after.split("\n## ").next().unwrap_or_default();
    ensure!(!section.trim().is_empty(), "{CHANGELOG}: nothing stands under `{}`", TO_COME.trim_end());
    Ok(format!("{before}{TO_COME}\n## {next} - {date}\n{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_version_itself_is_replaced() {
        let text = "version: 0.1.0\nimage: a:0.1.0\nchart: b-0.1.0, \"0.1.0\"\nIn 0.1.0.";
        let expected = "version: 0.2.0\nimage: a:0.2.0\nchart: b-0.2.0, \"0.2.0\"\nIn 0.2.0.";
        assert_eq!(replaced(text, "0.1.0", "0.2.0"), expected);
        let others = "0.1.0-rc.1 10.1.0 0.1.01 v0.1.0 0.1.0.1 1.0.1.0";
        assert_eq!(replaced(others, "0.1.0", "0.2.0"), others);
    }

    #[test]
    fn the_changelog_gets_a_heading_once_there_is_something_to_tell() {
        let next = Version::new(0, 2, 0);
        let text = "# Changelog\n\n## Unreleased\n\n- b\n\n## 0.1.0\n\n- a\n";
        let expected = "# Changelog\n\n## Unreleased\n\n## 0.2.0 - 2026-01-02\n\n- b\n\n## 0.1.0\n\n- a\n";
        assert_eq!(released(text, &next, "2026-01-02").unwrap(), expected);
        let error = |text: &str| released(text, &next, "2026-01-02").unwrap_err().to_string();
        assert!(error("# Changelog\n").contains("no heading"));
        assert!(error(expected).contains("nothing stands under"));
    }

    #[test]
    fn every_file_that_names_an_image_of_this_version_is_among_the_places() {
        let version = current().unwrap().to_string();
        let mut named = Command::new("git");
        named.current_dir(root()).args(["grep", "--files-with-matches", "--fixed-strings", "-e"]);
        named.arg(format!(":{version}")).args(["-e", &format!("VERSION:-{version}")]);
        named.args(["--", ".", ":!*.sum", ":!*.mod"]);
        let files = files().unwrap();
        for file in command::output(&mut named).unwrap().lines() {
            assert!(files.iter().any(|it| it == file), "{file} names {version}: add it to PLACES");
        }
    }
}
