//! Whom the storage initializer trusts: a server whose certificate no system knows.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of any test function")]

use std::path::Path;
use std::sync::Arc;

use llmd_common::report::Report;
use llmd_storage::args::{Args, Environment};
use llmd_storage::config::Config;
use llmd_storage::run::run;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

const LISTING: &str = "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>\
    <IsTruncated>false</IsTruncated><Contents><Key>m/f</Key><ETag>\"e\"</ETag><Size>1</Size></Contents>\
    </ListBucketResult>";

/// A server with an own certificate: the certificate in PEM, and its address.
async fn serve() -> (String, String) {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(own.cert.der().to_vec())], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = vec![0; 8192];
            let n = stream.read(&mut request).await.unwrap_or(0);
            let listing = request[..n].starts_with(b"GET /b/?") || request[..n].starts_with(b"GET /b?");
            let body = if listing { LISTING } else { "w" };
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.ok();
            stream.shutdown().await.ok();
        }
    });
    (own.cert.pem(), format!("https://localhost:{port}"))
}

async fn download(uri: &str, folder: &Path, variables: &[(&str, &str)]) -> Result<(), String> {
    let pairs = vec![uri.to_owned(), folder.to_str().unwrap().to_owned()];
    let environment: Environment = variables.iter().copied().collect();
    let config = Config::new(&Args { pairs }, &environment).map_err(|it| Report(&it).to_string())?;
    run(&config).await.map_err(|it| Report(&it).to_string())
}

#[tokio::test]
async fn a_server_is_trusted_by_a_mounted_bundle_alone() {
    let (certificate, address) = serve().await;
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("cabundle.crt");
    let mount = [("CA_BUNDLE_VOLUME_MOUNT_POINT", folder.path().to_str().unwrap())];
    let (uri, models) = (format!("{address}/f.bin"), folder.path().join("models"));

    let error = download(&uri, &models, &[]).await.unwrap_err();
    assert!(error.contains("invalid peer certificate"), "{error}");

    let error = download(&uri, &models, &mount).await.unwrap_err();
    assert!(error.starts_with("cannot read the CA bundle ") && error.contains("No such file"), "{error}");
    std::fs::write(&bundle, "no certificate").unwrap();
    let error = download(&uri, &models, &mount).await.unwrap_err();
    assert!(error.ends_with("it holds no certificate"), "{error}");

    std::fs::write(&bundle, certificate).unwrap();
    download(&uri, &models, &mount).await.unwrap();
    assert_eq!(std::fs::read(models.join("f.bin")).unwrap(), b"w");
}

#[tokio::test]
async fn an_s3_server_is_trusted_by_its_own_bundle_or_when_nothing_is_verified() {
    let (certificate, address) = serve().await;
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("own.crt");
    std::fs::write(&bundle, certificate).unwrap();
    let server = ("AWS_ENDPOINT_URL", address.as_str());
    let error = download("s3://b/m", &folder.path().join("0"), &[server]).await.unwrap_err();
    assert!(error.contains("invalid peer certificate"), "{error}");
    for (name, more) in [("1", ("AWS_CA_BUNDLE", bundle.to_str().unwrap())), ("2", ("S3_VERIFY_SSL", "0"))] {
        let models = folder.path().join(name);
        download("s3://b/m", &models, &[server, more]).await.unwrap();
        assert_eq!(std::fs::read(models.join("f")).unwrap(), b"w");
    }
    let unverified = [("S3_VERIFY_SSL", "0")];
    let error = download(&format!("{address}/f.bin"), folder.path(), &unverified).await.unwrap_err();
    assert!(error.contains("invalid peer certificate"), "only S3 servers are not verified: {error}");
}
