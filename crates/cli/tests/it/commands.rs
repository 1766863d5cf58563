//! Commands about a stack that is not there, and starts that cannot work.

use std::process::{Command, Output};

fn llmd(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_llmd")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn nothing_runs_in_a_fresh_folder() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().to_str().unwrap();
    let status = llmd(&["status", "--json", "--dir", dir]);
    assert!(!status.status.success());
    let json: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(json["state"], "stopped");
    assert!(llmd(&["down", "--dir", dir]).status.success());
    let logs = llmd(&["logs", "--dir", dir]);
    assert!(text(&logs.stderr).starts_with("llmd: no logs in"), "{}", text(&logs.stderr));
}

#[test]
fn a_start_that_cannot_work_says_why_in_one_line() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().to_str().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let cases: [(&[&str], &str); 4] = [
        (&["--port", &port], "is in use: choose another with --port"),
        (&["--model", "/no/such/folder"], "model folder /no/such/folder does not exist"),
        (&["--model", dir], "has no config.json"),
        (&["--model", "no-such-org/no-such-model"], "run `hf download no-such-org/no-such-model` first"),
    ];
    for (args, reason) in cases {
        let output = llmd(&[&["up", "--dir", dir], args].concat());
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(reason) && said.lines().count() == 1, "{said}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn chat_without_an_endpoint_names_it() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = llmd(&["chat", "--url", &format!("http://{free}"), "Hi"]);
    let said = text(&output.stderr);
    assert!(said.starts_with(&format!("llmd: no answer from http://{free}/v1/models: ")), "{said}");
    assert!(
        text(&llmd(&["chat", "--url", "ftp://x", "Hi"]).stderr).contains("is not an http:// or https:// URL")
    );
}
