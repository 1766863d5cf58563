//! Downloads from real servers in this process that speak the hub's and S3's APIs and misbehave on demand.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of any test function")]

use std::collections::VecDeque;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use futures_util::{StreamExt as _, stream};
use llmd_common::report::Report;
use llmd_storage::args::{Args, Environment};
use llmd_storage::config::{Config, Limits};
use llmd_storage::run::run;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

const COMMIT: &str = "0123456789abcdef";
const WEIGHTS: &str = "model-00001.safetensors";

/// How the next body goes wrong.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Status(StatusCode),
    /// The connection breaks after so many bytes.
    Reset(usize),
    /// Nothing comes after so many bytes.
    Stall(usize),
    /// Every byte is wrong.
    Corrupt,
}

#[derive(Debug, Default)]
struct Server {
    faults: Mutex<VecDeque<Fault>>,
    /// Range header of each request for a body; empty without one.
    ranges: Mutex<Vec<String>>,
    /// Authorization or query of every request.
    credentials: Mutex<Vec<String>>,
}

type Shared = Arc<Server>;

fn weights() -> Vec<u8> {
    (0..200_000u32).flat_map(u32::to_le_bytes).collect()
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("config.json", b"{}".to_vec()),
        ("tokenizer/tokenizer.json", b"[1]".to_vec()),
        ("empty.txt", Vec::new()),
        (WEIGHTS, weights()),
    ]
}

fn content(path: &str) -> Option<Vec<u8>> {
    files().into_iter().find(|(it, _)| *it == path).map(|(_, it)| it)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

/// Git's name of a file.
fn git_blob(content: &[u8]) -> String {
    hex(&Sha1::new().chain_update(format!("blob {}\0", content.len())).chain_update(content).finalize())
}

impl Server {
    /// A body with what goes wrong next.
    fn body(&self, headers: &HeaderMap, content: &[u8]) -> Response {
        let range = headers.get(header::RANGE).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
        self.ranges.lock().unwrap().push(range.clone());
        let offset = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0);
        let total = content.len();
        let mut rest = content[offset..].to_vec();
        let fault = self.faults.lock().unwrap().pop_front();
        let good = |n: usize, rest: &[u8]| Bytes::copy_from_slice(&rest[..n.min(rest.len())]);
        let end = |n: usize, rest: &[u8]| stream::iter([Ok::<_, std::io::Error>(good(n, rest))]);
        let length = rest.len();
        let body = match fault {
            Some(Fault::Status(status)) => return status.into_response(),
            Some(Fault::Reset(n)) => {
                let breaks = async {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Err(std::io::Error::other("reset"))
                };
                Body::from_stream(end(n, &rest).chain(stream::once(breaks)))
            }
            Some(Fault::Stall(n)) => Body::from_stream(end(n, &rest).chain(stream::pending())),
            Some(Fault::Corrupt) => {
                rest.iter_mut().for_each(|it| *it ^= 0xff);
                Body::from(rest)
            }
            None => Body::from(rest),
        };
        let mut response = Response::builder().header(header::CONTENT_LENGTH, length);
        if offset > 0 {
            let range = format!("bytes {offset}-{}/{total}", total - 1);
            response = response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range);
        }
        response.body(body).unwrap()
    }
}

