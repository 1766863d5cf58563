//! Clients that ask one after another while something happens to the stack.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use llmd_e2e::client::Client;
use llmd_e2e::golden;

use crate::stack::MODEL;
use crate::world::Reach;

pub(crate) const CLIENTS: usize = 2;
/// Failures shown; more say no more.
const SHOWN: usize = 5;
/// After an error, as clients do.
const PAUSE: Duration = Duration::from_millis(20);

/// Running clients. Dropping it ends each after the request that it is at.
pub(crate) struct Load<'a> {
    /// Ends when it is dropped, if it is forwarded.
    _entrance: &'a Reach,
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Result<Vec<Failure>>>>,
}

/// What became of the requests. An answer is always the exact one: another ends the story.
pub(crate) struct Tally {
    pub(crate) n_answers: usize,
    pub(crate) failures: Vec<Failure>,
}

/// A request that ended in an error.
pub(crate) struct Failure {
    pub(crate) why: String,
    pub(crate) took: Duration,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    n_answers: AtomicUsize,
}

impl<'a> Load<'a> {
    /// Clients of `entrance`, each with connections of its own.
    pub(crate) fn start(entrance: &'a Reach) -> Self {
        let shared = Arc::<Shared>::default();
        let client = |_| {
            let (shared, base) = (Arc::clone(&shared), entrance.client().base().to_owned());
            std::thread::spawn(move || ask(&shared, &base))
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { _entrance: entrance, shared, clients }
    }

    /// Ends the clients. Every request must have got its answer, and there must have been some.
    pub(crate) fn finish(self) -> Result<usize> {
        let Tally { n_answers, failures } = self.end()?;
        let shown = failures.iter().take(SHOWN).map(|it| it.why.as_str()).collect::<Vec<_>>().join("; ");
        let n_failed = failures.len();
        ensure!(failures.is_empty(), "{n_failed} of {} requests failed: {shown}", n_failed + n_answers);
        ensure!(n_answers > 0, "no request was answered");
        Ok(n_answers)
    }

    /// Ends the clients, whatever became of their requests.
    pub(crate) fn end(mut self) -> Result<Tally> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for client in self.clients.drain(..) {
            failures.extend(client.join().ok().context("a client panicked")??);
        }
        Ok(Tally { n_answers: self.shared.n_answers.load(Ordering::Relaxed), failures })
    }

    /// Answers until now.
    pub(crate) fn n_answers(&self) -> usize {
        self.shared.n_answers.load(Ordering::Relaxed)
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
    }
}

/// Asks until it is over; returns what went wrong.
fn ask(shared: &Shared, base: &str) -> Result<Vec<Failure>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let case = golden::case("What is prefill?")?;
    let client = Client::new(base);
    let mut failures = Vec::new();
    while !shared.is_over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match runtime.block_on(client.chat_stream_text(MODEL, &case.messages)) {
            Ok(text) => {
                ensure!(text == case.text, "wrong answer {text:?}");
                shared.n_answers.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                failures.push(Failure { why: format!("{error:#}"), took: begun.elapsed() });
                std::thread::sleep(PAUSE);
            }
        }
    }
    Ok(failures)
}
