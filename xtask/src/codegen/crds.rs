//! The CustomResourceDefinitions, in both variants.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use llmd_api::crd::{self, Definition, Variant};

const HEADER: &str = "# Generated from crates/api by `cargo xtask codegen`. Do not edit.\n";

/// One file a definition.
pub(super) fn files() -> Result<BTreeMap<PathBuf, String>> {
    let groups = [
        ("full", crd::serving(Variant::Full)),
        ("slim", crd::serving(Variant::Slim)),
        ("inference", crd::inference()),
    ];
    let files = groups.into_iter().flat_map(|(folder, definitions)| {
        definitions
            .into_iter()
            .map(move |it| Ok((Path::new(folder).join(format!("{}.yaml", it.name)), yaml(&it)?)))
    });
    files.collect()
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
