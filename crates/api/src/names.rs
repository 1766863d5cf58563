//! Names of the objects that belong to a service.

use md5::{Digest, Md5};

/// Longest name of a Kubernetes object that must also serve as a DNS label.
const MAX: usize = 63;

/// Name of the child `parent` + `suffix`, shortened by a hash where the whole would exceed 63 characters.
///
/// The rule is knative's `kmeta.ChildName`; dashboards and autoscalers derive these names on their own, so it
/// must give the same bytes.
#[must_use]
pub fn child_name(parent: &str, suffix: &str) -> String {
    const HASH: usize = 32;
    const HEAD: usize = MAX - HASH;
    if parent.len() + suffix.len() <= MAX {
        return format!("{parent}{suffix}");
    }
    let head = |room: usize| &parent[..parent.floor_char_boundary(room.min(parent.len()))];
    if suffix.len() < HEAD {
        return format!("{}{}{suffix}", head(HEAD - suffix.len()), hex(&Md5::digest(parent)));
    }
    let hash = hex(&Md5::digest(format!("{parent}{suffix}")));
    let mut name = format!("{}{hash}", head(HEAD));
    let room = MAX.saturating_sub(name.len());
    name.push_str(&suffix[..suffix.floor_char_boundary(room.min(suffix.len()))]);
    name.trim_end_matches(|it: char| !it.is_ascii_alphanumeric()).to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_joined_and_long_ones_hashed() {
        assert_eq!(child_name("qwen", "-kserve"), "qwen-kserve");
        let long = child_name(&"a".repeat(60), "-kserve-workload-svc");
        assert_eq!(long.len(), MAX);
        assert!(long.ends_with("-kserve-workload-svc"), "{long}");
        assert_eq!(long, child_name(&"a".repeat(60), "-kserve-workload-svc"));
    }
}
