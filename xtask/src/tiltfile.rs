//! The Tiltfile, run without Tilt and without a cluster: what it declares is there, and its images reach the release.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use crate::command;
use crate::workspace::root;

#[derive(Debug, Deserialize)]
struct Declaration {
    function: String,
    parameters: BTreeMap<String, Value>,
}

impl Declaration {
    fn text(&self, parameter: &str) -> Option<&str> {
        self.parameters.get(parameter)?.as_str()
    }

    fn list(&self, parameter: &str) -> Vec<&str> {
        let list = self.parameters.get(parameter).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

/// Folder of the real Helm; `None` where the tests' Kubernetes is not built.
fn helm() -> Option<PathBuf> {
    let built = root().join("target/k8s/bin");
    let programs = std::env::var_os("KUBEBUILDER_ASSETS").map_or(built, PathBuf::from);
    if !programs.join("helm").exists() {
        println!("skipped: helm is built by `cargo xtask k8s`");
        return None;
    }
    Some(programs)
}

fn path_with(folder: &Path) -> std::ffi::OsString {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(folder.to_owned()).chain(std::env::split_paths(&paths))).unwrap()
}

/// What the Tiltfile declares; `None` without Go or Helm.
fn declared() -> Option<Vec<Declaration>> {
    let helm = helm()?;
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("tiltfile");
    let mut build = Command::new("go");
    build.current_dir(root().join("xtask/tilt")).args(["build", "-mod=readonly", "-buildvcs=false", "-o"]);
    match build.arg(&program).arg(".").output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            println!("skipped: the interpreter of the Tiltfile is built by Go: {error}");
            return None;
        }
    }
    let mut run = Command::new(program);
    run.current_dir(root()).env("PATH", path_with(&helm)).args(["Tiltfile", "kind-dev"]);
    Some(serde_json::from_str(&command::output(&mut run).unwrap()).unwrap())
}

fn of<'a>(declared: &'a [Declaration], function: &'a str) -> impl Iterator<Item = &'a Declaration> {
    declared.iter().filter(move |it| it.function == function)
}

#[test]
fn what_it_names_is_there() {
    let Some(declared) = declared() else { return };
    for path in declared.iter().flat_map(|it| it.list("deps")) {
        assert!(root().join(path).exists(), "deps: {path}");
    }
    let named = |function, parameter| of(&declared, function).filter_map(move |it| it.text(parameter));
    let resources: BTreeSet<_> = named("local_resource", "name")
        .chain(named("k8s_custom_deploy", "name"))
        .chain(named("k8s_resource", "new_name"))
        .collect();
    for it in declared.iter().flat_map(|it| it.list("resource_deps")).chain(named("k8s_resource", "workload"))
    {
        assert!(resources.contains(it), "resource: {it}");
    }
    let built: BTreeSet<_> = named("custom_build", "ref").collect();
    for it in of(&declared, "k8s_custom_deploy") {
        assert_eq!(it.list("image_deps").into_iter().collect::<BTreeSet<_>>(), built);
    }
    let stories = fs::read_to_string(root().join("e2e/tests/delivery/main.rs")).unwrap();
    let buttons: Vec<_> =
        of(&declared, "local_resource").filter(|it| it.list("labels") == ["stories"]).collect();
    assert!(!buttons.is_empty());
    for name in buttons.iter().filter_map(|it| it.text("name")) {
        let is_told =
            ["of_cluster", "of_llmd"].iter().any(|it| stories.contains(&format!("{it}(\"{name}\"")));
        assert!(is_told, "story: {name}");
    }
}

#[test]
fn every_definition_of_the_chart_belongs_to_its_resource() {
    let Some(declared) = declared() else { return };
    let text = of(&declared, "k8s_yaml").find_map(|it| it.text("yaml")).unwrap();
    // The chart writes some of them in one line.
    let documents = text.split("\n---").map(|it| it.replace(['"', ' '], ""));
    let n_objects = documents.filter(|it| it.contains("kind:CustomResourceDefinition")).count();
    let definitions = of(&declared, "k8s_resource").find(|it| it.text("new_name") == Some("definitions"));
    let objects: BTreeSet<_> = definitions.unwrap().list("objects").into_iter().collect();
    assert_eq!(objects.len(), n_objects);
    assert!(objects.contains("llminferenceservices.serving.kserve.io:customresourcedefinition"));
}

/// A `helm` that renders what the real one would install, and has installed nothing.
fn rendering(helm: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("helm");
    let real = helm.join("helm");
    let script = format!(
        "#!/bin/sh\ncase \"$1 $2\" in\n'upgrade --install') shift 2; exec {} template \"$@\" ;;\n\
         'get manifest') ;;\n*) exit 64 ;;\nesac\n",
        real.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn images_that_were_built_are_the_ones_that_run() {
    let (Some(declared), Some(helm)) = (declared(), helm()) else { return };
    let rendering = rendering(&helm);
    let deploy = of(&declared, "k8s_custom_deploy").next().unwrap();
    let mut apply = Command::new("sh");
    apply.current_dir(root()).env("PATH", path_with(rendering.path()));
    apply.args(["-c", deploy.text("apply_cmd").unwrap()]);
    let images = deploy.list("image_deps");
    for (number, image) in images.iter().enumerate() {
        apply.env(format!("TILT_IMAGE_{number}"), format!("{image}:built-{number}"));
    }
    let output = apply.output().unwrap();
    let rendered = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{rendered}");
    let words: BTreeSet<&str> = rendered
        .split([' ', '"', '\n', ','])
        .filter_map(|it| Some(&it[it.find("localhost/llmd")?..]))
        .collect();
    let model = "localhost/llmd-tiny:dev".to_owned();
    let expected = images.iter().enumerate().map(|(number, image)| format!("{image}:built-{number}"));
    let expected: BTreeSet<String> = expected.chain([model]).collect();
    assert_eq!(words.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), expected);
}
