//! `cargo xtask images`: the container images of the project, from sources to a registry, without a container
//! runtime.
//!
//! Building (`build`) and handing over (`load`, `push`) are the edges; what an image is made of is a pure function
//! of its ingredients (`tree`, `layer`, `image`, `sbom`, `layout`), so building again gives the same digests.
//! A program of its own, so that the other tasks do not wait for a registry client to compile.

mod blob;
mod build;
mod catalogue;
mod certificates;
#[cfg(test)]
mod dockerfile;
mod image;
mod layer;
mod layout;
mod load;
mod model;
mod origin;
mod platform;
mod push;
mod report;
mod sbom;
#[cfg(test)]
mod smoke;
mod tree;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use cargo_lock::Lockfile;
use cargo_metadata::{Metadata, MetadataCommand};
use clap::Parser;

use crate::build::Workshop;
use crate::catalogue::{Content, Program, RECIPES, Recipe};
use crate::image::{Image, Ingredients};
use crate::layer::Layer;
use crate::load::Runtime;
use crate::origin::Origin;
use crate::platform::Platform;
use crate::push::Registry;
use crate::report::Row;
use crate::sbom::{Checksums, Toolchain};

/// Build the container images
#[derive(Debug, Parser)]
#[command(name = "cargo xtask images")]
struct Cli {
    /// Images to build (default: all)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Platforms to build for
    #[arg(long, value_delimiter = ',', default_value = "linux/amd64,linux/arm64")]
    platform: Vec<Platform>,
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

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&mut std::io::stderr(), &format!("images: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let recipes = chosen(&cli.only)?;
    let kitchen = Kitchen::open(cli)?;
    let programs: Vec<_> = recipes.iter().filter(|it| it.program().is_some()).map(|it| it.name).collect();
    if !programs.is_empty() {
        kitchen.workshop.equip()?;
        for &platform in &cli.platform {
            kitchen.workshop.build(platform, &programs)?;
        }
    }
    let mut made = Vec::new();
    for &recipe in &recipes {
        made.push(kitchen.make(recipe)?);
    }
    let rows: Vec<Row> = made.iter().flat_map(|it| it.rows.clone()).collect();
    say(&mut std::io::stdout(), &report::table(&rows));
    if let Some(runtime) = cli.load {
        for it in &made {
            let image =
                it.archives.iter().find(|(platform, _)| Some(*platform) == Platform::of_this_machine());
            let (_, archive) =
                image.context("--load needs --platform of this machine among the platforms")?;
            runtime.load(archive)?;
        }
    }
    if let Some(place) = &cli.push {
        push_all(place, &cli.tag, &made)?;
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

/// What the making of every image needs.
struct Kitchen<'a> {
    cli: &'a Cli,
    root: PathBuf,
    output: PathBuf,
    workshop: Workshop,
    origin: Origin,
    checksums: Checksums,
    toolchain: Toolchain,
    base: Layer,
}

/// An image on all platforms, and where its archives lie.
struct Made {
    recipe: &'static Recipe,
    index: blob::Blob,
    images: Vec<Image>,
    archives: Vec<(Platform, PathBuf)>,
    rows: Vec<Row>,
}

impl<'a> Kitchen<'a> {
    fn open(cli: &'a Cli) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        let root = root.expect("the crate lies two folders below the root of the workspace").to_owned();
        let workspace = MetadataCommand::new().current_dir(&root).no_deps().exec()?;
        let version = workspace.workspace_packages().first().map(|it| it.version.to_string());
        let target = workspace.target_directory.into_std_path_buf();
        Ok(Self {
            cli,
            output: cli.output.clone().unwrap_or_else(|| target.join("images")),
            workshop: Workshop::open(&root, &target)?,
            origin: Origin::of(&root, &version.context("the workspace is empty")?, cli.epoch)?,
            checksums: sbom::checksums(&Lockfile::load(root.join("Cargo.lock"))?),
            toolchain: Toolchain { rust: build::rust_version(&root)? },
            base: layer::pack(&tree::base(&certificates::bundle()))?,
            root,
        })
    }

    fn make(&self, recipe: &'static Recipe) -> Result<Made> {
        let name = format!("{}/{}:{}", self.cli.registry, recipe.name, self.cli.tag);
        let (mut images, mut archives, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for &platform in &self.cli.platform {
            let (ingredients, linked) = match &recipe.content {
                Content::Program(program) => self.program(recipe.name, program, platform)?,
                Content::Model(model) => {
                    let layer = layer::pack(&tree::model(model::files(&self.root, model)?))?;
                    (Ingredients { platform, layers: vec![layer], sbom: None }, None)
                }
            };
            let image = Image::assemble(recipe, &self.origin, ingredients)?;
            let archive = self.output.join(format!("{}-{}.tar", recipe.name, platform.architecture()));
            fs::write(&archive, layout::archive(&name, &image)?)
                .with_context(|| format!("cannot write {}", archive.display()))?;
            archives.push((platform, archive));
            rows.push(row(recipe, linked, &image));
            images.push(image);
        }
        let index = image::index(recipe, &self.origin, &images)?;
        layout::write_folder(&self.output.join(recipe.name), &self.cli.tag, &index, &images)?;
        Ok(Made { recipe, index, images, archives, rows })
    }

    /// What goes into the image of a program, and the bytes it has as linked.
    fn program(
        &self,
        name: &str,
        program: &Program,
        platform: Platform,
    ) -> Result<(Ingredients, Option<u64>)> {
        let symbols = self.output.join("symbols").join(platform.architecture().to_string());
        let executable = self.workshop.executable(platform, name, &symbols)?;
        let (origin, metadata) = (&self.origin, resolved(&self.root, platform)?);
        let sbom =
            sbom::document(name, program.package, origin, &metadata, &self.checksums, &self.toolchain)?;
        let own = layer::pack(&tree::program(name, program, executable.bytes, sbom.clone()))?;
        let layers = vec![self.base.clone(), own];
        Ok((Ingredients { platform, layers, sbom: Some(sbom) }, Some(executable.linked)))
    }
}

/// The dependencies as they are on `platform`.
fn resolved(root: &Path, platform: Platform) -> Result<Metadata> {
    let options = ["--locked", "--filter-platform", platform.target()].map(str::to_owned);
    MetadataCommand::new().current_dir(root).other_options(options).exec().context("cargo metadata")
}

fn row(recipe: &Recipe, linked: Option<u64>, image: &Image) -> Row {
    Row {
        image: format!("{} {}", recipe.name, image.platform),
        linked,
        compressed: image.layers.iter().map(|layer| layer.blob.bytes.len() as u64).sum(),
        unpacked: image.layers.iter().map(|layer| layer.unpacked).sum(),
        digest: image.manifest.digest.to_string(),
    }
}

fn push_all(place: &str, tag: &str, made: &[Made]) -> Result<()> {
    // The first provider of the process stays; there is no other.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let registry = Registry::open(place)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for Made { recipe, index, images, .. } in made {
        let pushed = runtime.block_on(registry.push(recipe.name, tag, index, images))?;
        say(&mut std::io::stdout(), &format!("pushed {pushed}@{}", index.digest));
    }
    Ok(())
}

fn say(to: &mut impl Write, text: &str) {
    // A reader that closed the pipe wants no more.
    let _ = writeln!(to, "{text}");
}
