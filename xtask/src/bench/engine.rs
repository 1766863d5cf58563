//! `cargo xtask bench engine`: how fast the engine is, and what gateway, picker and sidecar add to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::{run as run_command, say};
use crate::workspace::{STACK, build_release};

/// Until the stack must be ready.
const READY_DEADLINE: Duration = Duration::from_secs(120);

/// One comparison of the whole path with the decode engine alone.
struct Comparison {
    title: &'static str,
    arguments: &'static [&'static str],
}

const COMPARISONS: [Comparison; 4] = [
    Comparison {
        title: "One request at a time, prompt in the cache: gateway + picker + sidecar against the engine alone",
        arguments: &["--requests", "300", "--warmup", "20", "--max-tokens", "16"],
    },
    Comparison {
        title: "The same, 8 at a time",
        arguments: &["--requests", "400", "--warmup", "20", "--max-tokens", "16", "--concurrency", "8"],
    },
    Comparison {
        title: "One at a time, new prompts: prefill engine + KV transfer against the engine alone",
        arguments: &["--requests", "200", "--warmup", "20", "--max-tokens", "16", "--unique"],
    },
    Comparison {
        title: "The same, 8 at a time",
        arguments: &[
            "--requests",
            "400",
            "--warmup",
            "20",
            "--max-tokens",
            "16",
            "--unique",
            "--concurrency",
            "8",
        ],
    },
];

/// Builds with optimisation, measures, prints tables.
pub(super) fn run() -> Result<()> {
    let programs = build_release(&STACK)?;
    say("# Engine alone\n");
    run_command(Command::new(programs.join("llmd-engine")).arg("bench"))?;
    say("\n# The path to the engine (llmd-tiny, 1 prefill, 1 decode)");
    let stack = Stack::up(&programs)?;
    let status = stack.wait_ready()?;
    let gateway = status["gateway"]["url"].as_str().context("the status names the gateway")?;
    let components = status["components"].as_array().context("the status lists components")?;
    let decode = components.iter().find(|it| it["name"] == "decode-0").context("there is a decode engine")?;
    let engine = decode["urls"]["http"].as_str().context("an engine has an address")?;
    for Comparison { title, arguments } in COMPARISONS {
        say(&format!("\n{title}\n"));
        let mut bench = Command::new(programs.join("llmd"));
        bench.args(["bench", "http", "--url", gateway, "--direct-url", engine]).args(arguments);
        run_command(&mut bench)?;
    }
    Ok(())
}

/// A stack for the time of the measurement. Killing `llmd up` takes its components along.
struct Stack {
    llmd: PathBuf,
    dir: PathBuf,
    up: Child,
}

impl Stack {
    fn up(programs: &Path) -> Result<Self> {
        let llmd = programs.join("llmd");
        let dir = std::env::temp_dir().join(format!("llmd-bench-{}", std::process::id()));
        let up = Command::new(&llmd)
            .args(["up", "--port", "0", "--decode", "1", "--dir"])
            .arg(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot run llmd up")?;
        Ok(Self { llmd, dir, up })
    }

    /// The status, once every component is ready.
    fn wait_ready(&self) -> Result<Value> {
        let started = Instant::now();
        while started.elapsed() < READY_DEADLINE {
            std::thread::sleep(Duration::from_millis(200));
            let output = Command::new(&self.llmd).args(["status", "--json", "--dir"]).arg(&self.dir).output();
            let status: Value = serde_json::from_slice(&output.context("cannot run llmd status")?.stdout)?;
            if status["state"] == "ready" {
                return Ok(status);
            }
        }
        bail!("the stack is not ready after {} s, see {}/logs", READY_DEADLINE.as_secs(), self.dir.display())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let down =
            Command::new(&self.llmd).args(["down", "--dir"]).arg(&self.dir).stdout(Stdio::null()).status();
        if !down.is_ok_and(|status| status.success()) && self.up.kill().is_err() {
            // It has ended by itself.
        }
        let removed = self.up.wait().and_then(|_| fs::remove_dir_all(&self.dir));
        if let Err(error) = removed {
            say(&format!("cannot tidy up {}: {error}", self.dir.display()));
        }
    }
}
