//! `llmd bench http`: closed-loop load on an endpoint, and what it adds to another one behind it.
//!
//! Closed loop: so many requests in flight, the next when one ends. With two endpoints the load alternates
//! between them in short rounds, so that a change in the machine's speed meets both.

mod load;
mod report;

use std::io::{self, Write};

use crate::args::BenchHttpArgs;
use crate::bench::load::{Load, Samples};
use crate::openai::{self, Endpoint};

/// Rounds over which the requests to each of two endpoints are spread.
const N_ROUNDS: u32 = 10;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint.
    #[error(transparent)]
    Endpoint(#[from] openai::Error),
    /// No request succeeded.
    #[error("every request to {url} failed, the last with: {last}")]
    AllFailed {
        /// Where to.
        url: String,
        /// The last failure.
        last: String,
    },
}

/// Measures and prints a report.
///
/// # Errors
/// See [`Error`].
pub async fn run(args: BenchHttpArgs) -> Result<(), Error> {
    let BenchHttpArgs {
        url,
        direct_url,
        model,
        concurrency,
        requests,
        warmup,
        prompt,
        unique,
        max_tokens,
        api_key,
        json,
    } = args;
    let mut targets = Vec::new();
    for url in std::iter::once(url).chain(direct_url) {
        let endpoint = Endpoint::new(&url, api_key.clone())?;
        let model = endpoint.model(model.clone()).await?;
        let load = Load::new(endpoint, model, prompt.clone(), unique, max_tokens);
        load.run(warmup, concurrency).await;
        targets.push((url, load, Samples::default()));
    }
    let n_rounds = if targets.len() > 1 { N_ROUNDS.min(requests) } else { 1 };
    for round in 0..n_rounds {
        let n_requests = requests / n_rounds + u32::from(round < requests % n_rounds);
        for (_, load, samples) in &mut targets {
            samples.add(load.run(n_requests, concurrency).await);
        }
    }
    let mut results = Vec::new();
    for (url, _, samples) in targets {
        let last = samples.last_error.clone().unwrap_or_default();
        match report::Target::of(&url, &samples) {
            Some(target) => results.push(target),
            None => return Err(Error::AllFailed { url, last }),
        }
    }
    let report = report::Report::of(results);
    let text = if json { report.to_json() } else { report.to_table() };
    // A reader that closed the pipe wants no more.
    let _ = writeln!(io::stdout().lock(), "{text}");
    Ok(())
}
