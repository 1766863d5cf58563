//! The direction of dependencies between the crates of this workspace, as ARCHITECTURE.md draws it.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use cargo_metadata::DependencyKind;

use crate::workspace;

/// Crates of the workspace that a crate may name under `[dependencies]`. A missing row is a failure, so a new
/// crate has to state its layer.
const ALLOWED: &[(&str, &[&str])] = &[
    ("llmd-api", &[]),
    ("llmd-common", &[]),
    ("llmd-kernels", &[]),
    ("llmd-kv", &["llmd-api"]),
    ("llmd-tokenizer", &["llmd-api"]),
    ("llmd-engine", &["llmd-api", "llmd-common", "llmd-kernels", "llmd-kv", "llmd-tokenizer"]),
    ("llmd-epp", &["llmd-api", "llmd-common", "llmd-kv", "llmd-tokenizer"]),
    ("llmd-sidecar", &["llmd-api", "llmd-common"]),
    ("llmd-controller", &["llmd-api", "llmd-common"]),
    ("llmd-storage", &["llmd-common"]),
    ("llmd-cli", &["llmd-api", "llmd-common", "llmd-controller"]),
    ("llmd-e2e", &["llmd-api", "llmd-common"]),
    ("llmd-codegen", &["llmd-api", "llmd-controller"]),
    ("llmd-images", &[]),
    ("xtask", &[]),
];

/// Foreign crates that only some crates may name under `[dependencies]`.
const CONFINED: &[(&str, &[&str])] = &[
    (
        "anyhow",
        &[
            "llmd-cli",
            "llmd-codegen",
            "llmd-controller",
            "llmd-e2e",
            "llmd-engine",
            "llmd-epp",
            "llmd-images",
            "llmd-sidecar",
            "llmd-storage",
            "xtask",
        ],
    ),
    ("envoy-types", &["llmd-epp"]),
    ("tonic", &["llmd-epp"]),
    (
        "tokio",
        &[
            "llmd-cli",
            "llmd-common",
            "llmd-controller",
            "llmd-e2e",
            "llmd-engine",
            "llmd-epp",
            "llmd-images",
            "llmd-sidecar",
            "llmd-storage",
        ],
    ),
    ("axum", &["llmd-common", "llmd-controller", "llmd-engine", "llmd-epp", "llmd-sidecar"]),
    ("rustls", &["llmd-common", "llmd-images", "llmd-sidecar", "llmd-storage"]),
];

/// Fails when a crate of the workspace depends against the tables above.
pub(crate) fn check() -> Result<()> {
    let mut violations = Vec::new();
    for package in &workspace::metadata()?.packages {
        let normal = package.dependencies.iter().filter(|it| it.kind == DependencyKind::Normal);
        let (own, foreign): (Vec<_>, Vec<_>) = normal.partition(|it| it.path.is_some());
        let names = |dependencies: &[&cargo_metadata::Dependency]| -> Vec<String> {
            dependencies.iter().map(|it| it.name.clone()).collect()
        };
        violations.extend(violations_of(&package.name, &names(&own), &names(&foreign)));
    }
    if violations.is_empty() { Ok(()) } else { bail!("layering broken:\n  {}", violations.join("\n  ")) }
}

fn violations_of(package: &str, own: &[String], foreign: &[String]) -> Vec<String> {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let Some(allowed) = allowed.get(package) else {
        return vec![format!("{package} has no row in xtask/src/deps.rs")];
    };
    let confined = |name: &str| CONFINED.iter().find(|(it, _)| *it == name).map(|(_, users)| *users);
    let against_layers = own.iter().filter(|name| !allowed.contains(&name.as_str()));
    let against_confinement =
        foreign.iter().filter(|name| confined(name).is_some_and(|users| !users.contains(&package)));
    against_layers.chain(against_confinement).map(|name| format!("{package} must not name {name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_may_look_down_only() {
        let violations = |package: &str, own: &[&str], foreign: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
            violations_of(package, &owned(own), &owned(foreign))
        };
        assert_eq!(violations("llmd-engine", &["llmd-kv", "llmd-kernels"], &["tokio"]), [""; 0]);
        assert_eq!(violations("llmd-epp", &["llmd-engine"], &[]), ["llmd-epp must not name llmd-engine"]);
        assert_eq!(violations("llmd-api", &["llmd-common"], &["tokio"]).len(), 2);
        assert_eq!(violations("llmd-new", &[], &[]), ["llmd-new has no row in xtask/src/deps.rs"]);
    }
}
