use std::net::SocketAddr;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use super::*;
use crate::pki::Authority;
use crate::webhook::certificates::{ServingCertificate, subject_names};
use crate::webhook::manifests::Endpoint;
use crate::webhook::testing::Values;

struct Server {
    address: SocketAddr,
    serving: ServingCertificate,
    authority: Arc<Authority>,
    shutdown: Shutdown,
}

async fn start() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let names = subject_names(&Endpoint::Url(format!("https://{address}")));
    let authority = Arc::new(Authority::create(Timestamp::now()).unwrap());
    let serving = ServingCertificate::new(Arc::clone(&authority), names, Timestamp::now()).unwrap();
    let tls = serving.served().server_config(ALPN).unwrap();
    let shutdown = Shutdown::new();
    tokio::spawn(serve(listener, tls, Arc::new(Values::default()), shutdown.clone()));
    Server { address, serving, authority, shutdown }
}

/// Sends one request as a client that trusts only `authority`, and returns status and body.
async fn send(address: SocketAddr, authority: &Authority, request: &[u8]) -> std::io::Result<(u16, String)> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.bundle().as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::IpAddress(address.ip().into());
    let mut stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await?;
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    // The server may end without a close notification once it has refused a body.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or_default();
    Ok((status, body.to_owned()))
}

async fn post(server: &Server, path: &str, body: &str) -> (u16, String) {
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    send(server.address, &server.authority, request.as_bytes()).await.unwrap()
}

fn admission(spec: &Value) -> String {
    let group = "serving.kserve.io";
    json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "u",
            "kind": {"group": group, "version": "v1alpha2", "kind": "LLMInferenceService"},
            "resource": {"group": group, "version": "v1alpha2", "resource": "llminferenceservices"},
            "name": "qwen",
            "namespace": "team",
            "operation": "CREATE",
            "userInfo": {},
            "object": {
                "apiVersion": "serving.kserve.io/v1alpha2",
                "kind": "LLMInferenceService",
                "metadata": {"name": "qwen", "namespace": "team"},
                "spec": spec,
            },
            "oldObject": null,
            "options": null,
        },
    })
    .to_string()
}

#[tokio::test]
async fn reviews_are_answered_over_tls() {
    let server = start().await;
    let path = "/validate-serving-kserve-io-v1alpha2-llminferenceservice";
    let (status, body) = post(&server, path, &admission(&json!({"replicas": 1}))).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &answer["response"]["allowed"]), (200, &json!(true)));
    let (status, body) = post(&server, path, &admission(&json!({"replicas": -1}))).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &answer["response"]["status"]["code"]), (200, &json!(422)), "{body}");
}

#[tokio::test]
async fn every_hook_has_its_path() {
    let server = start().await;
    for (path, _) in HOOKS {
        assert_eq!(post(&server, path, &admission(&json!({}))).await.0, 200, "{path}");
    }
    assert_eq!(post(&server, "/validate-other", "{}").await.0, 404);
}

#[tokio::test]
async fn a_body_that_is_no_review_is_refused_with_one_line() {
    let server = start().await;
    for path in [HOOKS[0].0, HOOKS[2].0, HOOKS[4].0, CONVERT] {
        let (status, body) = post(&server, path, "{\"kind\":").await;
        assert_eq!(status, 400, "{path}");
        assert_eq!(body.lines().count(), 1, "{body}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let server = start().await;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        HOOKS[0].0,
        MAX_ADMISSION_BYTES + 1
    );
    let (status, _) = send(server.address, &server.authority, head.as_bytes()).await.unwrap();
    assert_eq!(status, 413);
}

#[tokio::test]
async fn a_conversion_answers_for_every_object() {
    let server = start().await;
    let object = |name: &str| {
        json!({
            "apiVersion": "serving.kserve.io/v1alpha2", "kind": "LLMInferenceService",
            "metadata": {"name": name, "namespace": "team"}, "spec": {"model": {"uri": "hf://a/b"}},
        })
    };
    let convert = |objects: Vec<Value>| {
        json!({
            "kind": "ConversionReview",
            "apiVersion": "apiextensions.k8s.io/v1",
            "request": {"uid": "u", "desiredAPIVersion": "serving.kserve.io/v1alpha1", "objects": objects},
        })
        .to_string()
    };
    let (status, body) = post(&server, CONVERT, &convert(vec![object("a"), object("b")])).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &answer["response"]["result"]["status"]), (200, &json!("Success")), "{body}");
    let converted = answer["response"]["convertedObjects"].as_array().unwrap();
    let names: Vec<&Value> = converted.iter().map(|it| &it["metadata"]["name"]).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(converted.iter().all(|it| it["apiVersion"] == "serving.kserve.io/v1alpha1"));

    let foreign = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "team"}});
    let (_, body) = post(&server, CONVERT, &convert(vec![object("a"), foreign])).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["response"]["result"]["status"], "Failure");
    let message = answer["response"]["result"]["message"].as_str().unwrap();
    assert!(message.starts_with("Pod team/p: "), "{message}");
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart() {
    let mut server = start().await;
    let successor = Arc::new(Authority::create(Timestamp::now()).unwrap());
    let get = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(send(server.address, &successor, get).await.is_err(), "nobody trusts an unknown authority");
    assert_eq!(send(server.address, &server.authority, get).await.unwrap().0, 200);
    assert!(server.serving.renew(&successor, Timestamp::now()).unwrap());
    assert_eq!(send(server.address, &successor, get).await.unwrap().0, 200);
    assert!(send(server.address, &server.authority, get).await.is_err());
    server.shutdown.draining().cancel();
}
