//! A work queue of keys: each key waits once, runs once at a time, and comes again when it was added meanwhile. What
//! changed goes before what is only looked at again.
//!
//! Failures of a key lengthen the delay before its next turn, from 5 ms to 1000 s. Workers take a key soon after it was
//! added, so an open queue cannot outgrow the number of objects in the cluster. Where nobody works, as in a process that
//! does not lead, keys of objects long gone would gather: there the queue is closed, and drops what it is given.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Delay after the first failure; doubled by each further one.
const FIRST_RETRY: Duration = Duration::from_millis(5);
/// Longest delay after failures.
const LAST_RETRY: Duration = Duration::from_secs(1000);

/// The queue. Clones share it.
#[derive(Debug)]
pub struct Queue<K>(Arc<Shared<K>>);

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Shared<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<K> {
    ready: VecDeque<K>,
    /// The keys of `ready`.
    queued: HashSet<K>,
    /// Keys that come when `ready` is empty.
    later: BTreeSet<K>,
    running: HashSet<K>,
    /// Added while running: these go back to `ready` at the end of their turn.
    again: HashSet<K>,
    /// Keys whose time has not come, earliest first, and the same by key.
    timers: BTreeSet<(Instant, K)>,
    due: HashMap<K, Instant>,
    failures: HashMap<K, u32>,
    is_closed: bool,
}

/// A key whose turn it is. The turn ends when this is dropped, also by a panic.
#[derive(Debug)]
pub struct Turn<K: Eq + Hash + Ord + Clone> {
    key: K,
    queue: Queue<K>,
}

impl<K: Eq + Hash + Ord + Clone> Turn<K> {
    /// Whose turn it is.
    pub const fn key(&self) -> &K {
        &self.key
    }
}

impl<K: Eq + Hash + Ord + Clone> Drop for Turn<K> {
    fn drop(&mut self) {
        self.queue.end(&self.key);
    }
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self(Arc::new(Shared { state: Mutex::default(), changed: Notify::new() }))
    }
}

impl<K> Default for State<K> {
    fn default() -> Self {
        Self {
            ready: VecDeque::new(),
            queued: HashSet::new(),
            later: BTreeSet::new(),
            running: HashSet::new(),
            again: HashSet::new(),
            timers: BTreeSet::new(),
            due: HashMap::new(),
            failures: HashMap::new(),
            is_closed: false,
        }
    }
}

impl<K: Eq + Hash + Ord + Clone> Queue<K> {
    /// Gives `key` a turn as soon as possible.
    pub fn add(&self, key: K) {
        self.0.state.lock().add(key);
        self.0.changed.notify_one();
    }

    /// Gives `key` a turn when nothing more urgent waits.
    pub fn add_later(&self, key: K) {
        self.0.state.lock().add_later(key);
        self.0.changed.notify_one();
    }

    /// Gives `key` a turn after `delay`, or earlier when it is added again.
    pub fn add_after(&self, key: K, delay: Duration) {
        self.0.state.lock().add_at(key, Instant::now() + delay);
        self.0.changed.notify_one();
    }

    /// Gives `key` another turn after a failure. Returns the delay.
    pub fn retry(&self, key: K) -> Duration {
        let delay = self.0.state.lock().count_failure(&key);
        self.add_after(key, delay);
        delay
    }

    /// How often `key` failed since its last success.
    #[must_use]
    pub fn failures(&self, key: &K) -> u32 {
        self.0.state.lock().failures.get(key).copied().unwrap_or_default()
    }

    /// Forgets the failures of `key`: after a success, or because what failed is not what it was.
    pub fn forgive(&self, key: &K) {
        self.0.state.lock().failures.remove(key);
    }

    /// Drops every key that waits, and from now on every one that is added. Turns that run come to their end.
    pub fn close(&self) {
        let mut state = self.0.state.lock();
        let running = std::mem::take(&mut state.running);
        *state = State { running, is_closed: true, ..State::default() };
    }

    /// Takes keys again after [`Self::close`]. Whoever opens adds what has to be looked at.
    pub fn open(&self) {
        self.0.state.lock().is_closed = false;
    }

    /// Keys that could run now.
    #[must_use]
    pub fn depth(&self) -> usize {
        let state = self.0.state.lock();
        state.ready.len() + state.later.len()
    }

    /// Waits for the next key. Cancel-safe: a key is taken only when the turn is returned.
    pub async fn next(&self) -> Turn<K> {
        loop {
            let changed = self.0.changed.notified();
            let earliest = {
                let mut state = self.0.state.lock();
                state.move_due(Instant::now());
                if let Some(key) = state.take() {
                    if !(state.ready.is_empty() && state.later.is_empty()) {
                        // Notifications of several additions may have become one.
                        self.0.changed.notify_one();
                    }
                    return Turn { key, queue: self.clone() };
                }
                state.timers.first().map(|(at, _)| *at)
            };
            match earliest {
                None => changed.await,
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(at) => {}
                },
            }
        }
    }

    fn end(&self, key: &K) {
        let mut state = self.0.state.lock();
        state.running.remove(key);
        if state.again.remove(key) {
            state.add(key.clone());
            self.0.changed.notify_one();
        }
    }
}

