//! `cargo xtask release`: everything that a version consists of, in `target/releases/VERSION`, and from there to a
//! registry. The version is the one that the sources say; `cargo xtask version` sets it.
//!
//! Equal commits give equal files. Nothing is published to crates.io or to a page of releases from here.

mod changelog;
mod charts;
mod checksums;
mod programs;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

use self::charts::Chart;
use crate::build::Profile;
use crate::catalogue::RECIPES;
use crate::images::push_all;
use crate::kitchen::{self, Kitchen, Made, Order};
use crate::platform::Platform;
use crate::push::{self, Registry};
use crate::report::{self, Row};
use crate::{origin, say};

/// Where images are pulled from unless a values file says otherwise.
const REGISTRY: &str = "ghcr.io/llmd";
/// Folder of charts in a registry, where an image may have the name of a chart.
const CHARTS: &str = "charts";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Make everything and publish nothing
    #[arg(long, conflicts_with = "push")]
    dry_run: bool,
    /// Send images and charts to a registry, as HOST[:PORT][/FOLDER]
    #[arg(long, value_name = "REGISTRY")]
    push: Option<String>,
    /// The version that is meant; it has to be the one of the sources
    #[arg(long)]
    version: Option<String>,
    /// Platforms to build for
    #[arg(long, value_delimiter = ',', default_value = "linux/amd64,linux/arm64")]
    platform: Vec<Platform>,
    /// Time of everything in seconds since 1970 (default: the time of the commit)
    #[arg(long, env = "SOURCE_DATE_EPOCH", value_name = "SECONDS")]
    epoch: Option<i64>,
}

/// Files of a release by their path in its folder.
type Files = BTreeMap<String, Vec<u8>>;

/// Makes the release.
///
/// # Errors
/// When the sources are not those of a version, or something cannot be built, written or pushed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = kitchen::workspace()?;
    let (root, version) = (workspace.workspace_root.as_std_path(), kitchen::version(&workspace)?);
    ensure!(
        options.dry_run || options.push.is_some(),
        "not supported: publishing anywhere but in a registry: say --push REGISTRY, or --dry-run to see what would be"
    );
    let is_meant = options.version.as_ref().is_none_or(|it| *it == version);
    ensure!(
        is_meant,
        "the sources are those of {version}: `cargo xtask version VERSION` makes them another's"
    );
    let changed = origin::changes(root)?;
    ensure!(changed.is_empty(), "files differ from the commit, commit them first:\n{changed}");
    let notes = options.notes(&version, &fs::read_to_string(root.join("CHANGELOG.md"))?)?;
    let charts = charts::read_all(&root.join("charts"), &version)?;

    let folder = workspace.target_directory.as_std_path().join("releases").join(&version);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    let kitchen = Kitchen::open(&workspace, options.order(&version, &folder))?;
    let made = kitchen.make_all(&RECIPES.iter().collect::<Vec<_>>())?;
    let mut files = Files::from([("NOTES.md".to_owned(), notes.into_bytes())]);
    files.insert("images.txt".to_owned(), names(&version, &made).into_bytes());
    files.extend(charts.iter().map(|it| (format!("charts/{}", it.file_name()), it.package.clone())));
    files.extend(programs::files(root, &version, &options.platform, &made)?);
    write(&folder, &files)?;
    let sums = checksums::of(&files, &archives(&folder, &made, &options.platform)?);
    fs::write(folder.join("SHA256SUMS"), sums).context("cannot write SHA256SUMS")?;

    let rows: Vec<Row> = made.iter().flat_map(|it| it.rows.clone()).collect();
    say(&report::table(&rows));
    say(&format!("{version} lies in {}", folder.display()));
    match &options.push {
        Some(place) => {
            push::block_on(publish(&Registry::open(place)?, &version, &made, &charts, kitchen.origin()))
        }
        None => Ok(()),
    }
}

impl Options {
    fn order(&self, version: &str, folder: &Path) -> Order {
        Order {
            platforms: self.platform.clone(),
            profile: Profile::Release,
            registry: REGISTRY.to_owned(),
            tag: version.to_owned(),
            output: folder.join("images"),
            epoch: self.epoch,
        }
    }

    /// What users are told about `version`. What is to come can be looked at before it has a version.
    fn notes(&self, version: &str, changelog: &str) -> Result<String> {
        let named = changelog::section(changelog, version);
        let to_come = || changelog::section(changelog, changelog::TO_COME).filter(|_| self.dry_run);
        let section = named.or_else(to_come);
        let section = section.with_context(|| {
            format!("CHANGELOG.md does not name {version}: `cargo xtask version VERSION` writes the heading")
        })?;
        Ok(format!("# llmd {version}\n\n{section}\n"))
    }
}

/// Full names of the images with their digests, for those who pin them.
fn names(version: &str, made: &[Made]) -> String {
    let lines =
        made.iter().map(|it| format!("{REGISTRY}/{}:{version}@{}\n", it.recipe.name, it.index.digest));
    lines.collect()
}

fn write(folder: &Path, files: &Files) -> Result<()> {
    for (path, bytes) in files {
        let path = folder.join(path);
        let above = path.parent().context("a file lies in a folder")?;
        fs::create_dir_all(above).with_context(|| format!("cannot make {}", above.display()))?;
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The archives of images, which were written while they were made.
fn archives(folder: &Path, made: &[Made], platforms: &[Platform]) -> Result<Files> {
    let all = made.iter().flat_map(|it| platforms.iter().filter_map(|platform| it.archive(Some(*platform))));
    let read = |path: &Path| {
        let name = path.strip_prefix(folder).map_or_else(|_| PathBuf::from(path), Path::to_path_buf);
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((name.display().to_string(), bytes))
    };
    all.map(read).collect()
}

/// Images first: a chart that can be pulled names images that can be.
async fn publish(
    registry: &Registry,
    version: &str,
    made: &[Made],
    charts: &[Chart],
    origin: &origin::Origin,
) -> Result<()> {
    push_all(registry, version, made).await?;
    for chart in charts {
        let artifact = chart.artifact(origin)?;
        let name = format!("{CHARTS}/{}", chart.name);
        let pushed = registry.push_artifact(&name, version, &artifact).await?;
        say(&format!("pushed {pushed}@{}", artifact.manifest.digest));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(dry_run: bool) -> Options {
        Options { dry_run, push: None, version: None, platform: vec![Platform::Amd64], epoch: None }
    }

    #[test]
    fn only_a_dry_run_takes_what_has_no_version_yet() {
        let named = "# Changelog\n\n## Unreleased\n\n- b\n\n## 1.0.0 - 2026-01-01\n\n- a\n";
        assert_eq!(options(false).notes("1.0.0", named).unwrap(), "# llmd 1.0.0\n\n- a\n");
        assert_eq!(options(true).notes("1.1.0", named).unwrap(), "# llmd 1.1.0\n\n- b\n");
        let refused = options(false).notes("1.1.0", named).unwrap_err().to_string();
        assert!(refused.contains("does not name 1.1.0"), "{refused}");
    }
}
