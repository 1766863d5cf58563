//! Where the cluster of the delivery stories comes from: a real node on this machine, kind, or a cluster that is
//! there already.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::kubectl::Kubectl;
use crate::skip::skip;

mod additions;
mod kind;
mod kubeconfig;
mod node;

pub use additions::{Addition, chart, install};

/// Name of everything that a provider makes outside its folder.
const NAME: &str = "llmd-e2e";

/// A cluster to deliver to. Dropping it takes the cluster down, if it was brought up.
pub trait Provider: Debug {
    /// The administrator's kubectl.
    fn kubectl(&self) -> &Kubectl;

    /// Makes the image of an archive known to the nodes.
    ///
    /// # Errors
    /// When the archive is refused; a [`crate::skip::Skip`] when the cluster takes images of registries only.
    fn load(&self, archive: &Path) -> Result<()>;

    /// Whether [`Self::load`] can work.
    fn takes_archives(&self) -> bool;

    /// Whether this machine reaches pods and Services by their addresses.
    fn has_routes(&self) -> bool;

    /// Logs of the cluster's own programs.
    fn logs(&self) -> Vec<PathBuf>;

    /// The API server's log of who asked for what, where it has one that can be read.
    fn audit_log(&self) -> Option<PathBuf> {
        self.logs().into_iter().find(|it| it.ends_with("audit.log"))
    }

    /// Ends the API server as a crash would, does something, and brings it back.
    ///
    /// # Errors
    /// What `meanwhile` says, or when the API server does not come back; a [`crate::skip::Skip`] when it cannot be ended
    /// from here.
    fn without_api_server(&self, meanwhile: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let _ = meanwhile;
        skip("the API server of this cluster cannot be ended from here")
    }

    /// Ends the process of a container at once, as a crash would; `container` is its id as pods' status tells it.
    ///
    /// # Errors
    /// When there is no such container; a [`crate::skip::Skip`] when it cannot be ended from here.
    fn crash(&self, container: &str) -> Result<()> {
        skip(format!("the process of {container} cannot be ended from here"))
    }

    /// Lets the cluster outlive this value and this process.
    fn keep(self: Box<Self>);
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Kubernetes with a real node on this machine; needs root.
    Node,
    /// Kubernetes in a container; needs a container engine that runs privileged containers.
    Kind,
    /// The cluster of a kubeconfig; only what the stories make is changed there.
    Kubeconfig(PathBuf),
}

impl Choice {
    /// Why the cluster cannot come up here, whatever is built for it.
    #[must_use]
    pub fn reason_against(&self) -> Option<String> {
        match self {
            Self::Node => node::Node::reason_against(),
            Self::Kind => kind::Kind::reason_against(),
            Self::Kubeconfig(_) => None,
        }
    }

    /// Brings the cluster up. With `reuse`, one that was kept by an earlier run is taken instead.
    ///
    /// # Errors
    /// When it does not come up; a [`crate::skip::Skip`] when this machine cannot have it.
    pub fn start(&self, reuse: bool) -> Result<Box<dyn Provider>> {
        match self {
            Self::Node => Ok(Box::new(node::Node::start(reuse)?)),
            Self::Kind => Ok(Box::new(kind::Kind::start(reuse)?)),
            Self::Kubeconfig(path) => Ok(Box::new(kubeconfig::Kubeconfig::open(path)?)),
        }
    }

    /// Takes down what is up on this machine, whoever brought it up: a run that was kept, killed or interrupted.
    ///
    /// # Errors
    /// When something stays.
    pub fn clear(&self) -> Result<()> {
        match self {
            Self::Node => crate::cluster::Cluster::clear(),
            Self::Kind => kind::delete(),
            Self::Kubeconfig(_) => Ok(()),
        }
    }
}
