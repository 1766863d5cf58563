//! `llmd up` itself: it ends cleanly, leaves nothing behind and says in one line why it cannot start.

use std::time::Duration;

use anyhow::{Result, ensure};
use llmd_e2e::process;
use llmd_e2e::stack::{Stack, eventually, llmd};

async fn ensure_all_gone(pids: impl IntoIterator<Item = u32>) -> Result<()> {
    let pids: Vec<u32> = pids.into_iter().collect();
    eventually(Duration::from_secs(10), || async {
        let left: Vec<_> = pids.iter().filter(|&&it| process::is_running(it)).collect();
        ensure!(left.is_empty(), "still running: {left:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn sigterm_stops_everything_and_exits_with_success() -> Result<()> {
    let mut stack = Stack::up(&[]).await?;
    let pid = stack.pid()?;
    let children = process::descendants(pid)?;
    ensure!(children.len() >= 6, "only {children:?}");
    process::terminate(pid)?;
    ensure!(stack.wait_ended().await?.success(), "{}", stack.printed());
    ensure_all_gone(children).await
}

#[tokio::test]
async fn down_stops_everything() -> Result<()> {
    let mut stack = Stack::up(&["--decode", "1"]).await?;
    let children = process::descendants(stack.pid()?)?;
    let output = llmd(&["down", "--dir", &stack.dir().to_string_lossy()]).await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ensure!(stack.wait_ended().await?.success());
    ensure_all_gone(children).await?;
    ensure!(stack.status().await?["state"] == "stopped");
    Ok(())
}

#[tokio::test]
async fn no_orphan_outlives_a_killed_up() -> Result<()> {
    let mut stack = Stack::up(&["--decode", "1"]).await?;
    let pid = stack.pid()?;
    let children = process::descendants(pid)?;
    process::kill(pid)?;
    stack.wait_ended().await?;
    ensure_all_gone(children).await
}

#[tokio::test]
async fn a_start_that_cannot_work_fails_in_one_line() -> Result<()> {
    let taken = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = taken.local_addr()?.port().to_string();
    let dir = tempfile::TempDir::new()?;
    let folder = dir.path().to_string_lossy().into_owned();
    for (what, args, word) in [
        ("port in use", ["--port", port.as_str()], port.as_str()),
        ("missing model", ["--model", "/no/such/model"], "/no/such/model"),
    ] {
        let output = llmd(&[&["up", "--dir", &folder], args.as_slice()].concat()).await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success(), "{what} was accepted");
        ensure!(said.contains(word) && said.trim().lines().count() == 1, "{what}: {said:?}");
    }
    Ok(())
}
