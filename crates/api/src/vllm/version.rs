//! `GET /version` and the version number that scripts probe.

use serde::Serialize;

/// The vLLM release whose flags and HTTP surface the engine offers. Start scripts of serving presets compare it
/// against feature releases, so it is a vLLM number and not this workspace's.
pub const COMPATIBLE_WITH: &str = "0.23.0";

/// Body of `GET /version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    /// [`COMPATIBLE_WITH`].
    pub version: &'static str,
}