async fn tree(
    State(server): State<Shared>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    let authorization = headers.get(header::AUTHORIZATION).map(|it| it.to_str().unwrap().to_owned());
    server.credentials.lock().unwrap().extend(authorization);
    let page = usize::from(query.iter().any(|(key, _)| key == "cursor"));
    let entries = files().into_iter().skip(page * 2).take(2).map(|(path, content)| {
        let lfs = if path == WEIGHTS {
            format!(r#","lfs":{{"oid":"{}","size":{}}}"#, hex(&Sha256::digest(&content)), content.len())
        } else {
            String::new()
        };
        format!(
            r#"{{"type":"file","path":"{path}","size":{},"oid":"{}"{lfs}}}"#,
            content.len(),
            git_blob(&content)
        )
    });
    let body =
        format!(r#"[{},{{"type":"directory","path":"d","oid":"x"}}]"#, entries.collect::<Vec<_>>().join(","));
    let next = format!("</api/models/org/model/tree/{COMMIT}?recursive=true&cursor=1>; rel=\"next\"");
    if page == 0 { ([(header::LINK, next)], body).into_response() } else { body.into_response() }
}

async fn resolve(State(server): State<Shared>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    match content(&path) {
        Some(_) if path == WEIGHTS => Redirect::temporary(&format!("/cdn/{path}")).into_response(),
        Some(content) => server.body(&headers, &content),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn cdn(State(server): State<Shared>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    server.body(&headers, &content(&path).unwrap())
}

async fn bucket(State(server): State<Shared>, Query(query): Query<Vec<(String, String)>>) -> String {
    let get = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, it)| it.clone());
    server.credentials.lock().unwrap().extend(get("X-Amz-Credential"));
    assert_eq!(get("prefix").as_deref(), Some("models/qwen"));
    let first = get("continuation-token").is_none();
    let object = |key: &str, size: usize| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
             <ETag>\"etag-{size}\"</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        )
    };
    let objects = if first {
        object("models/qwen/", 0) + &object("models/qwen/config.json", 2)
    } else {
        object(&format!("models/qwen/{WEIGHTS}"), weights().len()) + &object("models/qwen2/config.json", 2)
    };
    let next = if first { "<NextContinuationToken>more</NextContinuationToken>" } else { "" };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket</Name>\
         <Prefix>models/qwen</Prefix><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys>\
         <IsTruncated>{first}</IsTruncated>{objects}{next}</ListBucketResult>"
    )
}

async fn object(State(server): State<Shared>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    let content = content(&path).unwrap();
    let etag = format!("\"etag-{}\"", content.len());
    let mut response = server.body(&headers, &content);
    response.headers_mut().insert(header::ETAG, etag.parse().unwrap());
    response
}

async fn private(State(server): State<Shared>, headers: HeaderMap) -> Response {
    if headers.get("x-key").is_none_or(|it| it != "secret") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    server.body(&headers, b"weights")
}

