//! Making images of recipes: what every image needs is looked up once.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_lock::Lockfile;
use cargo_metadata::{Metadata, MetadataCommand};

use crate::blob::Blob;
use crate::build::{Profile, Workshop};
use crate::catalogue::{Content, Model, Program, Recipe};
use crate::image::{Image, Ingredients};
use crate::layer::Layer;
use crate::origin::Origin;
use crate::platform::Platform;
use crate::report::Row;
use crate::sbom::{Checksums, Toolchain};
use crate::{build, certificates, image, layer, layout, model, sbom, tree};

/// What is to be made.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) platforms: Vec<Platform>,
    pub(crate) profile: Profile,
    /// First part of the names in archives.
    pub(crate) registry: String,
    pub(crate) tag: String,
    /// Folder for layouts, archives and symbols.
    pub(crate) output: PathBuf,
    /// Time of the images in seconds since 1970; the time of the commit when nothing is said.
    pub(crate) epoch: Option<i64>,
}

/// What the making of every image needs.
pub(crate) struct Kitchen {
    order: Order,
    root: PathBuf,
    workshop: Workshop,
    origin: Origin,
    checksums: Checksums,
    toolchain: Toolchain,
    base: Layer,
}

/// An image on all platforms, and where its archives lie.
pub(crate) struct Made {
    pub(crate) recipe: &'static Recipe,
    pub(crate) index: Blob,
    pub(crate) images: Vec<Image>,
    pub(crate) rows: Vec<Row>,
    /// The program on each platform; none of a model.
    pub(crate) programs: Vec<Built>,
    archives: Vec<(Platform, PathBuf)>,
}

/// A program, and what it was made from.
pub(crate) struct Built {
    pub(crate) platform: Platform,
    /// The file, without symbols.
    pub(crate) executable: Vec<u8>,
    /// SPDX document in JSON.
    pub(crate) sbom: Vec<u8>,
    /// Bytes as linked, with symbols.
    linked: u64,
}

/// The workspace without its dependencies.
///
/// # Errors
/// When cargo does not run.
pub(crate) fn workspace() -> Result<Metadata> {
    let here = env!("CARGO_MANIFEST_DIR");
    MetadataCommand::new().current_dir(here).no_deps().exec().context("cargo metadata")
}

/// Version of the workspace, which is that of everything in it.
pub(crate) fn version(workspace: &Metadata) -> Result<String> {
    let any = workspace.workspace_packages().first().map(|it| it.version.to_string());
    any.context("the workspace is empty")
}

impl Kitchen {
    /// Looks up what is needed in `workspace`.
    ///
    /// # Errors
    /// When git or rustc does not run, or `Cargo.lock` cannot be read.
    pub(crate) fn open(workspace: &Metadata, order: Order) -> Result<Self> {
        let root = workspace.workspace_root.clone().into_std_path_buf();
        let target = workspace.target_directory.as_std_path();
        Ok(Self {
            workshop: Workshop::open(&root, target, order.profile)?,
            origin: Origin::of(&root, &version(workspace)?, order.epoch)?,
            checksums: sbom::checksums(&Lockfile::load(root.join("Cargo.lock"))?),
            toolchain: Toolchain { rust: build::rust_version(&root)? },
            base: layer::pack(&tree::base(&certificates::bundle()))?,
            root,
            order,
        })
    }

    /// Builds the programs of `recipes`, then makes the images, whose layouts and archives it writes.
    ///
    /// # Errors
    /// When something cannot be built or written.
    pub(crate) fn make_all(&self, recipes: &[&'static Recipe]) -> Result<Vec<Made>> {
        let output = &self.order.output;
        fs::create_dir_all(output).with_context(|| format!("cannot make {}", output.display()))?;
        let programs: Vec<_> = recipes.iter().filter(|it| it.program().is_some()).map(|it| it.name).collect();
        if !programs.is_empty() {
            self.workshop.equip()?;
            for &platform in &self.order.platforms {
                self.workshop.build(platform, &programs)?;
            }
        }
        recipes.iter().map(|recipe| self.make(recipe)).collect()
    }

    /// Where the images come from.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    fn make(&self, recipe: &'static Recipe) -> Result<Made> {
        let Order { platforms, registry, tag, output, .. } = &self.order;
        let name = format!("{registry}/{}:{tag}", recipe.name);
        let (mut images, mut archives, mut rows, mut programs) = (vec![], vec![], vec![], vec![]);
        for &platform in platforms {
            let (ingredients, built) = match &recipe.content {
                Content::Program(program) => {
                    let built = self.built(recipe.name, program, platform)?;
                    (self.of_program(recipe.name, program, &built)?, Some(built))
                }
                Content::Model(model) => (self.of_model(model, platform)?, None),
            };
            let image = Image::assemble(recipe, &self.origin, ingredients)?;
            let archive = output.join(format!("{}-{}.tar", recipe.name, platform.architecture()));
            fs::write(&archive, layout::archive(&name, &image)?)
                .with_context(|| format!("cannot write {}", archive.display()))?;
            archives.push((platform, archive));
            rows.push(row(recipe, built.as_ref().map(|it| it.linked), &image));
            images.push(image);
            programs.extend(built);
        }
        let index = image::index(recipe, &self.origin, &images)?;
        layout::write_folder(&output.join(recipe.name), tag, &index, &images)?;
        Ok(Made { recipe, index, images, rows, programs, archives })
    }

    fn built(&self, name: &str, program: &Program, platform: Platform) -> Result<Built> {
        let symbols = self.order.output.join("symbols").join(platform.architecture().to_string());
        let executable = self.workshop.executable(platform, name, &symbols)?;
        let (origin, metadata) = (&self.origin, resolved(&self.root, platform)?);
        let sbom =
            sbom::document(name, program.package, origin, &metadata, &self.checksums, &self.toolchain)?;
        Ok(Built { platform, executable: executable.bytes, sbom, linked: executable.linked })
    }

    fn of_program(&self, name: &str, program: &Program, built: &Built) -> Result<Ingredients> {
        let Built { platform, executable, sbom, .. } = built;
        let own = layer::pack(&tree::program(name, program, executable.clone(), sbom.clone()))?;
        let layers = vec![self.base.clone(), own];
        Ok(Ingredients { platform: *platform, layers, sbom: Some(sbom.clone()) })
    }

    fn of_model(&self, model: &Model, platform: Platform) -> Result<Ingredients> {
        let layer = layer::pack(&tree::model(model::files(&self.root, model)?))?;
        Ok(Ingredients { platform, layers: vec![layer], sbom: None })
    }
}

impl Made {
    /// The archive for `platform`, where the image was made for it.
    pub(crate) fn archive(&self, platform: Option<Platform>) -> Option<&Path> {
        self.archives.iter().find(|(it, _)| Some(*it) == platform).map(|(_, archive)| archive.as_path())
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
