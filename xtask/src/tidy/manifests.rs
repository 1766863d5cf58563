//! Rules for `Cargo.toml`: lints and versions come from the workspace, so that crates build the same alone.

/// Violations in the manifest of one crate.
pub(super) fn violations(name: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut section = "";
    let mut has_lints = false;
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_matches(['[', ']']);
            if has_dependencies(section.rsplit_once('.').map_or("", |(table, _)| table)) {
                found.push(format!("{name}: [{section}]: write the dependency on one line"));
            }
            continue;
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let is_inherited = line.replace(' ', "").contains("workspace=true");
        has_lints |= section == "lints" && is_inherited;
        if has_dependencies(section) && !is_inherited {
            found.push(format!("{name}: `{line}`: declare it in [workspace.dependencies] and inherit it"));
        }
    }
    if !has_lints {
        found.push(format!("{name}: no `[lints]` with `workspace = true`"));
    }
    found
}

/// `dependencies`, `dev-dependencies`, `build-dependencies`, alone or of a target.
fn has_dependencies(section: &str) -> bool {
    section.ends_with("dependencies")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_inherited() {
        let good = "[package]\nname = \"a\"\n\n[dependencies]\nb.workspace = true\n# why\nc = { workspace = true, \
                    features = [\"d\"] }\n\n[target.'cfg(unix)'.dependencies]\ne.workspace = true\n\n[lints]\n\
                    workspace = true\n";
        assert_eq!(violations("Cargo.toml", good), [""; 0]);
        let bad = "[dev-dependencies]\nb = \"1\"\n[dependencies.c]\nversion = \"2\"\n";
        assert_eq!(
            violations("Cargo.toml", bad),
            [
                "Cargo.toml: `b = \"1\"`: declare it in [workspace.dependencies] and inherit it",
                "Cargo.toml: [dependencies.c]: write the dependency on one line",
                "Cargo.toml: no `[lints]` with `workspace = true`",
            ]
        );
    }
}
