//! `llmd chat`: a conversation in the terminal, streamed.
//!
//! The answer goes to standard output, everything about it to standard error, so that a pipe gets the text
//! alone. Ctrl-C ends an answer (the connection closes, so the server stops too); between answers it ends the
//! conversation.

mod input;

use std::io::{self, IsTerminal, Read, Write};
use std::time::Instant;

use crossterm::style::Stylize;

use crate::args::ChatArgs;
use crate::openai::timing::Timing;
use crate::openai::{self, ChatRequest, Endpoint, Message};

/// Why the conversation ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint.
    #[error(transparent)]
    Endpoint(#[from] openai::Error),
    /// Standard input cannot be read, or is not text.
    #[error("cannot read the prompt")]
    Input(#[source] io::Error),
    /// Standard output cannot be written.
    #[error("cannot write the answer")]
    Output(#[source] io::Error),
    /// Ctrl-C cannot be caught.
    #[error("cannot install a signal handler")]
    Signal(#[source] io::Error),
    /// Nothing was asked.
    #[error("the prompt is empty")]
    NoPrompt,
}

/// Asks once or holds a conversation, depending on where the prompt comes from.
///
/// # Errors
/// See [`Error`]; in a conversation a failed answer is shown and the conversation goes on.
pub async fn run(args: ChatArgs) -> Result<(), Error> {
    let ChatArgs { url, model, system, temperature, max_tokens, api_key, prompt } = args;
    let endpoint = Endpoint::new(&url, api_key)?;
    let model = endpoint.model(model).await?;
    let messages = system.map(|content| Message { role: "system", content }).into_iter().collect();
    let request = ChatRequest { model, messages, temperature, max_tokens };
    let mut chat = Chat { endpoint, request };
    if prompt.is_none() && io::stdin().is_terminal() {
        return chat.converse(&url).await;
    }
    let prompt = match prompt {
        Some(prompt) => prompt,
        None => io::read_to_string(io::stdin().lock().take(MAX_PROMPT)).map_err(Error::Input)?,
    };
    if prompt.trim().is_empty() {
        return Err(Error::NoPrompt);
    }
    chat.ask(prompt).await
}

/// Longest prompt read from a pipe, in bytes.
const MAX_PROMPT: u64 = 16 << 20;

struct Chat {
    endpoint: Endpoint,
    /// Grows by each question and its answer.
    request: ChatRequest,
}

impl Chat {
    async fn converse(&mut self, url: &str) -> Result<(), Error> {
        say(&format!("{} at {url}. Ctrl-C ends an answer, Ctrl-D the conversation.", self.request.model));
        let mut lines = input::lines();
        loop {
            prompt_sign();
            // Read per round: a Ctrl-C during an answer must not count for the prompt after it.
            let line = tokio::select! {
                line = lines.recv() => line,
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted.map_err(Error::Signal)?;
                    None
                }
            };
            let Some(line) = line.transpose().map_err(Error::Input)? else {
                say("");
                return Ok(());
            };
            if line.trim().is_empty() {
                continue;
            }
            if let Err(error) = self.ask(line).await {
                say(&format!("{}", llmd_common::report::Report(&error)));
                // The question stays out of the conversation, so that it can be asked again.
                self.request.messages.pop();
            }
        }
    }

    /// Asks, shows the answer as it comes, and keeps both.
    async fn ask(&mut self, prompt: String) -> Result<(), Error> {
        self.request.messages.push(Message { role: "user", content: prompt });
        let mut timing = Timing::start(Instant::now());
        let mut text = String::new();
        let ended = tokio::select! {
            ended = self.stream(&mut timing, &mut text) => ended,
            interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Error::Signal),
        };
        writeln!(io::stdout().lock()).map_err(Error::Output)?;
        ended?;
        if let Some(line) = measured(&timing) {
            say(&line);
        }
        if text.is_empty() {
            // Interrupted before the first token: as if it had not been asked.
            self.request.messages.pop();
        } else {
            self.request.messages.push(Message { role: "assistant", content: text });
        }
        Ok(())
    }

    async fn stream(&self, timing: &mut Timing, text: &mut String) -> Result<(), Error> {
        let mut answer = self.endpoint.chat(&self.request).await?;
        while let Some(delta) = answer.next().await? {
            timing.arrived(&delta, Instant::now());
            let mut stdout = io::stdout().lock();
            let written = stdout.write_all(delta.text.as_bytes()).and_then(|()| stdout.flush());
            written.map_err(Error::Output)?;
            text.push_str(&delta.text);
        }
        Ok(())
    }
}

/// One line about an answer's speed.
fn measured(timing: &Timing) -> Option<String> {
    let mut parts = vec![format!("TTFT {:.0} ms", timing.ttft()?.as_secs_f64() * 1e3)];
    parts.push(format!("{} tokens", timing.n_tokens()));
    parts.extend(timing.tokens_per_second().map(|speed| format!("{speed:.1} tokens/s")));
    let n_cached = timing.n_cached().filter(|&n| n > 0);
    parts.extend(n_cached.map(|n| format!("{n} prompt tokens from cache or transfer")));
    Some(format!("[{}]", parts.join(", ")))
}

/// To standard error; without it there is nobody to tell.
fn say(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ =
        if stderr.is_terminal() { writeln!(stderr, "{}", text.dim()) } else { writeln!(stderr, "{text}") };
}

fn prompt_sign() {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{} ", ">".bold()).and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai::{Delta, PromptDetails, TokenCounts};
    use std::time::Duration;

    #[test]
    fn tells_what_was_measured() {
        let start = Instant::now();
        let mut timing = Timing::start(start);
        assert_eq!(measured(&timing), None);
        let details = Some(PromptDetails { cached_tokens: Some(12) });
        let usage = TokenCounts { prompt_tokens: 13, completion_tokens: 5, prompt_tokens_details: details };
        let delta = |usage| Delta { text: "a".to_owned(), usage };
        timing.arrived(&delta(None), start + Duration::from_millis(20));
        timing.arrived(&delta(Some(usage)), start + Duration::from_millis(120));
        let expected = "[TTFT 20 ms, 5 tokens, 40.0 tokens/s, 12 prompt tokens from cache or transfer]";
        assert_eq!(measured(&timing).unwrap(), expected);
    }
}
