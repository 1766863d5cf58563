//! The controller against a real API server, with pods that run in name on a fake node.

mod admission;
mod adoption;
mod apis;
mod conversion;
mod definitions;
mod drift;
mod endpoint_picker;
mod faults;
mod leaders;
mod lifecycle;
mod many;
mod modes;
mod monitors;
mod namespaces;
mod objects;
mod own;
mod presets;
mod routing;
mod samples;
mod sidecar_allowlist;
mod single_node;
mod story;
mod switching;
