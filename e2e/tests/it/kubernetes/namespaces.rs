//! Services of several namespaces do not meet, whatever their names are.

use anyhow::Result;
use serde_json::{Value, json};

use super::objects::{ROUTE, SCHEDULER, SINGLE_NODE};
use super::story::Story;

const PARTS: [&[&str]; 3] = [SINGLE_NODE, SCHEDULER, ROUTE];

fn service(name: &str) -> String {
    json!({
        "apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceService",
        "metadata": { "name": name },
        "spec": {
            "model": { "uri": "hf://org/tiny", "name": "tiny" },
            "router": { "route": {}, "scheduler": {} },
        },
    })
    .to_string()
}

/// What a write to an object would change.
fn identity(story: &Story, kind: &str, name: &str) -> Result<(Value, Value)> {
    let metadata = story.object(kind, name)?["metadata"].clone();
    Ok((metadata["uid"].clone(), metadata["generation"].clone()))
}

/// The cluster-wide binding of the story's service, as its name and its subject's namespace.
fn binding(story: &Story, service: &str) -> Result<Vec<(Value, Value)>> {
    let selector = format!("app.kubernetes.io/name={service}");
    let list: Value = serde_json::from_str(&story.kubectl(&[
        "get",
        "clusterrolebinding",
        "-l",
        &selector,
        "-o",
        "json",
    ])?)?;
    let all = list["items"].as_array().into_iter().flatten();
    let all = all.map(|it| (it["metadata"]["name"].clone(), it["subjects"][0]["namespace"].clone()));
    Ok(all.filter(|(_, namespace)| *namespace == story.namespace.as_str()).collect())
}

#[test]
fn services_of_one_name_in_two_namespaces_do_not_touch_each_other() -> Result<()> {
    let Some(one) = Story::begin("same-name-one")? else { return Ok(()) };
    let Some(two) = Story::begin("same-name-two")? else { return Ok(()) };
    for story in [&one, &two] {
        story.apply(&service("same"))?;
        story.has_exactly("same", &PARTS)?;
        story.accept_route("same")?;
        story.condition("same", "Ready", "True")?;
    }
    let objects = [
        ("deployment", "same-kserve"),
        ("deployment", "same-kserve-router-scheduler"),
        ("httproute", "same-kserve-route"),
    ];
    let look =
        || objects.map(|(kind, name)| identity(&two, kind, name)).into_iter().collect::<Result<Vec<_>>>();
    let before = look()?;

    one.patch("llmisvc/same", &json!({ "spec": { "replicas": 2, "labels": { "team": "one" } } }))?;
    one.eventually("two replicas", || {
        Ok((one.object("deployment", "same-kserve")?["spec"]["replicas"] == 2).then_some(()))
    })?;
    one.delete_service("same")?;

    assert_eq!(look()?, before);
    two.has_exactly("same", &PARTS)?;
    two.condition("same", "Ready", "True").map(drop)
}

#[test]
fn names_that_read_alike_have_cluster_wide_bindings_of_their_own() -> Result<()> {
    let Some(left) = Story::begin("left")? else { return Ok(()) };
    let Some(right) = Story::begin("left-b")? else { return Ok(()) };
    left.apply(&service("b-c"))?;
    right.apply(&service("c"))?;
    left.has_exactly("b-c", &PARTS)?;
    right.has_exactly("c", &PARTS)?;
    let (of_left, of_right) = (binding(&left, "b-c")?, binding(&right, "c")?);
    assert_eq!((of_left.len(), of_right.len()), (1, 1));
    assert_ne!(of_left[0].0, of_right[0].0);

    left.delete_service("b-c")?;
    right.has_exactly("c", &PARTS)?;
    assert_eq!(binding(&right, "c")?, of_right);
    right.delete_service("c")
}
