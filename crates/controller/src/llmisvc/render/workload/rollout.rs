//! How pods are replaced when their template changes, where `rolloutStrategy` says so.

use k8s_openapi::api::apps::v1::{DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use llmd_api::lws::{RollingUpdateConfiguration, RolloutStrategy as GroupRollout};
use llmd_api::serving::v1alpha2::RolloutStrategy;

const ROLLING_UPDATE: &str = "RollingUpdate";

/// Strategy of a Deployment; bounds that are not given are the API server's defaults.
#[must_use]
pub fn of_deployment(rollout: &RolloutStrategy) -> DeploymentStrategy {
    DeploymentStrategy {
        type_: Some(ROLLING_UPDATE.to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_unavailable: rollout.max_unavailable.clone(),
            max_surge: rollout.max_surge.clone(),
        }),
    }
}

/// Strategy of a LeaderWorkerSet, with its defaults of one unavailable group and none in surplus.
#[must_use]
pub fn of_groups(rollout: Option<&RolloutStrategy>) -> GroupRollout {
    GroupRollout {
        type_: ROLLING_UPDATE.to_owned(),
        rolling_update_configuration: rollout.map(|it| RollingUpdateConfiguration {
            max_unavailable: Some(it.max_unavailable.clone().unwrap_or(IntOrString::Int(1))),
            max_surge: Some(it.max_surge.clone().unwrap_or(IntOrString::Int(0))),
            partition: None,
        }),
    }
}
