//! Which data-parallel rank computes a request: the least loaded one, as vLLM's server counts load.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine::EngineHandle;

/// Above this share of a full KV cache, waiting requests weigh more.
const CACHE_IN_USE: f64 = 0.5;
/// How much more, for a full cache: requests that wait for blocks wait long.
const WEIGHT_OF_WAITING: f64 = 6.0;

/// One rank, as the server sees it.
#[derive(Debug, Clone)]
pub struct Rank {
    /// Its number in the whole deployment.
    pub number: u32,
    /// Computes.
    pub engine: EngineHandle,
    /// Sequences that this server has in the engine. The engine's own counts are those of its last step, so a burst
    /// of requests between two steps shows here alone.
    in_flight: Arc<AtomicUsize>,
}

impl Rank {
    /// A rank without requests.
    #[must_use]
    pub fn new(number: u32, engine: EngineHandle) -> Self {
        Self { number, engine, in_flight: Arc::default() }
    }

    /// Counts a sequence until the guard is dropped.
    pub(super) fn begin(&self) -> InRank {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InRank(Arc::clone(&self.in_flight))
    }

    fn load(&self) -> Load {
        let metrics = self.engine.metrics();
        Load {
            in_flight: self.in_flight.load(Ordering::Relaxed),
            waiting: usize::try_from(metrics.waiting.get()).unwrap_or(0),
            running: usize::try_from(metrics.running.get()).unwrap_or(0),
            kv_cache_usage: metrics.kv_cache_usage.get(),
        }
    }
}

/// A sequence in an engine.
#[derive(Debug)]
pub(super) struct InRank(Arc<AtomicUsize>);

impl Drop for InRank {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How busy a rank is.
#[derive(Debug, Clone, Copy)]
struct Load {
    in_flight: usize,
    waiting: usize,
    running: usize,
    kv_cache_usage: f64,
}

impl Load {
    /// Sequences, with those that wait counted more the fuller the cache is.
    #[expect(clippy::cast_precision_loss, reason = "counts of sequences stay far below 2^53")]
    fn score(self) -> f64 {
        let sequences = self.in_flight.max(self.waiting + self.running) as f64;
        let pressure = (self.kv_cache_usage - CACHE_IN_USE).max(0.0);
        sequences + self.waiting as f64 * WEIGHT_OF_WAITING * pressure
    }
}

/// The ranks behind one port.
#[derive(Debug)]
pub struct Ranks {
    /// At least one.
    ranks: Vec<Rank>,
    /// Where the search begins, so that equal ranks take turns.
    turn: AtomicUsize,
}

impl Ranks {
    /// The ranks `first` and `others`.
    #[must_use]
    pub fn new(first: Rank, others: Vec<Rank>) -> Self {
        let ranks = std::iter::once(first).chain(others).collect();
        Self { ranks, turn: AtomicUsize::new(0) }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Rank> {
        self.ranks.iter()
    }

    /// The rank that a request asks for, where it is one of these, or else the least loaded.
    #[must_use]
    pub fn choose(&self, asked: Option<u32>) -> &Rank {
        if let Some(rank) = self.ranks.iter().find(|it| Some(it.number) == asked) {
            return rank;
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let loads: Vec<Load> = self.ranks.iter().map(Rank::load).collect();
        &self.ranks[least_loaded(&loads, turn)]
    }
}

/// The place of the least load, the first from `turn` on among equals. `loads` must not be empty.
fn least_loaded(loads: &[Load], turn: usize) -> usize {
    let places = (0..loads.len()).map(|it| (turn % loads.len() + it) % loads.len());
    places.min_by(|a, b| loads[*a].score().total_cmp(&loads[*b].score())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDLE: Load = Load { in_flight: 0, waiting: 0, running: 0, kv_cache_usage: 0.0 };

    #[test]
    fn equal_ranks_take_turns() {
        let chosen: Vec<_> = (0..5).map(|turn| least_loaded(&[IDLE; 3], turn)).collect();
        assert_eq!(chosen, [0, 1, 2, 0, 1]);
    }

    #[test]
    fn waiting_for_blocks_weighs_more_than_running() {
        let running = Load { running: 4, kv_cache_usage: 1.0, ..IDLE };
        let waiting = Load { waiting: 2, kv_cache_usage: 1.0, ..IDLE };
        assert_eq!(waiting.score(), 8.0);
        assert_eq!(least_loaded(&[waiting, running], 0), 1);
        let roomy = Load { kv_cache_usage: 0.5, ..waiting };
        assert_eq!(least_loaded(&[roomy, running], 0), 0);
    }

    #[test]
    fn a_burst_is_seen_before_the_engine_counts_it() {
        assert_eq!(least_loaded(&[Load { in_flight: 3, ..IDLE }, Load { running: 2, ..IDLE }], 0), 1);
    }

    fn any_load() -> impl Strategy<Value = Load> {
        (0_usize..5, 0_usize..5, 0_usize..5, 0.0..=1.0_f64).prop_map(
            |(in_flight, waiting, running, kv_cache_usage)| Load {
                in_flight,
                waiting,
                running,
                kv_cache_usage,
            },
        )
    }

    proptest! {
        #[test]
        fn nobody_is_less_loaded(loads in proptest::collection::vec(any_load(), 1..6), turn: usize) {
            let chosen = loads[least_loaded(&loads, turn)].score();
            prop_assert!(loads.iter().all(|it| it.score() >= chosen));
        }
    }
}
