//! The client of the API server.

use std::path::{Path, PathBuf};

use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig that was given.
    #[error("cannot use the kubeconfig {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: KubeconfigError,
    },
    /// No kubeconfig, and the process does not run in a pod either.
    #[error("no cluster: run inside one, set KUBECONFIG, or give --kubeconfig")]
    NoCluster(#[source] InferConfigError),
    /// The configuration does not make a client: a certificate that cannot be read, for example.
    #[error("cannot make a client of the API server")]
    Client(#[from] kube::Error),
}

/// A client as `kubeconfig` says; without one as `KUBECONFIG`, `~/.kube/config` or the pod's service account say, in
/// this order. Asks nobody yet.
///
/// # Errors
/// [`ClientError`].
pub async fn client(kubeconfig: Option<&Path>) -> Result<Client, ClientError> {
    let config = match kubeconfig {
        Some(path) => from_file(path)
            .await
            .map_err(|source| ClientError::Kubeconfig { path: path.to_owned(), source })?,
        None => Config::infer().await.map_err(ClientError::NoCluster)?,
    };
    Ok(Client::try_from(config)?)
}

async fn from_file(path: &Path) -> Result<Config, KubeconfigError> {
    Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &KubeConfigOptions::default()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kubeconfig_that_is_not_there_is_named() {
        let error = client(Some(Path::new("/nowhere/config"))).await.map(drop).unwrap_err();
        assert_eq!(error.to_string(), "cannot use the kubeconfig /nowhere/config");
    }
}
