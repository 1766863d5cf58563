//! The inference pool whose pods may be called, by all the names that it has been given.

use std::fmt;
use std::path::PathBuf;

use super::ConfigError;
use super::layers::{Layers, pick};
use crate::args::{Env, Flags};

/// What the endpoints that clients' headers name are checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsrfProtection {
    /// Its pods are the allowed endpoints.
    pub pool: PoolName,
    /// How the API server is reached; as a pod does, or as kubectl would, when absent.
    pub kubeconfig: Option<PathBuf>,
}

/// An InferencePool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolName {
    /// Which kind of InferencePool.
    pub group: PoolGroup,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The API groups that have an InferencePool, each with the version that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolGroup {
    /// `inference.networking.k8s.io/v1`.
    V1,
    /// `inference.networking.x-k8s.io/v1alpha2`.
    V1Alpha2,
}

/// The protection, `None` when it is off. Names are checked all the same, so that a wrong one is found now and not
/// when the protection is turned on.
pub(super) fn ssrf_protection(layers: &Layers, env: &Env) -> Result<Option<SsrfProtection>, ConfigError> {
    let group = group(layers)?;
    let name = name(layers, env)?;
    if !pick!(layers, enable_ssrf_protection).unwrap_or(false) {
        return Ok(None);
    }
    let Some((namespace, name)) = name else {
        let hint = "--enable-ssrf-protection needs the pool, as namespace/name or name";
        return Err(ConfigError::invalid("inference-pool", &"", hint));
    };
    let pool = PoolName { group, namespace, name };
    Ok(Some(SsrfProtection { pool, kubeconfig: pick!(layers, kubeconfig) }))
}

fn group(layers: &Layers) -> Result<PoolGroup, ConfigError> {
    match pick!(layers, pool_group).as_deref() {
        None | Some("inference.networking.k8s.io") => Ok(PoolGroup::V1),
        Some("inference.networking.x-k8s.io") => Ok(PoolGroup::V1Alpha2),
        Some(other) => {
            let hint = "use inference.networking.k8s.io or inference.networking.x-k8s.io";
            Err(ConfigError::invalid("pool-group", &other, hint))
        }
    }
}

/// Namespace and name, from the first layer that names a pool.
fn name(layers: &Layers, env: &Env) -> Result<Option<(String, String)>, ConfigError> {
    let given = of_layer(&layers.flags).or_else(|| of_layer(&layers.yaml));
    let Some(text) = given.or_else(|| env.inference_pool.clone()) else { return Ok(None) };
    let (namespace, name) = text.split_once('/').unwrap_or(("default", &text));
    if namespace.is_empty() || name.is_empty() || name.contains('/') {
        return Err(ConfigError::invalid("inference-pool", &text, "use namespace/name or name"));
    }
    Ok(Some((namespace.to_owned(), name.to_owned())))
}

/// The pool as one layer names it, in the new form or the older one. An empty value names none.
fn of_layer(layer: &Flags) -> Option<String> {
    let given = |value: &Option<String>| value.clone().filter(|it| !it.is_empty());
    given(&layer.inference_pool).or_else(|| {
        let name = given(&layer.inference_pool_name)?;
        Some(match given(&layer.inference_pool_namespace) {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name,
        })
    })
}
