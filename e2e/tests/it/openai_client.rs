//! The official OpenAI Python client against the stack.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use llmd_e2e::golden;
use llmd_e2e::stack::Stack;
use tokio::process::Command;

/// Models, chat whole and streamed with usage, choices with stop strings and log-probabilities, completions of two
/// prompts, and errors the client knows how to raise.
const SCRIPT: &str = r#"
import json, sys
import openai
base, messages = sys.argv[1], json.loads(sys.argv[2])
client = openai.OpenAI(base_url=base + "/v1", api_key="none", max_retries=0, timeout=60)
model = client.models.list().data[0].id
ask = dict(model=model, messages=messages, temperature=0, max_tokens=96)
whole = client.chat.completions.create(**ask)
parts, usage = [], None
for chunk in client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}):
    usage = chunk.usage or usage
    parts += [choice.delta.content or "" for choice in chunk.choices]
def refusal(kind, **changes):
    try:
        client.chat.completions.create(**{**ask, **changes})
    except kind as error:
        return error.status_code
rich = client.chat.completions.create(**ask, stop=["phase"], logprobs=True, top_logprobs=2)
many = client.chat.completions.create(**{**ask, "temperature": 1}, n=3, seed=7)
plain = client.completions.create(model=model, prompt=["Hello", "What"], max_tokens=4, temperature=0)
print(json.dumps(dict(model=model, whole=whole.choices[0].message.content, streamed="".join(parts),
    prompt_tokens=usage.prompt_tokens, completion_tokens=whole.usage.completion_tokens,
    unknown_model=refusal(openai.NotFoundError, model="no-such-model"),
    bad_value=refusal(openai.BadRequestError, max_tokens=-1),
    stopped=rich.choices[0].message.content, indexes=[choice.index for choice in many.choices],
    top_logprobs=[len(token.top_logprobs) for token in rich.choices[0].logprobs.content],
    finish_reasons=[choice.finish_reason for choice in plain.choices])))
"#;

/// Python with the client in an environment of its own under the target folder; `None` without a package index.
async fn python() -> Result<Option<PathBuf>> {
    let test = std::env::current_exe()?;
    let venv = test.ancestors().nth(3).context("tests run from target/<profile>/deps")?.join("openai-venv");
    let python = venv.join("bin/python");
    if !python.exists() && !succeeds(Command::new("python3").args(["-m", "venv"]).arg(&venv)).await {
        return Ok(None);
    }
    if !succeeds(Command::new(&python).args(["-c", "import openai"])).await && !install(&python).await {
        return Ok(None);
    }
    Ok(Some(python))
}

async fn install(python: &Path) -> bool {
    succeeds(Command::new(python).args(["-m", "pip", "install", "--quiet", "openai"])).await
}

async fn succeeds(command: &mut Command) -> bool {
    command.output().await.is_ok_and(|it| it.status.success())
}

#[tokio::test]
async fn the_openai_python_client_streams_and_does_not_stream() -> Result<()> {
    let Some(python) = python().await? else {
        println!("skipped: no Python 3 with the openai package, and no package index to install it from");
        return Ok(());
    };
    let stack = Stack::up(&[]).await?;
    let status = stack.status().await?;
    let url = status["gateway"]["url"].as_str().context("status names the gateway")?;
    let case = golden::case("What is prefill?")?;
    let output = Command::new(python).args(["-c", SCRIPT, url, &case.messages.to_string()]).output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    ensure!(said["whole"] == case.text && said["streamed"] == case.text, "{said:#}");
    ensure!(said["prompt_tokens"] == case.prompt_token_ids.len(), "{said:#}");
    ensure!(said["unknown_model"] == 404 && said["bad_value"] == 400, "{said:#}");
    let (stopped, _) = case.text.split_once("phase").context("the answer has the stop string")?;
    ensure!(said["stopped"] == stopped && said["indexes"] == serde_json::json!([0, 1, 2]), "{said:#}");
    let counts = said["top_logprobs"].as_array().context("log-probabilities")?;
    ensure!(!counts.is_empty() && counts.iter().all(|it| *it == 2), "{said:#}");
    ensure!(said["finish_reasons"] == serde_json::json!(["length", "length"]), "{said:#}");
    Ok(())
}
