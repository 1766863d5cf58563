use std::path::PathBuf;
use std::process::{Command, Output};

use super::*;
use crate::image::tests::origin;
use crate::push::Registry;
use crate::push::tests::RealRegistry;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts")
}

/// The real Helm with nothing of this account; `None` where the tests' Kubernetes is not built.
fn helm(args: &[&str]) -> Option<Output> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/k8s/bin");
    let programs = std::env::var_os("KUBEBUILDER_ASSETS").map_or(built, PathBuf::from);
    let program = programs.join("helm");
    if !program.exists() {
        println!("skipped: helm is built by `cargo xtask k8s`");
        return None;
    }
    let home = tempfile::tempdir().unwrap();
    let mut helm = Command::new(program);
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        helm.env(variable, home.path());
    }
    Some(helm.args(args).output().unwrap())
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_chart_packs_to_the_same_bytes() {
    let [once, again] = [(); 2].map(|()| read_all(&folder(), VERSION).unwrap());
    let names: Vec<_> = once.iter().map(|it| it.name.as_str()).collect();
    let expected =
        ["llmd", "llmd-controller", "llmd-crds", "llmd-modelservice", "llmd-observability", "llmd-router"];
    assert_eq!(names, expected);
    for (one, other) in once.iter().zip(&again) {
        assert!(one.package == other.package, "{}", one.name);
    }
}

#[test]
fn a_chart_of_another_version_is_refused() {
    let error = read_all(&folder(), "999.0.0").unwrap_err().to_string();
    assert!(error.contains("Chart.yaml") && error.contains("not 999.0.0"), "{error}");
}

#[test]
fn helm_renders_a_package_as_it_renders_its_folder() {
    let place = tempfile::tempdir().unwrap();
    for chart in read_all(&folder(), VERSION).unwrap() {
        let package = place.path().join(chart.file_name());
        fs::write(&package, &chart.package).unwrap();
        let folder = folder().join(&chart.name);
        let value = match chart.name.as_str() {
            "llmd" => "quickstart.enabled=true",
            "llmd-router" => "router.modelServers.matchLabels.app=qwen",
            _ => "global.imageTag=v1",
        };
        let shown = [folder.as_path(), &package].map(|it| {
            helm(&["template", "it", it.to_str().unwrap(), "--namespace", "there", "--set", value])
        });
        let [Some(folder), Some(package)] = shown else { return };
        assert!(text(&folder) == text(&package), "{}", chart.name);
    }
}

#[tokio::test]
async fn helm_pulls_what_was_pushed() {
    let Some(registry) = RealRegistry::start(&[]) else { return };
    let chart = read_all(&folder(), VERSION).unwrap().remove(0);
    let to = Registry::open(&format!("{}/a/folder", registry.host)).unwrap();
    to.push_artifact("charts/llmd", VERSION, &chart.artifact(&origin()).unwrap()).await.unwrap();
    let from = format!("oci://{}/a/folder/charts/llmd", registry.host);
    let place = tempfile::tempdir().unwrap();
    let pulled =
        helm(&["pull", &from, "--plain-http", "--version", VERSION, "-d", place.path().to_str().unwrap()]);
    let Some(pulled) = pulled else { return };
    text(&pulled);
    assert!(fs::read(place.path().join(chart.file_name())).unwrap() == chart.package);
}
