//! What the charts render, looked at without a cluster.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{CHARTS, Case, helm_or_skip, kind, name, root};

#[test]
fn helm_finds_nothing_to_complain_about() -> Result<()> {
    let Some(helm) = helm_or_skip()? else { return Ok(()) };
    for chart in CHARTS {
        let required = ["--set", "router.modelServers.matchLabels.app=x"];
        let arguments = if chart == "llmd-router" { required.as_slice() } else { &[] };
        helm.run(&[&["lint", "--strict", chart], arguments].concat())?;
    }
    Ok(())
}

/// Every case against its reviewed picture; presets by name and image, because they are files of their own.
#[test]
fn every_case_renders_as_reviewed() -> Result<()> {
    let Some(helm) = helm_or_skip()? else { return Ok(()) };
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for case in Case::all()? {
            let mut picture = String::new();
            for object in case.objects(&helm)? {
                if kind(&object) == "LLMInferenceServiceConfig" {
                    let images: Vec<_> = images(&object).into_iter().collect();
                    writeln!(picture, "# preset {}: {}", name(&object), images.join(", "))?;
                } else {
                    write!(picture, "---\n{}", serde_saphyr::to_string(&object)?)?;
                }
            }
            insta::assert_snapshot!(format!("{}--{}", case.chart, case.name), picture);
        }
        Ok(())
    })
}

/// Every image anywhere in an object.
fn images(object: &Value) -> BTreeSet<String> {
    match object {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(field, value)| match value {
                Value::String(image) if field == "image" => BTreeSet::from([image.clone()]),
                value => images(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(images).collect(),
        _ => BTreeSet::new(),
    }
}

#[test]
fn a_registry_takes_the_place_of_llmds_own_in_every_image() -> Result<()> {
    let Some(helm) = helm_or_skip()? else { return Ok(()) };
    let dev = ["--set", "global.imageRegistry=localhost", "--set", "global.imageTag=dev"];
    let everything =
        [dev.as_slice(), &["--set", "quickstart.enabled=true", "--set", "llmd-modelservice.enabled=true"]]
            .concat();
    let found: BTreeSet<String> = helm.template("llmd", &everything)?.iter().flat_map(images).collect();
    let expected =
        ["controller", "engine", "epp", "sidecar", "storage"].map(|it| format!("localhost/llmd-{it}:dev"));
    let missing: Vec<_> =
        expected.iter().filter(|it| !found.contains(*it) && !it.contains("storage")).collect();
    assert_eq!(missing, Vec::<&String>::new());
    let foreign: Vec<_> = found.iter().filter(|it| !expected.contains(it)).collect();
    assert!(foreign.iter().all(|it| it.starts_with("docker.io/")), "{foreign:?}");
    Ok(())
}

#[test]
fn charts_carry_one_version_and_the_same_helpers() -> Result<()> {
    let read = |path: String| std::fs::read_to_string(root().join(&path)).with_context(|| path);
    let helpers = read("charts/llmd/templates/_llmd.tpl".to_owned())?;
    for chart in CHARTS {
        let about: Value = serde_saphyr::from_str(&read(format!("charts/{chart}/Chart.yaml"))?)?;
        for field in ["version", "appVersion"] {
            assert_eq!(about[field].as_str(), Some(env!("CARGO_PKG_VERSION")), "{field} of {chart}");
        }
        for dependency in about["dependencies"].as_array().into_iter().flatten() {
            assert_eq!(dependency["version"], about["version"], "a dependency of {chart}");
        }
        if chart != "llmd-crds" {
            let copy = read(format!("charts/{chart}/templates/_llmd.tpl"))?;
            assert!(copy == helpers, "charts/{chart}/templates/_llmd.tpl differs from the other copies");
        }
    }
    Ok(())
}

/// A table of values that misses one is worse than none.
#[test]
fn read_mes_name_every_value() -> Result<()> {
    for chart in CHARTS {
        let folder = root().join("charts").join(chart);
        let values: Value = serde_saphyr::from_str(&std::fs::read_to_string(folder.join("values.yaml"))?)?;
        let text = std::fs::read_to_string(folder.join("README.md"))?;
        let fields = values.as_object().context("values are a map")?;
        let missing: Vec<_> = fields.keys().filter(|it| !text.contains(&format!("`{it}"))).collect();
        assert!(missing.is_empty(), "charts/{chart}/README.md does not name {missing:?}");
    }
    Ok(())
}

#[test]
fn wrong_values_are_refused_by_name() -> Result<()> {
    let Some(helm) = helm_or_skip()? else { return Ok(()) };
    let labels = ["--set", "router.modelServers.matchLabels.app=x"];
    let refused = |chart: &str, arguments: &[&str], words: &str| {
        let error = helm.template(chart, arguments).expect_err(words);
        assert!(format!("{error:#}").contains(words), "{error:#}");
    };
    let with = |setting: &'static str| [labels[0], labels[1], "--set", setting];
    refused("llmd-router", &[], "router.modelServers.matchLabels is missing");
    refused(
        "llmd-router",
        &with("router.proxy.proxyType=agentgateway"),
        "not supported: router.proxy.proxyType",
    );
    refused(
        "llmd-router",
        &with("router.latencyPredictor.enabled=true"),
        "not supported: router.latencyPredictor",
    );
    refused(
        "llmd-router",
        &with("router.priorityRouting.enabled=true"),
        "not supported: router.priorityRouting",
    );
    refused("llmd-router", &with("router.tokenizer.flavor=rust"), "not supported: router.tokenizer.flavor");
    refused(
        "llmd-router",
        &with("router.epp.pluginsConfigFile=mine.yaml"),
        "pluginsCustomConfig does not give",
    );
    refused("llmd-router", &with("mode=both"), "/mode");
    refused("llmd-router", &with("rooter.x=1"), "rooter");
    refused("llmd-controller", &["--set", "image.digest=latest"], "/image/digest");
    refused("llmd-controller", &["--set", "replica=2"], "replica");
    refused(
        "llmd-modelservice",
        &["--set", "modelArtifacts.uri=oci://x"],
        "not supported: modelArtifacts.uri",
    );
    refused("llmd-modelservice", &["--set", "requester.enable=true"], "not supported: requester.enable");
    refused("llmd-crds", &["--set", "crds.inferencepools.install=maybe"], "install");
    Ok(())
}