impl<K: Eq + Hash + Ord + Clone> State<K> {
    fn add(&mut self, key: K) {
        if self.is_closed {
            return;
        }
        self.clear_timer(&key);
        self.later.remove(&key);
        if self.running.contains(&key) {
            self.again.insert(key);
        } else if self.queued.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    fn add_later(&mut self, key: K) {
        if self.is_closed {
            return;
        }
        let waits_anyway = self.queued.contains(&key) || self.again.contains(&key);
        if self.running.contains(&key) {
            self.again.insert(key);
        } else if !waits_anyway {
            self.later.insert(key);
        }
    }

    fn add_at(&mut self, key: K, at: Instant) {
        let is_sooner_anyway = self.is_closed
            || self.queued.contains(&key)
            || self.later.contains(&key)
            || self.again.contains(&key)
            || self.due.get(&key).is_some_and(|&due| due <= at);
        if !is_sooner_anyway {
            self.clear_timer(&key);
            self.timers.insert((at, key.clone()));
            self.due.insert(key, at);
        }
    }

    fn clear_timer(&mut self, key: &K) {
        if let Some(at) = self.due.remove(key) {
            self.timers.remove(&(at, key.clone()));
        }
    }

    fn move_due(&mut self, now: Instant) {
        while let Some((_, key)) = self.timers.first().filter(|(at, _)| *at <= now).cloned() {
            self.add(key);
        }
    }

    fn take(&mut self) -> Option<K> {
        let key = self.ready.pop_front().or_else(|| self.later.pop_first())?;
        self.queued.remove(&key);
        self.clear_timer(&key);
        self.running.insert(key.clone());
        Some(key)
    }

    fn count_failure(&mut self, key: &K) -> Duration {
        if self.is_closed {
            return FIRST_RETRY;
        }
        let failures = self.failures.entry(key.clone()).or_default();
        let delay = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(*failures)).min(LAST_RETRY);
        *failures = failures.saturating_add(1);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn now(queue: &Queue<&'static str>) -> Option<Turn<&'static str>> {
        queue.next().now_or_never()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_waits_once_and_runs_once_at_a_time() {
        let queue = Queue::default();
        queue.add("a");
        queue.add("a");
        let turn = now(&queue).unwrap();
        assert!(now(&queue).is_none());
        queue.add("a");
        assert!(now(&queue).is_none(), "no second turn beside the first");
        drop(turn);
        assert_eq!(now(&queue).unwrap().key(), &"a");
        assert!(now(&queue).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_time_counts() {
        let queue = Queue::default();
        let start = Instant::now();
        queue.add_after("a", Duration::from_secs(60));
        queue.add_after("a", Duration::from_secs(5));
        queue.add_after("a", Duration::from_secs(10));
        drop(queue.next().await);
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        queue.add_after("a", Duration::from_secs(60));
        queue.add("a");
        drop(now(&queue).unwrap());
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(now(&queue).is_none(), "the timer went with the turn");
    }

    #[tokio::test(start_paused = true)]
    async fn what_changed_goes_before_what_is_looked_at_again() {
        let queue = Queue::default();
        for key in ["a", "b", "c"] {
            queue.add_later(key);
        }
        queue.add("c");
        queue.add_later("c");
        assert_eq!(queue.depth(), 3);
        let order: Vec<_> = std::iter::from_fn(|| now(&queue).map(|it| *it.key())).collect();
        assert_eq!(order, ["c", "a", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_double_the_delay_until_they_are_forgiven() {
        let queue = Queue::default();
        let mut delays = Vec::new();
        for _ in 0..19 {
            delays.push(queue.retry("a"));
        }
        assert_eq!(delays[..3], [5, 10, 20].map(Duration::from_millis));
        assert_eq!(delays[18], LAST_RETRY);
        queue.forgive(&"a");
        assert_eq!(queue.retry("a"), FIRST_RETRY);
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_queue_keeps_nothing() {
        let queue = Queue::default();
        for key in ["a", "b"] {
            queue.add(key);
        }
        queue.add_later("c");
        queue.add_after("d", Duration::from_secs(60));
        let running = now(&queue).unwrap();
        queue.add("a");
        queue.close();
        for key in ["a", "e"] {
            queue.add(key);
            queue.add_later(key);
            queue.add_after(key, Duration::from_secs(1));
            queue.retry(key);
        }
        assert_eq!(queue.depth(), 0);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(now(&queue).is_none());
        {
            let state = queue.0.state.lock();
            assert!(state.timers.is_empty() && state.due.is_empty() && state.failures.is_empty());
        }

        queue.open();
        assert!(now(&queue).is_none(), "what came meanwhile is gone");
        queue.add("a");
        assert!(now(&queue).is_none(), "its turn of before still runs");
        drop(running);
        assert_eq!(now(&queue).unwrap().key(), &"a");
    }

    #[tokio::test(start_paused = true)]
    async fn every_waiting_worker_gets_its_key() {
        let queue = Queue::default();
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move { *queue.next().await.key() })
            })
            .collect();
        tokio::task::yield_now().await;
        for key in ["a", "b", "c"] {
            queue.add(key);
        }
        let mut keys = Vec::new();
        for worker in workers {
            keys.push(worker.await.unwrap());
        }
        keys.sort_unstable();
        assert_eq!(keys, ["a", "b", "c"]);
    }
}
