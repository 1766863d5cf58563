//! `cargo xtask e2e`: builds what the delivery stories need and becomes the program that tells them.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use cargo_metadata::Message;
use clap::{Args, ValueEnum};

use crate::command::{cargo, shown};
use crate::images;
use crate::k8s::{self, Addition, Level};
use crate::workspace::{architecture, metadata, root};

/// Where the cluster comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Provider {
    /// A real node on this machine; needs root
    Node,
    /// kind; needs a container engine that runs privileged containers
    Kind,
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where the cluster comes from
    #[arg(long, value_enum, default_value = "node")]
    provider: Provider,
    /// Use the cluster of this file instead; its images come from --registry
    #[arg(long, value_name = "PATH", conflicts_with = "provider", requires = "registry")]
    kubeconfig: Option<PathBuf>,
    /// Only stories whose name holds this
    #[arg(long, value_name = "STORY")]
    filter: Option<String>,
    /// Leave the cluster up, and use the one that was left up
    #[arg(long)]
    keep: bool,
    /// Take the cluster down that was left up, and do nothing else
    #[arg(long)]
    down: bool,
    /// Write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// How llmd's images are compiled: `dev` is quicker where only the stories count
    #[arg(long, value_name = "PROFILE", default_value = "release", conflicts_with = "registry")]
    profile: String,
    /// Take llmd's images from this registry instead of building them, as `registry.example/team`
    #[arg(long, value_name = "REGISTRY")]
    registry: Option<String>,
    /// Tag of llmd's images in the registry
    #[arg(long, value_name = "TAG", requires = "registry")]
    tag: Option<String>,
}

/// Returns only when something failed before the stories took over.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut stories = Command::new(program()?);
    stories.args(options.of_stories()?);
    if !options.down {
        let (level, additions) = options.kubernetes();
        stories.env("KUBEBUILDER_ASSETS", k8s::build(level, additions)?);
    }
    if options.wants_images() {
        let platform = format!("linux/{}", architecture()?);
        images::run("images", &["--platform", &platform, "--profile", &options.profile].map(str::to_owned))?;
    }
    // Replacing this process leaves nothing between the terminal's signals and who takes the cluster down.
    Err(stories.exec()).with_context(|| format!("cannot run {}", shown(&stories)))
}

impl Options {
    /// Whether a story that is told needs llmd's images as archives.
    fn wants_images(&self) -> bool {
        let needs_none = ["smoke", "lws", "gateway"];
        let is_among = self.filter.as_deref().is_some_and(|it| needs_none.contains(&it));
        !self.down && self.registry.is_none() && !is_among
    }

    /// What of Kubernetes runs on this machine.
    const fn kubernetes(&self) -> (Level, &'static [Addition]) {
        match (&self.kubeconfig, self.provider) {
            (Some(_), _) => (Level::ControlPlane, &[]),
            (None, Provider::Node) => (Level::Node, &[Addition::Lws, Addition::Gateway, Addition::Metrics]),
            (None, Provider::Kind) => {
                (Level::Node, &[Addition::Lws, Addition::Gateway, Addition::Metrics, Addition::Kind])
            }
        }
    }

    /// The options of the stories' program. Files are the caller's, whatever folder the program runs in.
    fn of_stories(&self) -> Result<Vec<OsString>> {
        let target = metadata()?.target_directory.into_std_path_buf();
        let mut options: Vec<OsString> = vec!["--diagnostics".into(), target.join("e2e").into()];
        match &self.kubeconfig {
            Some(path) => options.extend(["--kubeconfig".into(), std::path::absolute(path)?.into()]),
            None => options.extend(["--provider".into(), provider_name(self.provider).into()]),
        }
        let flags = [(self.keep, "--keep"), (self.down, "--down")];
        options.extend(flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag.into()));
        if let Some(path) = &self.junit {
            options.extend(["--junit".into(), std::path::absolute(path)?.into()]);
        }
        for (flag, value) in
            [("--filter", &self.filter), ("--registry", &self.registry), ("--tag", &self.tag)]
        {
            options.extend(value.iter().flat_map(|value| [OsString::from(flag), value.into()]));
        }
        if self.registry.is_none() {
            options.extend(["--images".into(), target.join("images").into()]);
        }
        Ok(options)
    }
}

fn provider_name(provider: Provider) -> String {
    provider.to_possible_value().map(|it| it.get_name().to_owned()).unwrap_or_default()
}

/// Builds the program that tells the stories; returns its path.
fn program() -> Result<PathBuf> {
    let mut build = cargo();
    build.current_dir(root()).args(["test", "--no-run", "--package", "llmd-e2e", "--test", "delivery"]);
    build.arg("--message-format=json-render-diagnostics").stdin(Stdio::null()).stdout(Stdio::piped());
    let output = build.spawn().and_then(std::process::Child::wait_with_output);
    let output = output.with_context(|| format!("cannot run {}", shown(&build)))?;
    ensure!(output.status.success(), "{} failed: {}", shown(&build), output.status);
    let messages = Message::parse_stream(output.stdout.as_slice());
    let artifacts = messages.filter_map(|it| match it {
        Ok(Message::CompilerArtifact(it)) if it.target.name == "delivery" => it.executable,
        _ => None,
    });
    Ok(artifacts.last().context("cargo built no program of the stories")?.into_std_path_buf())
}
