//! KServe's `serving.kserve.io`: the service, its reusable configs, their status.

pub mod conditions;
pub mod status;
pub mod v1alpha2;
