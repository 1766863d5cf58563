//! One service, from manifest to status:
//!
//! [`combine`] presets, baseRefs and spec → gather [`facts`] → [`validate`] → [`render`] → apply → [`status`].
//!
//! Reading and applying are the only steps that talk to the API server.

pub mod check;
pub mod combine;
pub mod dry_run;
pub mod facts;
pub mod failure;
pub mod finalize;
pub mod gather;
pub(crate) mod picker;
pub mod reconcile;
pub mod render;
pub mod section;
pub mod service;
pub mod status;
pub mod validate;
pub mod write_status;
