//! TLS on both sides. The TLS engine is another sidecar in front of a plain one.

use std::path::Path;

use clap::Parser as _;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use llmd_sidecar::args::{Args, Env};
use llmd_sidecar::config::Config;
use llmd_sidecar::server::Sidecar;

use crate::harness::{FakeEngine, Running, call, complete, sidecar, start};

/// A self-signed certificate for localhost in a folder, laid out as a Kubernetes secret.
fn certificate() -> tempfile::TempDir {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("ca.crt"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    folder
}

async fn tls_engine(engine: &FakeEngine, folder: &Path) -> Running {
    start(engine.address, &["--cert-path", folder.to_str().unwrap()]).await
}

#[tokio::test]
async fn both_legs_speak_tls_to_a_trusted_engine() {
    let engine = FakeEngine::json(r#"{"kv_transfer_params":{"a":1}}"#).await;
    let folder = certificate();
    let tls = tls_engine(&engine, folder.path()).await;
    let flags = ["--enable-tls=prefiller,decoder", "--ca-path", folder.path().to_str().unwrap()];
    let sidecar = sidecar(tls.address, &flags).await;
    let reply = complete(sidecar.address, &format!("localhost:{}", tls.address.port()), "{}").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(engine.seen().len(), 2);
}

#[tokio::test]
async fn an_engine_with_an_unknown_certificate_is_refused_unless_told() {
    let engine = FakeEngine::json("{}").await;
    let (theirs, ours) = (certificate(), certificate());
    let tls = tls_engine(&engine, theirs.path()).await;
    let ca_path = ours.path().join("ca.crt");
    let flags = ["--enable-tls=decoder", "--ca-path", ca_path.to_str().unwrap()];
    let strict = sidecar(tls.address, &flags).await;
    call(strict.address, "GET", "/v1/models", &[], "").await.assert_error(503, "ServiceUnavailable");
    assert_eq!(engine.seen().len(), 0);

    let flags = ["--enable-tls=decoder", "--tls-insecure-skip-verify=decoder"];
    let lax = sidecar(tls.address, &flags).await;
    assert_eq!(call(lax.address, "GET", "/v1/models", &[], "").await.status, 200);
}

#[tokio::test]
async fn the_listener_speaks_tls_with_http2_by_default() {
    let engine = FakeEngine::json("{}").await;
    let sidecar = start(engine.address, &[]).await;
    let lax = start(
        sidecar.address,
        &["--secure-proxy=false", "--enable-tls=decoder", "--tls-insecure-skip-verify=decoder"],
    )
    .await;
    assert_eq!(call(lax.address, "GET", "/v1/models", &[], "").await.status, 200);
    let plain = plain_get(sidecar.address).await;
    assert!(plain.is_err(), "plain HTTP is not understood on a TLS port");
}

#[tokio::test]
async fn http2_requests_get_their_authority_as_host() {
    let engine = FakeEngine::json("{}").await;
    let sidecar = sidecar(engine.address, &[]).await;
    let client: Client<_, http_body_util::Empty<bytes::Bytes>> =
        Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let uri = format!("http://{}/v1/models", sidecar.address);
    let response = client.get(uri.parse().unwrap()).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
    assert_eq!(engine.only().header("host"), Some(sidecar.address.to_string().as_str()));
}

#[tokio::test]
async fn unusable_certificates_are_errors_at_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.crt"), "no certificate").unwrap();
    let ca_path = format!("--ca-path={}", folder.path().display());
    for flags in [&["--enable-tls=decoder", &ca_path][..], &["--enable-tls=decoder", "--ca-path=/nowhere"]] {
        let fixed = ["llmd-sidecar", "--host=127.0.0.1", "--port=0"];
        let args = Args::try_parse_from(fixed.iter().chain(flags)).unwrap();
        let config = Config::new(args, &Env::default()).unwrap();
        assert!(Sidecar::bind(config, llmd_common::shutdown::Shutdown::new()).await.is_err(), "{flags:?}");
    }
}

async fn plain_get(address: std::net::SocketAddr) -> Result<(), hyper_util::client::legacy::Error> {
    let client: Client<_, http_body_util::Empty<bytes::Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    client.get(format!("http://{address}/health").parse().unwrap()).await.map(drop)
}
