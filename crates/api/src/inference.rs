//! Gateway API Inference Extension and its successor group `llm-d.ai`: pools and what tunes their endpoint picker.

mod conditions;
pub mod model;
pub mod model_rewrite;
pub mod objective;
pub mod pool_v1;
pub mod pool_v1alpha2;
pub mod reference;
pub mod versions;
