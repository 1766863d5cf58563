//! One service, from manifest to status:
//!
//! [`combine`] presets, baseRefs and spec → gather [`facts`] → [`validate`] → [`render`] → apply → [`status`].
//!
//! Reading and applying are the only steps that talk to the API server.

pub mod combine;
pub mod facts;
pub mod render;
pub mod section;
pub mod service;
pub mod status;
pub mod validate;
