//! Handing an archive to a container runtime of this machine.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::build::run;

/// Who takes images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    /// A cluster of kind; KIND_CLUSTER_NAME names another than `kind`
    Kind,
    /// containerd with the images of Kubernetes; CONTAINERD_ADDRESS is its socket
    Containerd,
    /// Docker; DOCKER_HOST is its socket
    Docker,
}

impl Runtime {
    /// Imports the archive at `path`. The programs read their own environment variables.
    ///
    /// # Errors
    /// When the runtime's program is missing or refuses the archive.
    pub(crate) fn load(self, path: &Path) -> Result<()> {
        run(&mut self.command(path))
    }

    fn command(self, path: &Path) -> Command {
        let words: &[&str] = match self {
            Self::Kind => &["kind", "load", "image-archive"],
            Self::Containerd => &["ctr", "--namespace", "k8s.io", "images", "import"],
            Self::Docker => &["docker", "load", "--input"],
        };
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(path);
        command
    }
}