/// A server and its address.
async fn serve(faults: &[Fault]) -> (Shared, String) {
    let server =
        Arc::new(Server { faults: Mutex::new(faults.iter().copied().collect()), ..Server::default() });
    let router = Router::new()
        .route("/api/models/org/model/revision/{rev}", get(async || format!(r#"{{"sha":"{COMMIT}"}}"#)))
        .route(&format!("/api/models/org/model/tree/{COMMIT}"), get(tree))
        .route(&format!("/org/model/resolve/{COMMIT}/{{*path}}"), get(resolve))
        .route("/cdn/{*path}", get(cdn))
        .route("/bucket/", get(bucket))
        .route("/bucket", get(bucket))
        .route("/bucket/models/qwen/{*path}", get(object))
        .route("/private/model.bin", get(private))
        .with_state(Arc::clone(&server));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (server, address)
}

/// Downloads `uri` and gives what a user reads when it fails.
async fn download(address: &str, uri: &str, folder: &FilePath, more: &[(&str, &str)]) -> Result<(), String> {
    let pairs = vec![uri.to_owned(), folder.to_str().unwrap().to_owned()];
    let environment = [("HF_ENDPOINT", address), ("AWS_ENDPOINT_URL", address), ("HF_TOKEN", "token")];
    let environment: Environment = environment.into_iter().chain(more.iter().copied()).collect();
    let mut config = Config::new(&Args { pairs }, &environment).map_err(|it| Report(&it).to_string())?;
    config.limits = Limits {
        n_parallel: 1,
        n_attempts: 3,
        answer: Duration::from_secs(5),
        stall: Duration::from_millis(300),
        pause: Duration::from_millis(1),
    };
    run(&config).await.map_err(|it| Report(&it).to_string())
}

/// Relative paths of everything in a folder.
fn listing(folder: &FilePath) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(it) = folders.pop() {
        for entry in std::fs::read_dir(it).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

const MODEL: &str = "hf://org/model";
const ALL: [&str; 4] = ["config.json", "empty.txt", WEIGHTS, "tokenizer/tokenizer.json"];

#[tokio::test]
async fn a_repository_arrives_whole() {
    let (server, address) = serve(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    download(&address, MODEL, folder.path(), &[]).await.unwrap();
    assert_eq!(listing(folder.path()), ALL);
    assert_eq!(std::fs::read(folder.path().join(WEIGHTS)).unwrap(), weights());
    assert_eq!(*server.credentials.lock().unwrap(), ["Bearer token", "Bearer token"], "both pages");
}

#[tokio::test]
async fn only_allowed_files_are_downloaded() {
    let (_, address) = serve(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let allow = [("STORAGE_ALLOW_PATTERNS", r#"["config.json", "*tokenizer.json"]"#)];
    download(&address, MODEL, folder.path(), &allow).await.unwrap();
    assert_eq!(listing(folder.path()), ["config.json", "tokenizer/tokenizer.json"]);
    let nothing = [("STORAGE_ALLOW_PATTERNS", r#"["*.gguf"]"#)];
    let error = download(&address, MODEL, folder.path(), &nothing).await.unwrap_err();
    assert_eq!(error, "hf://org/model:main has no files that STORAGE_ALLOW_PATTERNS allows");
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke() {
    let faults =
        [Fault::Reset(1000), Fault::Stall(500), Fault::Reset(10), Fault::Reset(10), Fault::Reset(10)];
    let (server, address) = serve(&faults).await;
    let folder = tempfile::tempdir().unwrap();
    download(&address, MODEL, folder.path(), &[]).await.unwrap();
    assert_eq!(std::fs::read(folder.path().join(WEIGHTS)).unwrap(), weights());
    let ranges = server.ranges.lock().unwrap();
    let expected = ["", "bytes=1000-", "bytes=1500-", "bytes=1510-", "bytes=1520-", "bytes=1530-"];
    assert_eq!(ranges[..6], expected, "more breaks than attempts, each with progress");
    assert_eq!(listing(folder.path()), ALL);
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let (_, address) = serve(&[Fault::Status(StatusCode::SERVICE_UNAVAILABLE); 2]).await;
    let folder = tempfile::tempdir().unwrap();
    download(&address, MODEL, folder.path(), &[]).await.unwrap();
    assert_eq!(listing(folder.path()), ALL);
}

#[tokio::test]
async fn wrong_content_is_downloaded_again_and_never_kept() {
    let (_, address) = serve(&[Fault::Corrupt]).await;
    let folder = tempfile::tempdir().unwrap();
    download(&address, MODEL, folder.path(), &[]).await.unwrap();
    assert_eq!(std::fs::read(folder.path().join(WEIGHTS)).unwrap(), weights());

    let (_, address) = serve(&[Fault::Corrupt; 3]).await;
    let folder = tempfile::tempdir().unwrap();
    let error = download(&address, MODEL, folder.path(), &[]).await.unwrap_err();
    assert!(error.contains(" has SHA-256 ") && error.contains(WEIGHTS), "{error}");
    assert_eq!(listing(folder.path()), [""; 0]);
}

#[tokio::test]
async fn a_second_run_finishes_what_the_first_began() {
    let (_, address) = serve(&[Fault::Reset(1000), Fault::Status(StatusCode::FORBIDDEN)]).await;
    let folder = tempfile::tempdir().unwrap();
    let error = download(&address, MODEL, folder.path(), &[]).await.unwrap_err();
    assert!(error.contains("answers 403 Forbidden: give the pod's service account a Secret"), "{error}");
    let (server, address) = serve(&[]).await;
    download(&address, MODEL, folder.path(), &[]).await.unwrap();
    assert_eq!(server.ranges.lock().unwrap()[0], "bytes=1000-");
    assert_eq!(listing(folder.path()), ALL);
    server.ranges.lock().unwrap().clear();
    download(&address, MODEL, folder.path(), &[]).await.unwrap();
    assert_eq!(*server.ranges.lock().unwrap(), [""; 0], "everything is there");
}

#[tokio::test]
async fn a_folder_of_a_bucket_arrives_whole() {
    let (server, address) = serve(&[Fault::Reset(1000)]).await;
    let folder = tempfile::tempdir().unwrap();
    let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key"), ("AWS_DEFAULT_REGION", "eu")];
    download(&address, "s3://bucket/models/qwen", folder.path(), &keys).await.unwrap();
    assert_eq!(listing(folder.path()), ["config.json", WEIGHTS], "neither the folder nor its neighbour");
    assert_eq!(std::fs::read(folder.path().join(WEIGHTS)).unwrap(), weights());
    let credentials = server.credentials.lock().unwrap();
    assert_eq!(credentials.len(), 2);
    assert!(credentials.iter().all(|it| it.starts_with("id/") && it.ends_with("/eu/s3/aws4_request")));
    assert_eq!(server.ranges.lock().unwrap()[1], "bytes=1000-");
}

#[tokio::test]
async fn anonymous_requests_carry_no_signature() {
    let (server, address) = serve(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let keys =
        [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key"), ("awsAnonymousCredential", "true")];
    download(&address, "s3://bucket/models/qwen", folder.path(), &keys).await.unwrap();
    assert_eq!(*server.credentials.lock().unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_plain_file_is_asked_for_with_the_headers_of_its_host() {
    let (_, address) = serve(&[Fault::Reset(3)]).await;
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("{address}/private/model.bin");
    let error = download(&address, &uri, folder.path(), &[]).await.unwrap_err();
    assert!(error.contains("answers 401 Unauthorized"), "{error}");
    let headers = [("127.0.0.1-headers", r#"{"x-key": "secret"}"#)];
    download(&address, &uri, folder.path(), &headers).await.unwrap();
    assert_eq!(std::fs::read(folder.path().join("model.bin")).unwrap(), b"weights");
    assert_eq!(listing(folder.path()), ["model.bin"]);
}

#[tokio::test]
async fn a_mounted_folder_appears_in_the_destination() {
    let source = tempfile::tempdir().unwrap();
    std::fs::write(source.path().join("config.json"), "{}").unwrap();
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        download("http://localhost", source.path().to_str().unwrap(), folder.path(), &[]).await.unwrap();
        assert_eq!(std::fs::read(folder.path().join("config.json")).unwrap(), b"{}");
    }
    let error = download("http://localhost", "/nowhere", folder.path(), &[]).await.unwrap_err();
    assert_eq!(error, "/nowhere does not exist in this container");
}

#[tokio::test]
async fn what_cannot_be_done_is_said_before_anything_is_downloaded() {
    let folder = tempfile::tempdir().unwrap();
    for (uri, more, expected) in [
        (
            "gs://b",
            &[][..],
            "\"gs://b\": not supported: use hf://, s3://, https://, http:// or an absolute path",
        ),
        ("model", &[], "\"model\": it must start with hf://, s3://, https://, http:// or /"),
        ("hf://", &[], "\"hf://\": nothing follows the scheme"),
        (
            MODEL,
            &[("CONFIDENTIAL_ENABLED", "true")],
            "not supported: decrypting the model of a confidential service",
        ),
        (
            MODEL,
            &[("STORAGE_ALLOW_PATTERNS", "[")],
            "environment variable STORAGE_ALLOW_PATTERNS is not valid",
        ),
    ] {
        let error = download("http://localhost", uri, folder.path(), more).await.unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}
