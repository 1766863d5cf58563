//! KServe's `serving.kserve.io`: the service, its reusable configs, their status.

pub mod conditions;
pub mod conversion;
pub mod kv_cache;
pub mod model;
pub mod routing;
pub mod scaling;
pub mod status;
pub mod v1alpha1;
pub mod v1alpha2;
pub mod workload;
