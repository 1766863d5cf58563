//! The binary as the init container runs it: pairs of arguments, credentials in the environment, an exit code and a
//! last line that says why.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of any test function")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use flate2::write::GzEncoder;
use futures_util::{StreamExt as _, stream};
use md5::{Digest as _, Md5};

const MODIFIED: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

/// Headers and body.
type Answer = (Vec<(&'static str, String)>, Vec<u8>);

/// What a server has, by path, and what it was asked.
#[derive(Default)]
struct Site {
    answers: BTreeMap<String, Answer>,
    /// Method, path and `Authorization` of each request.
    asked: Mutex<Vec<String>>,
}

impl Site {
    fn with(mut self, path: &str, headers: &[(&'static str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.answers.insert(path.to_owned(), (headers, body.into()));
        self
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

async fn answer(State(site): State<Arc<Site>>, request: Request) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.map_or("", |it| it.to_str().unwrap());
    let token = request.uri().query().is_some_and(|it| it.contains("X-Amz-Security-Token=session"));
    let token = if token { "session" } else { "" };
    let line = format!("{} {} {authorization}{token}", request.method(), request.uri().path());
    site.asked.lock().unwrap().push(line.trim().to_owned());
    if request.uri().path() == "/endless.bin" {
        let chunks = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"begun"))]);
        let body = Body::from_stream(chunks.chain(stream::pending()));
        return ([(header::CONTENT_LENGTH, "1000"), (header::ETAG, "\"e\"")], body).into_response();
    }
    let Some((headers, body)) = site.answers.get(request.uri().path()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = Response::new(Body::from(body.clone()));
    for (name, value) in headers {
        if *name == "location" {
            *response.status_mut() = StatusCode::FOUND;
        }
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

async fn serve(site: Site) -> (Arc<Site>, String) {
    let site = Arc::new(site);
    let router = Router::new().fallback(answer).with_state(Arc::clone(&site));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (site, address)
}

fn command(args: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmd-storage"));
    command.args(args).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Exit code and last line of standard error.
async fn run(args: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    end(command(args, variables).spawn().unwrap()).await
}

async fn end(child: std::process::Child) -> (i32, String) {
    let waiting = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap());
    let Output { status, stderr, .. } = waiting.await.unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    (status.code().unwrap(), stderr.lines().last().unwrap_or_default().to_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A bucket with one object.
fn bucket(key: &str, content: &str, etag: &str) -> Site {
    let listing = format!(
        "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>\
         <IsTruncated>false</IsTruncated><Contents><Key>{key}</Key><ETag>\"{etag}\"</ETag>\
         <Size>{}</Size></Contents></ListBucketResult>",
        content.len()
    );
    let tag = format!("\"{etag}\"");
    Site::default().with("/b/", &[], listing).with(&format!("/b/{key}"), &[("etag", tag.as_str())], content)
}

fn md5(content: &str) -> String {
    Md5::digest(content).iter().map(|it| format!("{it:02x}")).collect()
}

fn session(expires: &str) -> String {
    format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>id</AccessKeyId>\
         <SecretAccessKey>key</SecretAccessKey><SessionToken>session</SessionToken>\
         <Expiration>{expires}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
         </AssumeRoleWithWebIdentityResponse>"
    )
}

#[tokio::test]
async fn a_model_and_an_adapter_arrive_with_the_role_of_the_pod() {
    let site = bucket("m/config.json", "{}", &md5("{}"));
    let site = site.with("/", &[], session("2099-01-01T00:00:00Z")).with("/a.bin", &[], "adapter");
    let (site, address) = serve(site).await;
    let folder = tempfile::tempdir().unwrap();
    let (model, adapter) = (folder.path().join("models"), folder.path().join("lora/a"));
    let token = folder.path().join("token");
    std::fs::write(&token, "jwt\n").unwrap();
    let plain = format!("{address}/a.bin");
    let args = ["s3://b/m", text(&model), &plain, text(&adapter)];
    let variables = [
        ("AWS_ENDPOINT_URL", address.as_str()),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", text(&token)),
    ];
    let (code, last) = run(&args, &variables).await;
    assert_eq!(code, 0, "{last}");
    assert!(last.contains("complete: 1 files, "), "{last}");
    assert_eq!(std::fs::read(model.join("config.json")).unwrap(), b"{}");
    assert_eq!(std::fs::read(adapter.join("a.bin")).unwrap(), b"adapter");
    assert_eq!(site.asked()[..3], ["POST /", "GET /b/ session", "GET /b/m/config.json session"]);
    std::fs::remove_file(&token).unwrap();
    let (code, last) = run(&args, &variables).await;
    assert_eq!(code, 1);
    assert!(last.contains("cannot read the token of the service account from "), "{last}");
}

#[tokio::test]
async fn an_object_that_is_not_its_md5_is_refused_unless_it_is_encrypted() {
    let (_, address) = serve(bucket("m/config.json", "{}", &md5("other"))).await;
    let folder = tempfile::tempdir().unwrap();
    let variables = [("AWS_ENDPOINT_URL", address.as_str())];
    let args = ["s3://b/m/config.json", text(folder.path())];
    let mut child = command(&args, &variables).spawn().unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.path().join("config.json").exists());
    let mut site = bucket("m/config.json", "{}", &md5("other"));
    let object = site.answers.get_mut("/b/m/config.json").unwrap();
    object.0.push(("x-amz-server-side-encryption", "aws:kms".to_owned()));
    let (_, address) = serve(site).await;
    let (code, last) = run(&args, &[("AWS_ENDPOINT_URL", address.as_str())]).await;
    assert_eq!(code, 0, "{last}");
    assert_eq!(std::fs::read(folder.path().join("config.json")).unwrap(), b"{}");
}

#[tokio::test]
async fn names_that_lead_outside_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for key in ["m/../../evil", "m//etc/evil"] {
        let (site, address) = serve(bucket(key, "{}", "e")).await;
        let destination = folder.path().join("models");
        let (code, last) =
            run(&["s3://b/m", text(&destination)], &[("AWS_ENDPOINT_URL", address.as_str())]).await;
        assert_eq!(code, 1);
        assert!(last.ends_with(" would lie outside the destination"), "{last}");
        assert_eq!(site.asked(), ["GET /b/"]);
        assert!(!destination.exists());
    }
}

#[tokio::test]
async fn secrets_stay_with_their_server_and_a_known_file_is_not_downloaded_again() {
    let (other, elsewhere) = serve(Site::default().with("/f.bin", &[("last-modified", MODIFIED)], "w")).await;
    let target = format!("{elsewhere}/f.bin");
    let (site, address) = serve(Site::default().with("/f.bin", &[("location", target.as_str())], "")).await;
    let folder = tempfile::tempdir().unwrap();
    let uri = format!("{address}/f.bin");
    let secret = [("127.0.0.1-headers", r#"{"authorization": "secret"}"#)];
    for requests in [2, 1] {
        let (code, last) = run(&[&uri, text(folder.path())], &secret).await;
        assert_eq!(code, 0, "{last}");
        assert_eq!(site.asked(), vec!["GET /f.bin secret"; requests]);
        assert_eq!(other.asked(), vec!["GET /f.bin"; requests]);
    }
}

/// A compressed archive with one entry.
fn archive(name: &str, kind: tar::EntryType) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(2);
    header.set_mode(0o644);
    header.set_cksum();
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    builder.append(&header, &b"{}"[..]).unwrap();
    builder.into_inner().unwrap().finish().unwrap()
}

#[tokio::test]
async fn archives_are_unpacked_once_and_never_outside() {
    let tag = [("etag", "\"1\"")];
    let site = Site::default()
        .with("/m.tgz", &tag, archive("./sub/config.json", tar::EntryType::Regular))
        .with("/evil.tgz", &tag, archive("../evil", tar::EntryType::Regular))
        .with("/link.tgz", &tag, archive("link", tar::EntryType::Symlink));
    let (site, address) = serve(site).await;
    let folder = tempfile::tempdir().unwrap();
    let destination = folder.path().join("models");
    let uri = |name: &str| format!("{address}/{name}");
    for requests in [2, 1] {
        let (code, last) = run(&[&uri("m.tgz"), text(&destination)], &[]).await;
        assert_eq!(code, 0, "{last}");
        assert_eq!(site.asked().len(), requests);
    }
    assert_eq!(std::fs::read(destination.join("sub/config.json")).unwrap(), b"{}");
    assert!(!destination.join("m.tgz").exists());
    let (code, last) = run(&[&uri("evil.tgz"), text(&destination)], &[]).await;
    assert_eq!((code, last.as_str()), (1, "llmd-storage: \"../evil\" would lie outside the destination"));
    assert!(!folder.path().join("evil").exists());
    let (code, last) = run(&[&uri("link.tgz"), text(&destination)], &[]).await;
    assert!(code == 1 && last.ends_with("link.tgz is neither file nor folder"), "{last}");
    let (code, last) = run(&[&uri("m.zip"), text(&destination)], &[]).await;
    assert!(code == 2 && last.contains("not supported: this kind of archive"), "{last}");
}

#[tokio::test]
async fn sigterm_stops_the_run_and_the_partial_file_stays() {
    let (_, address) = serve(Site::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let child = command(&[&format!("{address}/endless.bin"), text(folder.path())], &[]).spawn().unwrap();
    let partial = || {
        let mut entries = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().path());
        entries.find(|it| it.metadata().is_ok_and(|it| it.len() == 5))
    };
    for _ in 0..200 {
        if partial().is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let (code, last) = end(child).await;
    assert_eq!(code, 143);
    assert!(last.starts_with("llmd-storage: stopped by SIGTERM: "), "{last}");
    assert_eq!(std::fs::read(partial().unwrap()).unwrap(), b"begun");
}

#[tokio::test]
async fn what_is_wrong_is_said_in_the_last_line() {
    let (_, address) = serve(Site::default().with("/f.bin", &[], "w")).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let uri = format!("{address}/f.bin");
    let (uri, here) = (uri.as_str(), text(folder.path()));
    for (args, variables, code, expected) in [
        (vec!["s3://b/m", here], vec![("AWS_ROLE_ARN", "a")], 2, "without AWS_WEB_IDENTITY_TOKEN_FILE"),
        (vec!["https://user:pass@host/f", here], vec![], 2, "\"https://host/f\": not supported: a name or"),
        (vec!["s3://b"], vec![], 2, "arguments must be pairs"),
        (vec![uri, text(&file)], vec![], 1, "cannot write "),
        (vec![uri, here], vec![("CA_BUNDLE_VOLUME_MOUNT_POINT", "/none")], 1, "CA bundle /none/cabundle.crt"),
        (vec!["s3://b/m", here], vec![("AWS_CA_BUNDLE", "/none.crt")], 1, "CA bundle /none.crt"),
    ] {
        let (got, last) = run(&args, &variables).await;
        assert_eq!(got, code, "{last}");
        assert!(last.starts_with("llmd-storage: ") && last.contains(expected), "{last}");
    }
    let version = command(&["--version"], &[]).output().unwrap();
    assert!(String::from_utf8(version.stdout).unwrap().starts_with("llmd-storage "));
    let help = command(&["--help"], &[]).output().unwrap();
    assert!(String::from_utf8(help.stdout).unwrap().contains("Exit codes: 0 "));
}
