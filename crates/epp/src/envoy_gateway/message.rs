//! Small messages that larger ones hold.

use std::time::Duration;

use envoy_types::pb::google::protobuf::{Any, Duration as ProtoDuration};
use prost::Message;

/// How an `Any` names its message's type.
pub(super) fn type_url(name: &str) -> String {
    format!("type.googleapis.com/{name}")
}

/// A message with the name of its type.
pub(super) fn packed(name: &str, message: &impl Message) -> Any {
    Any { type_url: type_url(name), value: message.encode_to_vec() }
}

/// Whole seconds.
pub(super) fn duration(duration: Duration) -> ProtoDuration {
    ProtoDuration { seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), nanos: 0 }
}
