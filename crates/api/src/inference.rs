//! Gateway API Inference Extension: pools and what tunes their endpoint picker.

pub mod pool_v1;
pub mod pool_v1alpha2;
pub mod versions;
