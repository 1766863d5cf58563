//! The CustomResourceDefinitions, in both variants.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use llmd_api::crd::{self, Definition, Variant};

const HEADER: &str = "# Generated from crates/api by `cargo xtask codegen`. Do not edit.\n";

/// One file a definition. The full ones are compact JSON, because a release of Helm holds them twice and must fit into
/// a Secret; their six copies of the pod's schema are nothing to read anyway.
pub(super) fn files() -> Result<BTreeMap<PathBuf, String>> {
    type Write = fn(&Definition) -> Result<String>;
    let groups: [(&str, &str, Write, Vec<Definition>); 3] = [
        ("full", "json", json, crd::serving(Variant::Full)),
        ("slim", "yaml", yaml, crd::serving(Variant::Slim)),
        ("inference", "yaml", yaml, crd::inference()),
    ];
    let files = groups.into_iter().flat_map(|(folder, extension, write, definitions)| {
        let path = move |name: &str| Path::new(folder).join(format!("{name}.{extension}"));
        definitions.into_iter().map(move |it| Ok((path(&it.name), write(&it)?)))
    });
    files.collect()
}

fn json(definition: &Definition) -> Result<String> {
    let text = serde_json::to_string(&definition.object);
    Ok(text.with_context(|| format!("cannot write {} as JSON", definition.name))? + "\n")
}

fn yaml(definition: &Definition) -> Result<String> {
    let text = serde_saphyr::to_string(&definition.object);
    Ok(format!("{HEADER}{}", text.with_context(|| format!("cannot write {} as YAML", definition.name))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_says_what_the_definition_says() {
        for definition in
            [crd::serving(Variant::Full), crd::serving(Variant::Slim), crd::inference()].concat()
        {
            let text = yaml(&definition).unwrap();
            let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
            assert!(read == definition.object, "{}", definition.name);
        }
    }
}
