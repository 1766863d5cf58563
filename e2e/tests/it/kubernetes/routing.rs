//! Routes: shares of a routing group, gateways and routes of the user, and routing by the model's header.

use anyhow::Result;
use llmd_e2e::installation::gateway::condition;
use serde_json::{Value, json};

use super::story::Story;

fn service(name: &str, router: &Value) -> String {
    json!({
        "apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceService",
        "metadata": { "name": name },
        "spec": { "model": { "uri": "hf://org/tiny", "name": "tiny" }, "router": router },
    })
    .to_string()
}

fn member(name: &str, weight: i64) -> String {
    service(name, &json!({ "route": { "group": "chat", "weight": weight }, "scheduler": {} }))
}

/// Backends and weights of the rule with this name in the managed route of `service`.
fn shares(story: &Story, service: &str, rule: &str) -> Result<Vec<(String, i64)>> {
    let route = story.object("httproute", &format!("{service}-kserve-route"))?;
    let rules = route["spec"]["rules"].as_array().cloned().unwrap_or_default();
    let rule = rules.into_iter().find(|it| it["name"] == rule).unwrap_or_default();
    let backends = rule["backendRefs"].as_array().cloned().unwrap_or_default();
    let share = |it: &Value| {
        (it["name"].as_str().unwrap_or_default().to_owned(), it["weight"].as_i64().unwrap_or_default())
    };
    Ok(backends.iter().map(share).collect())
}

/// Waits until every one of `services` gives these shares, while a gateway accepts whatever it is given.
fn all_share(story: &Story, services: &[&str], expected: &[(&str, i64)]) -> Result<()> {
    let expected: Vec<_> = expected.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
    let mut seen = Vec::new();
    let outcome = story.eventually("the group shares requests", || {
        services.iter().try_for_each(|it| story.accept_route(it))?;
        seen = services
            .iter()
            .map(|it| shares(story, it, "v1-chat-completions-publisher-path"))
            .collect::<Result<_>>()?;
        Ok(seen.iter().all(|it| *it == expected).then_some(()))
    });
    outcome.map_err(|it| it.context(format!("expected {expected:?}, not {seen:?}")))
}

/// A gateway in the story's namespace that its controller has programmed.
fn gateway(story: &Story, name: &str) -> Result<()> {
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": { "name": name },
        "spec": {
            "gatewayClassName": "envoy",
            "listeners": [{ "name": "http", "port": 80, "protocol": "HTTP" }],
        },
    });
    story.apply(&gateway.to_string())?;
    let status = json!({ "status": {
        "addresses": [{ "type": "IPAddress", "value": "203.0.113.9" }],
        "conditions": [condition("Accepted", 0), condition("Programmed", 0)],
    } });
    let object = format!("gateway/{name}");
    story
        .kubectl(&["patch", &object, "--subresource=status", "--type=merge", "-p", &status.to_string()])
        .map(drop)
}

