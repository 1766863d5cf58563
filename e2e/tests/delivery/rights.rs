//! Least privilege: what each service account of charts and controller may do, as the API server tells it, against what
//! it has done, as the audit log of the whole run tells it. Nobody is refused anything, and a right that was never used
//! has its reason in [`reasons`].

mod reasons;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use llmd_e2e::cluster::{audit, rights};
use llmd_e2e::helm::helm;
use llmd_e2e::skip::skip;
use serde_json::{Value, json};

use crate::hello;
use crate::stack::{self, SYSTEM};
use crate::victims::answers_again;
use crate::world::World;

const NAMESPACE: &str = "rights";
/// Namespaces of others, whose accounts are not looked at.
const FOREIGN: [&str; 3] = ["kube-system", "lws-system", "envoy-gateway-system"];

pub(crate) fn story(world: &World) -> Result<()> {
    let Some(log) = world.provider().audit_log() else {
        return skip("the API server's audit log cannot be read");
    };
    everything_works(world)?;
    let entries = audit::read(&log)?;
    nobody_was_refused(&entries)?;
    let mut unexplained = Vec::new();
    for namespace in [SYSTEM, NAMESPACE] {
        for account in accounts(world, namespace)? {
            unexplained.extend(unexplained_rights(world, namespace, &account, &entries)?);
        }
    }
    ensure!(
        unexplained.is_empty(),
        "rights that nobody used and nothing here explains:\n{}",
        unexplained.join("\n")
    );
    Ok(())
}

/// Services with every account that services may have, and a router by its chart.
fn everything_works(world: &World) -> Result<()> {
    let spec = json!({
        "replicas": 1,
        "prefill": { "replicas": 1 },
        "router": { "scheduler": { "replicas": 2 } },
    });
    let entrance = stack::serve(world, NAMESPACE, &spec)?;
    answers_again(world, &entrance)?;
    let group = json!({ "parallelism": { "data": 2, "dataLocal": 1 }, "worker": { "containers": [] } });
    let mut group = stack::manifest(world, &group);
    group["metadata"]["name"] = json!("group");
    hello::apply(world, NAMESPACE, &group.to_string())?;
    world.wait_for(NAMESPACE, "llmisvc/group", "Ready")?;
    answers_again(world, &world.reach(NAMESPACE, "group-epp-service", stack::PROXY)?)?;
    let chart = format!("{}/llmd-router", stack::charts());
    let images = stack::images(world);
    let values = "router.epp.replicas=2,router.modelServers.matchLabels.app\\.kubernetes\\.io/name=tiny";
    let release = ["upgrade", "--install", "router", &chart, "--namespace", NAMESPACE];
    // Not --wait: of two replicas one leads, and the other one is not ready on purpose.
    let how = ["--set", &images, "--set", values];
    helm(world.kubectl(), &[release.as_slice(), how.as_slice()].concat())?;
    answers_again(world, &world.reach(NAMESPACE, "router-epp", stack::PROXY)?)
}

fn nobody_was_refused(entries: &[Value]) -> Result<()> {
    let ours: Vec<Value> = entries.iter().filter(|it| is_ours(it)).cloned().collect();
    ensure!(!ours.is_empty(), "the audit log holds no request of a service account");
    let refused = rights::refused(&ours);
    let list = refused.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    ensure!(refused.is_empty(), "requests that were refused:\n{list}");
    println!("  {} requests of service accounts, none refused", ours.len());
    Ok(())
}

fn is_ours(entry: &Value) -> bool {
    let user = entry["user"]["username"].as_str().unwrap_or_default();
    let account = user.strip_prefix("system:serviceaccount:").and_then(|it| it.split_once(':'));
    account.is_some_and(|(namespace, _)| !FOREIGN.contains(&namespace))
}

/// Accounts of a namespace that somebody made for a purpose.
fn accounts(world: &World, namespace: &str) -> Result<Vec<String>> {
    let names = world.field(namespace, &["serviceaccounts"], "{.items[*].metadata.name}")?;
    Ok(names.split_whitespace().filter(|it| *it != "default").map(str::to_owned).collect())
}

/// Prints what the account may and does; returns the rights without use and reason.
fn unexplained_rights(
    world: &World,
    namespace: &str,
    account: &str,
    entries: &[Value],
) -> Result<Vec<String>> {
    let everybody = allowed(world, namespace, "default")?;
    let granted: BTreeSet<String> =
        allowed(world, namespace, account)?.difference(&everybody).cloned().collect();
    let user = user(namespace, account);
    let own: Vec<Value> = entries.iter().filter(|it| it["user"]["username"] == *user).cloned().collect();
    let used = rights::used(&own);
    let unused: Vec<&String> = granted.difference(&used).collect();
    println!("  {namespace}/{account}: {} rights, {} used", granted.len(), granted.len() - unused.len());
    let unexplained = unused.into_iter().filter(|it| reasons::of(account, it).is_none());
    Ok(unexplained.map(|it| format!("{account}: {it}")).collect())
}

/// What the API server lets an account do in its namespace.
fn allowed(world: &World, namespace: &str, account: &str) -> Result<BTreeSet<String>> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": { "namespace": namespace },
    });
    let groups = ["system:serviceaccounts", "system:authenticated"].map(|it| format!("--as-group={it}"));
    let user = format!("--as={}", user(namespace, account));
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let arguments = ["create", "--raw", path, "-f", "-", &user, &groups[0], &groups[1]];
    let answer = world.kubectl().run_with_input(&arguments, &review.to_string())?;
    let answer: Value = serde_json::from_str(&answer)?;
    ensure!(answer["status"]["incomplete"] != true, "the API server does not tell all rights of {account}");
    Ok(rights::granted(&answer["status"]["resourceRules"]))
}

fn user(namespace: &str, account: &str) -> String {
    format!("system:serviceaccount:{namespace}:{account}")
}
