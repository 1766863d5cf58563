//! Kubernetes with a real node on this machine.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Provider;
use crate::cluster::{self, Cluster, Kept, Level};
use crate::kubectl::Kubectl;
use crate::skip::skip;

/// A cluster of this run or of an earlier one.
#[derive(Debug)]
enum Origin {
    Started(Cluster),
    Kept(#[expect(dead_code, reason = "holds the machine's lock")] Kept),
}

#[derive(Debug)]
pub(super) struct Node {
    origin: RefCell<Origin>,
    kubectl: Kubectl,
}

impl Node {
    pub(super) fn reason_against() -> Option<String> {
        Cluster::reason_against(Level::Node)
    }

    pub(super) fn start(reuse: bool) -> Result<Self> {
        if reuse && let Some(kept) = Cluster::kept()? {
            return Ok(Self { kubectl: kept.kubectl.clone(), origin: RefCell::new(Origin::Kept(kept)) });
        }
        match Cluster::start(Level::Node)? {
            Ok(cluster) => {
                Ok(Self { kubectl: cluster.client(), origin: RefCell::new(Origin::Started(cluster)) })
            }
            Err(reason) => skip(reason),
        }
    }
}

impl Provider for Node {
    fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    fn load(&self, archive: &Path) -> Result<()> {
        cluster::load(self.kubectl.bin(), archive)
    }

    fn takes_archives(&self) -> bool {
        true
    }

    fn has_routes(&self) -> bool {
        true
    }

    fn logs(&self) -> Vec<PathBuf> {
        let folder = self.kubectl.kubeconfig().parent().map(std::fs::read_dir);
        let files = folder.and_then(Result::ok).into_iter().flatten().filter_map(|it| Some(it.ok()?.path()));
        files.filter(|it| it.extension().is_some_and(|it| it == "log")).collect()
    }

    fn crash(&self, container: &str) -> Result<()> {
        let id = container.strip_prefix("containerd://").unwrap_or(container);
        cluster::crash(self.kubectl.bin(), id)
    }

    fn without_api_server(&self, meanwhile: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let Origin::Started(cluster) = &mut *self.origin.borrow_mut() else {
            return skip("the API server was started by an earlier run: only that one could start it again");
        };
        cluster.kill_api_server()?;
        let done = meanwhile();
        cluster.revive_api_server()?;
        done
    }

    fn keep(self: Box<Self>) {
        match self.origin.into_inner() {
            Origin::Started(cluster) => cluster.keep(),
            Origin::Kept(_) => {}
        }
    }
}
