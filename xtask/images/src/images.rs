//! `cargo xtask images`: builds images, hands them to a runtime of this machine or to a registry.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::build::Profile;
use crate::catalogue::{RECIPES, Recipe};
use crate::kitchen::{self, Kitchen, Made, Order};
use crate::load::Runtime;
use crate::platform::Platform;
use crate::push::{self, Registry};
use crate::report::{self, Row};
use crate::say;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Images to build (default: all)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Platforms to build for
    #[arg(long, value_delimiter = ',', default_value = "linux/amd64,linux/arm64")]
    platform: Vec<Platform>,
    /// How the programs are compiled
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
    /// First part of the names in archives
    #[arg(long, value_name = "REGISTRY", default_value = "localhost")]
    registry: String,
    /// Tag of the images
    #[arg(long, default_value = "dev")]
    tag: String,
    /// Hand the images for this machine to a container runtime
    #[arg(long, value_name = "RUNTIME")]
    load: Option<Runtime>,
    /// Send the images to a registry, as HOST[:PORT][/FOLDER]
    #[arg(long, value_name = "REGISTRY")]
    push: Option<String>,
    /// Folder for image layouts, archives and symbols (default: target/images)
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Time of the images in seconds since 1970 (default: the time of the commit)
    #[arg(long, env = "SOURCE_DATE_EPOCH", value_name = "SECONDS")]
    epoch: Option<i64>,
}

/// Builds what `options` name.
///
/// # Errors
/// When something cannot be built, loaded or pushed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let recipes = chosen(&options.only)?;
    let workspace = kitchen::workspace()?;
    let output = options.output.clone();
    let order = Order {
        platforms: options.platform.clone(),
        profile: options.profile,
        registry: options.registry.clone(),
        tag: options.tag.clone(),
        output: output.unwrap_or_else(|| workspace.target_directory.as_std_path().join("images")),
        epoch: options.epoch,
    };
    let made = Kitchen::open(&workspace, order)?.make_all(&recipes)?;
    let rows: Vec<Row> = made.iter().flat_map(|it| it.rows.clone()).collect();
    say(&report::table(&rows));
    if let Some(runtime) = options.load {
        for it in &made {
            let archive = it.archive(Platform::of_this_machine());
            runtime.load(archive.context("--load needs --platform of this machine among the platforms")?)?;
        }
    }
    match &options.push {
        Some(place) => push::block_on(push_all(&Registry::open(place)?, &options.tag, &made)),
        None => Ok(()),
    }
}

/// Sends every image to `registry` and says under which name and digest.
///
/// # Errors
/// When the registry refuses something.
pub(crate) async fn push_all(registry: &Registry, tag: &str, made: &[Made]) -> Result<()> {
    for Made { recipe, index, images, .. } in made {
        let pushed = registry.push(recipe.name, tag, index, images).await?;
        say(&format!("pushed {pushed}@{}", index.digest));
    }
    Ok(())
}

fn chosen(only: &[String]) -> Result<Vec<&'static Recipe>> {
    for name in only {
        let names = RECIPES.map(|recipe| recipe.name).join(", ");
        ensure!(RECIPES.iter().any(|it| it.name == name), "--only {name}: the images are {names}");
    }
    Ok(RECIPES.iter().filter(|it| only.is_empty() || only.iter().any(|name| name == it.name)).collect())
}