/// Says as a gateway's controller that the route is accepted by `gateway` of the story's namespace.
fn accept(story: &Story, route: &str, gateway: &str) -> Result<()> {
    let conditions = json!([condition("Accepted", 0), condition("ResolvedRefs", 0)]);
    let status = json!({ "status": { "parents": [{
        "parentRef": { "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway },
        "controllerName": "example.com/gateway", "conditions": conditions,
    }] } });
    let object = format!("httproute/{route}");
    story
        .kubectl(&["patch", &object, "--subresource=status", "--type=merge", "-p", &status.to_string()])
        .map(drop)
}

#[test]
fn members_of_a_group_share_requests_by_weight_until_one_stops() -> Result<()> {
    let Some(story) = Story::begin("group")? else { return Ok(()) };
    let both: &[&str] = &["canary", "stable"];
    story.apply(&member("stable", 90))?;
    story.apply(&member("canary", 10))?;
    all_share(&story, both, &[("canary-inference-pool", 10), ("stable-inference-pool", 90)])?;
    assert_eq!(
        shares(&story, "stable", "v1-chat-completions-path")?.len(),
        1,
        "a member's own path stays its own"
    );
    let route = story.object("httproute", "stable-kserve-route")?;
    assert_eq!(route["metadata"]["labels"]["serving.kserve.io/routing-group"], "chat");

    story.patch("llmisvc/canary", &json!({ "spec": { "router": { "route": { "weight": 50 } } } }))?;
    all_share(&story, both, &[("canary-inference-pool", 50), ("stable-inference-pool", 90)])?;

    story.kubectl(&["annotate", "llmisvc/canary", "serving.kserve.io/stop=true"])?;
    all_share(&story, &["stable"], &[("stable-inference-pool", 90)])?;
    story.eventually("the stopped member is told", || {
        let group = story.object("llminferenceservice", "stable")?["status"]["router"]["group"].clone();
        let members = group["members"].as_array().cloned().unwrap_or_default();
        let canary = members.into_iter().find(|it| it["name"] == "canary").unwrap_or_default();
        Ok((group["name"] == "chat" && canary["stopped"] == true).then_some(()))
    })?;

    story.kubectl(&["annotate", "llmisvc/canary", "serving.kserve.io/stop-"])?;
    all_share(&story, both, &[("canary-inference-pool", 50), ("stable-inference-pool", 90)])?;
    story.kubectl(&["delete", "llmisvc/canary", "--timeout=60s"])?;
    all_share(&story, &["stable"], &[("stable-inference-pool", 90)])
}

#[test]
fn a_service_behind_a_gateway_of_the_user_waits_for_it() -> Result<()> {
    let Some(story) = Story::begin("own-gateway")? else { return Ok(()) };
    let router =
        json!({ "route": {}, "gateway": { "refs": [{ "name": "own", "namespace": "own-gateway" }] } });
    story.apply(&service("picky", &router))?;
    let refused = story.condition("picky", "GatewaysReady", "False")?;
    assert_eq!(refused["reason"], "RefsInvalid");
    assert_eq!(refused["message"], "Gateway own-gateway/own does not exist");

    gateway(&story, "own")?;
    story.condition("picky", "GatewaysReady", "True")?;
    let route = story.object("httproute", "picky-kserve-route")?;
    let parents = route["spec"]["parentRefs"].as_array().cloned().unwrap_or_default();
    assert_eq!(parents.len(), 1);
    assert_eq!(parents[0]["name"], "own");
    accept(&story, "picky-kserve-route", "own")?;
    story.condition("picky", "Ready", "True")?;
    let status = story.object("llminferenceservice", "picky")?["status"].clone();
    assert_eq!(status["url"], "http://203.0.113.9/own-gateway/picky");
    assert_eq!(status["router"]["gateways"][0]["name"], "own");
    Ok(())
}

#[test]
fn a_route_of_the_user_takes_the_place_of_the_managed_one() -> Result<()> {
    let Some(story) = Story::begin("own-route")? else { return Ok(()) };
    gateway(&story, "own")?;
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": { "name": "mine" },
        "spec": {
            "parentRefs": [{ "name": "own" }],
            "rules": [{
                "matches": [{ "path": { "type": "PathPrefix", "value": "/mine" } }],
                "backendRefs": [{ "name": "routed-kserve-workload-svc", "port": 8000 }],
            }],
        },
    });
    story.apply(&service("routed", &json!({ "route": {} })))?;
    story.object("httproute", "routed-kserve-route")?;
    story.patch(
        "llmisvc/routed",
        &json!({ "spec": { "router": { "route": { "http": { "refs": [{ "name": "mine" }] } } } } }),
    )?;
    story.eventually("the missing route is named", || {
        let refused = story.condition("routed", "HTTPRoutesReady", "False")?;
        Ok((refused["message"] == "HTTPRoute own-route/mine does not exist").then_some(()))
    })?;

    story.apply(&route.to_string())?;
    accept(&story, "mine", "own")?;
    story.condition("routed", "HTTPRoutesReady", "True")?;
    story.condition("routed", "Ready", "True")?;
    story.gone("httproute", "routed-kserve-route")?;
    let status = story.object("llminferenceservice", "routed")?["status"].clone();
    assert_eq!(status["url"], "http://203.0.113.9/mine");
    Ok(())
}

#[test]
fn a_gateway_that_cannot_route_by_model_keeps_the_header_out_of_its_routes() -> Result<()> {
    let Some(story) = Story::begin("model-header")? else { return Ok(()) };
    gateway(&story, "own")?;
    let router =
        json!({ "route": {}, "gateway": { "refs": [{ "name": "own", "namespace": "model-header" }] } });
    story.apply(&service("by-model", &router))?;
    let by_header = || -> Result<bool> {
        let route = story.object("httproute", "by-model-kserve-route")?;
        Ok(route["spec"]["rules"].to_string().contains("X-Gateway-Model-Name"))
    };
    story.eventually("the route matches the header", || Ok(by_header()?.then_some(())))?;
    let annotation = "serving.kserve.io/model-based-routing-enabled";
    story.kubectl(&["annotate", "gateway/own", &format!("{annotation}=false")])?;
    story.eventually("the route has no header", || Ok((!by_header()?).then_some(())))?;
    story.kubectl(&["annotate", "gateway/own", &format!("{annotation}-")])?;
    story.eventually("the route matches the header again", || Ok(by_header()?.then_some(())))
}
