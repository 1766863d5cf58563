use std::fs;

use bytes::Bytes;

use super::*;
use crate::director::RequestHead;

fn config(discovery: &str) -> EndpointPickerConfig {
    let text = format!("apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n{discovery}");
    EndpointPickerConfig::parse(&text).unwrap()
}

#[tokio::test]
async fn a_file_is_all_it_takes_to_route() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("endpoints.yaml");
    fs::write(&path, "endpoints: [{name: a, address: 127.0.0.1, port: '9'}]").unwrap();
    let config = config(&format!(
        "plugins: [{{type: file-discovery, parameters: {{path: {}}}}}]\n\
         dataLayer: {{discovery: {{pluginRef: file-discovery}}}}",
        path.display()
    ));
    let (shutdown, readiness, registry) = (Shutdown::new(), Readiness::new(), Registry::new());
    let director = start(config, Options::default(), &shutdown, &readiness, &registry).await.unwrap();
    assert!(readiness.is_ready());
    let head = RequestHead { path: "/v1/completions".to_owned(), ..RequestHead::default() };
    let body = Bytes::from_static(br#"{"model":"m","prompt":"p"}"#);
    assert_eq!(director.route(head, body).unwrap().0.destinations, ["127.0.0.1:9"]);
}

#[tokio::test]
async fn without_discovery_it_says_what_to_add() {
    let (shutdown, readiness) = (Shutdown::new(), Readiness::new());
    let error =
        start(config(""), Options::default(), &shutdown, &readiness, &Registry::new()).await.unwrap_err();
    assert!(error.to_string().contains("add a file-discovery plugin"), "{error}");
}
