use std::fs;

use super::*;

fn specs(text: &str) -> Result<Vec<EndpointSpec>, String> {
    parse(Path::new("e.yaml"), text).map_err(|error| Report(&error).to_string())
}

#[test]
fn reads_the_format_of_the_llm_d_router() {
    let text = r#"
endpoints:
  - name: vllm-0
    address: "10.0.0.1"
    port: "8000"
  - {name: vllm-1, namespace: other, address: "::1", port: 8001, labels: {llm-d.ai/role: prefill}}
"#;
    let specs = specs(text).unwrap();
    assert_eq!(specs[0].namespace, "default");
    assert_eq!(specs[0].address.to_string(), "10.0.0.1:8000");
    assert_eq!(specs[1].address.to_string(), "[::1]:8001");
    assert_eq!(specs[1].labels["llm-d.ai/role"], "prefill");
}

#[test]
fn names_every_wrong_entry() {
    let text = r#"
endpoints:
- {name: a, address: localhost, port: "1"}
- {name: b, address: 1.2.3.4, port: "0"}
- {name: c, address: 1.2.3.4, port: "70000"}
"#;
    let error = specs(text).unwrap_err();
    assert!(error.contains(r#"endpoint "a": address "localhost" is not an IP address"#), "{error}");
    assert!(error.contains(r#"endpoint "b": port"#) && error.contains(r#"endpoint "c": port"#), "{error}");
}

#[test]
fn refuses_fields_it_does_not_know() {
    let error = specs("endpoints: [{name: a, address: 1.2.3.4, port: '1', label: {}}]").unwrap_err();
    assert!(error.contains("label"), "{error}");
}

fn one(port: u16) -> String {
    format!("endpoints: [{{name: a, address: 127.0.0.1, port: '{port}'}}]")
}

async fn wait_for_port(store: &Datastore, port: u16) {
    let mut changes = store.subscribe();
    let seen = async {
        while store.endpoints().first().is_none_or(|it| it.spec.address.port() != port) {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(5), seen).await.expect("the change is seen");
}

#[tokio::test]
async fn follows_writes_and_renames_and_survives_nonsense() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("endpoints.yaml");
    fs::write(&path, one(1)).unwrap();
    let (store, shutdown) = (Arc::new(Datastore::default()), Shutdown::new());
    let discovery = FileDiscovery { path: path.clone(), watch_file: true };
    discovery.start(Arc::clone(&store), &shutdown).await.unwrap();
    wait_for_port(&store, 1).await;

    fs::write(&path, one(2)).unwrap();
    wait_for_port(&store, 2).await;

    fs::write(&path, "endpoints: 7").unwrap();
    tokio::time::sleep(SETTLE * 5).await;
    wait_for_port(&store, 2).await;

    fs::write(directory.path().join("new"), one(3)).unwrap();
    fs::rename(directory.path().join("new"), &path).unwrap();
    wait_for_port(&store, 3).await;
}

#[tokio::test]
async fn a_first_file_that_is_missing_is_fatal() {
    let discovery = FileDiscovery { path: "/nowhere/endpoints.yaml".into(), watch_file: false };
    let error = discovery.start(Arc::default(), &Shutdown::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot read the endpoints file /nowhere/endpoints.yaml");
}
