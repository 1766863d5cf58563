//! `cargo xtask e2e`: builds what the delivery stories need and becomes the program that tells them.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use cargo_metadata::Message;
use clap::{Args, ValueEnum};

use crate::command::{cargo, say, say_error, shown};
use crate::k8s::{self, Addition, Level};
use crate::programs;
use crate::sums::Sums;
use crate::workspace::{architecture, metadata, root};

/// The word by which stories ask for images of llmd; the other words are additions to Kubernetes.
const IMAGES: &str = "images";

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
    /// Only stories whose name holds one of these, with commas between them
    #[arg(long, value_name = "STORY,…")]
    filter: Option<String>,
    /// No stories whose name holds one of these, with commas between them
    #[arg(long, value_name = "STORY,…")]
    skip: Option<String>,
    /// Begin no story after this time, in seconds since 1970
    #[arg(long, value_name = "SECONDS")]
    until: Option<String>,
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

/// What continuous integration has no time for: what autoscalers read takes ten minutes to compile, the gateway five.
const SKIPPED: &str = "autoscale,gateway,canary,pools";

/// Tells the stories where this machine can have a real node, and begins none after `until`; returns what became of
/// them.
pub(crate) fn told(until: SystemTime) -> Sums {
    tell_apart(until).unwrap_or_else(|error| {
        say_error(&format!("{error:#}"));
        Sums::BROKEN
    })
}

/// In a process of its own, whose output goes on to ours.
fn tell_apart(until: SystemTime) -> Result<Sums> {
    let until = until.duration_since(UNIX_EPOCH)?.as_secs().to_string();
    let junit = metadata()?.target_directory.join("e2e/junit.xml");
    // Not this program's file: the tests have built it anew, and another one lies there.
    let mut command = cargo();
    command.current_dir(root()).args(["run", "--quiet", "--package", "xtask", "--"]);
    command.args(["e2e", "--profile=dev", "--skip", SKIPPED, "--until", &until, "--junit", junit.as_str()]);
    command.stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {}", shown(&command)))?;
    let stdout = child.stdout.take().context("standard output is piped")?;
    let mut sums = None;
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cannot read what the stories say")?;
        sums = Sums::read(&line).or(sums);
        say(&line);
    }
    let status = child.wait().with_context(|| format!("cannot wait for {}", shown(&command)))?;
    let sums = sums.with_context(|| format!("{} ended without a summary: {status}", shown(&command)))?;
    ensure!(status.success() || sums.n_failed > 0, "{} failed: {status}", shown(&command));
    Ok(sums)
}

/// Returns only when something failed before the stories took over.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut stories = Command::new(program()?);
    stories.args(options.of_stories()?);
    // Nothing is built for stories that say only why they cannot be told.
    if !options.down
        && let Some(needs) = needs(&stories)?
    {
        stories.env("KUBEBUILDER_ASSETS", options.build(&needs)?);
    }
    // Replacing this process leaves nothing between the terminal's signals and who takes the cluster down.
    Err(stories.exec()).with_context(|| format!("cannot run {}", shown(&stories)))
}

/// What the stories need; `None` when this machine cannot have their cluster.
fn needs(stories: &Command) -> Result<Option<Vec<String>>> {
    let mut ask = Command::new(stories.get_program());
    ask.args(stories.get_args()).arg("--needs");
    let answer = ask.output().with_context(|| format!("cannot run {}", shown(&ask)))?;
    let words = String::from_utf8(answer.stdout)?.lines().map(str::to_owned).collect();
    Ok(answer.status.success().then_some(words))
}

impl Options {
    /// Builds what the stories need; returns the folder of Kubernetes' programs.
    fn build(&self, needs: &[String]) -> Result<PathBuf> {
        let additions = needs.iter().filter_map(|it| Addition::from_str(it, false).ok());
        let bin = match (&self.kubeconfig, self.provider) {
            (Some(_), _) => k8s::build(Level::ControlPlane, &[]),
            (None, Provider::Node) => k8s::build(Level::Node, &additions.collect::<Vec<_>>()),
            (None, Provider::Kind) => {
                k8s::build(Level::Node, &additions.chain([Addition::Kind]).collect::<Vec<_>>())
            }
        }?;
        if self.registry.is_none() && needs.iter().any(|it| it == IMAGES) {
            let platform = format!("linux/{}", architecture()?);
            let how = ["--platform", &platform, "--profile", &self.profile];
            programs::images("images", &how.map(str::to_owned))?;
        }
        Ok(bin)
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
        for (flag, value) in [
            ("--filter", &self.filter),
            ("--skip", &self.skip),
            ("--until", &self.until),
            ("--registry", &self.registry),
            ("--tag", &self.tag),
        ] {
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
