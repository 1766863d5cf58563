//! Workers: take keys from a queue, reconcile them, and decide when each comes again.

use std::any::Any;
use std::fmt::Display;
use std::future::Future;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use llmd_common::report::Report;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;

use crate::llmisvc::reconcile::{Done, Error};
use crate::metrics::Metrics;
use crate::queue::Queue;

/// Longest time one reconcile may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// Names one controller in logs and metrics.
#[derive(Debug, Clone)]
pub struct Controller<K> {
    pub name: &'static str,
    pub queue: Queue<K>,
    pub metrics: Metrics,
}

impl<K> Controller<K>
where
    K: Eq + Hash + Ord + Clone + Display + Send + Sync + 'static,
{
    /// Works with `concurrency` keys at a time until dropped. A turn that is cut short is harmless: everything is
    /// looked at again by whoever leads next.
    pub async fn work<F, R>(self, concurrency: usize, reconcile: F)
    where
        F: Fn(K) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<Done, Error>> + Send + 'static,
    {
        let mut workers = JoinSet::new();
        for _ in 0..concurrency {
            let (controller, reconcile) = (self.clone(), reconcile.clone());
            workers.spawn(async move {
                loop {
                    controller.turn(&reconcile).await;
                }
            });
        }
        while workers.join_next().await.is_some() {}
    }

    async fn turn<F, R>(&self, reconcile: &F)
    where
        F: Fn(K) -> R,
        R: Future<Output = Result<Done, Error>>,
    {
        let turn = self.queue.next().await;
        let key = turn.key().clone();
        let span = tracing::info_span!("reconcile", controller = self.name, object = %key);
        let start = Instant::now();
        let attempt = AssertUnwindSafe(reconcile(key.clone())).catch_unwind();
        let result = tokio::time::timeout(DEADLINE, attempt).instrument(span.clone()).await;
        let duration = start.elapsed();
        let _entered = span.entered();
        let (result, reason) = match result {
            Ok(Ok(Ok(done))) => self.conclude(&key, done),
            Ok(Ok(Err(error))) => {
                let delay = self.queue.retry(key);
                tracing::warn!(error = %Report(&error), retry_seconds = delay.as_secs_f64(), "reconcile failed");
                ("error", Some(error.reason()))
            }
            Ok(Err(panic)) => {
                self.queue.retry(key);
                tracing::error!(message = panic_message(&*panic), "reconcile panicked");
                ("error", Some("panic"))
            }
            Err(_) => {
                self.queue.retry(key);
                tracing::warn!("reconcile took too long");
                ("error", Some("timeout"))
            }
        };
        self.metrics.reconciled(self.name, result, reason, duration);
        tracing::debug!(result, milliseconds = duration.as_millis(), "reconciled");
        drop(turn);
        self.metrics.queued(self.name, self.queue.depth());
    }

    fn conclude(&self, key: &K, done: Done) -> (&'static str, Option<&'static str>) {
        self.queue.forgive(key);
        match done {
            Done::Applied => ("success", None),
            Done::Failed { reason, again } => {
                if let Some(time) = again {
                    self.queue.add_after(key.clone(), time);
                }
                ("failed", Some(reason))
            }
            Done::Waiting(time) => {
                self.queue.add_after(key.clone(), time);
                ("success", None)
            }
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
