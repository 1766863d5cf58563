//! Version of this build.

/// Version of the workspace, as `--version` prints it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
