//! `llmd up` itself: it ends cleanly, leaves nothing behind and says in one line why it cannot start.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use llmd_e2e::stack::{Stack, eventually, llmd};
use llmd_e2e::{golden, process};

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
        ensure_refused_in_one_line(what, &[&["up", "--dir", &folder], args.as_slice()].concat(), word)
            .await?;
    }
    Ok(())
}

async fn ensure_refused_in_one_line(what: &str, args: &[&str], word: &str) -> Result<()> {
    let output = llmd(args).await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success(), "{what} was accepted");
    ensure!(said.contains(word) && said.trim().lines().count() == 1, "{what}: {said:?}");
    Ok(())
}

#[tokio::test]
async fn a_stack_is_brought_up_once() -> Result<()> {
    let stack = Stack::up(&["--decode", "1"]).await?;
    let folder = stack.dir().to_string_lossy().into_owned();
    let args = ["up", "--port", "0", "--dir", &folder];
    ensure_refused_in_one_line("a second stack in the folder", &args, &stack.pid()?.to_string()).await?;
    ensure!(stack.status().await?["state"] == "ready", "the first one was disturbed");
    Ok(())
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_is_one_line_and_leaves_nothing_running() -> Result<()> {
    let break_config = |model: &Path| std::fs::write(model.join("config.json"), "{\"architectures\":");
    let change_architecture = |model: &Path| {
        let config = std::fs::read_to_string(model.join("config.json"))?;
        std::fs::write(model.join("config.json"), config.replace("ForCausalLM", "LMHeadModel"))
    };
    let cut_weights = |model: &Path| {
        let weights = std::fs::OpenOptions::new().write(true).open(model.join("model.safetensors"))?;
        weights.set_len(100_000)
    };
    type Damage = fn(&Path) -> std::io::Result<()>;
    let cases: [(&str, Damage, &str); 3] = [
        ("broken config.json", break_config, "config.json"),
        ("unknown architecture", change_architecture, "supported are LlamaForCausalLM"),
        ("weights cut off", cut_weights, "incomplete"),
    ];
    for (what, damage, word) in cases {
        let dir = tempfile::TempDir::new()?;
        let model = dir.path().join("model");
        std::fs::create_dir(&model)?;
        for entry in std::fs::read_dir(golden::model_dir())? {
            let entry = entry?;
            std::fs::copy(entry.path(), model.join(entry.file_name()))?;
        }
        damage(&model)?;
        let (model, folder) = (model.to_string_lossy(), dir.path().join("state"));
        let args = ["up", "--port", "0", "--dir", &folder.to_string_lossy(), "--model", &model];
        ensure_refused_in_one_line(what, &args, word).await?;
        ensure!(process::with_argument(&model)?.is_empty(), "{what}: something still runs");
    }
    Ok(())
}
