//! Detectors of saturation.

pub mod utilization_detector;
