//! Paths of the admin server that every llmd process runs beside its data port.

/// Process is ready for traffic; the body lists what is missing otherwise.
pub const READYZ: &str = "/readyz";
/// Prometheus text.
pub const METRICS: &str = "/metrics";
/// The endpoint picker's last decisions as JSON.
pub const DEBUG_DECISIONS: &str = "/debug/decisions";
