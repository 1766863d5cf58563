//! The command line, as `cargo xtask e2e` passes it on.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use llmd_e2e::provider::Choice;

use crate::{STORIES, Story};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask e2e")]
pub(crate) struct Options {
    /// Where the cluster comes from
    #[arg(long, value_enum, default_value = "node")]
    provider: Provider,
    /// Use the cluster of this file instead; its images come from --registry
    #[arg(long, value_name = "PATH", conflicts_with = "provider", requires = "registry")]
    kubeconfig: Option<PathBuf>,
    /// Only stories whose name holds one of these, with commas between them
    #[arg(long, value_name = "STORY,…", value_delimiter = ',', default_value = "")]
    filter: Vec<String>,
    /// No stories whose name holds one of these, with commas between them
    #[arg(long, value_name = "STORY,…", value_delimiter = ',')]
    skip: Vec<String>,
    /// Begin no story after this time, in seconds since 1970
    #[arg(long, value_name = "SECONDS")]
    until: Option<u64>,
    /// Leave the cluster up with all that the stories made, and use the one that was left up
    #[arg(long)]
    pub(crate) keep: bool,
    /// Take the cluster down that was left up, and do nothing else
    #[arg(long)]
    pub(crate) down: bool,
    /// Print what must be built for the stories, a word a line, or say why this machine cannot have the cluster
    #[arg(long)]
    pub(crate) needs: bool,
    /// Write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Take llmd's images from this registry, as `registry.example/team`
    #[arg(long, value_name = "REGISTRY")]
    pub(crate) registry: Option<String>,
    /// Tag of llmd's images in the registry
    #[arg(long, value_name = "TAG", default_value = "dev")]
    pub(crate) tag: String,
    /// Load llmd's image archives from this folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) images: Option<PathBuf>,
    /// Where diagnostics of failed stories go
    #[arg(long, value_name = "FOLDER", default_value = "target/e2e")]
    pub(crate) diagnostics: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Provider {
    /// A real node on this machine; needs root
    Node,
    /// kind; needs a container engine that runs privileged containers
    Kind,
}

impl Options {
    /// The stories that are told.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn stories(&self) -> Result<Vec<&'static Story>> {
        let holds = |it: &Story, parts: &[String]| parts.iter().any(|part| it.name.contains(part.as_str()));
        let is_told = |it: &&Story| holds(it, &self.filter) && !holds(it, &self.skip);
        let stories: Vec<&Story> = STORIES.iter().filter(is_told).collect();
        ensure!(!stories.is_empty(), "--filter and --skip leave no story");
        Ok(stories)
    }

    /// Whether a further story would begin too late.
    pub(crate) fn is_late(&self) -> bool {
        let until = self.until.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        until.is_some_and(|it| SystemTime::now() > it)
    }

    pub(crate) fn choice(&self) -> Choice {
        match (&self.kubeconfig, self.provider) {
            (Some(path), _) => Choice::Kubeconfig(path.clone()),
            (None, Provider::Node) => Choice::Node,
            (None, Provider::Kind) => Choice::Kind,
        }
    }
}
