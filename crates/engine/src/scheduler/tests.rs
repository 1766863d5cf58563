use llmd_kv::hash::BlockHasher;

use super::*;
use crate::step::LogitRows;

const BLOCK_SIZE: usize = 4;

fn config() -> SchedulerConfig {
    SchedulerConfig {
        max_num_seqs: 8,
        max_num_batched_tokens: 16,
        long_prefill_token_threshold: 0,
        max_model_len: 1000,
        policy: SchedulingPolicy::Fcfs,
        watermark: 0.0,
    }
}

fn scheduler(n_usable: usize, config: SchedulerConfig) -> Scheduler {
    let cache = KvCacheManager::new(n_usable + 1, BLOCK_SIZE, BlockHasher::default(), true);
    Scheduler::new(config, cache)
}

/// A sequence whose prompt shares nothing with others'.
fn new(id: u64, n_prompt: usize) -> NewSequence {
    NewSequence {
        id: SequenceId(id),
        prompt: (0..n_prompt).map(|at| u32::try_from(id as usize * 1000 + at).unwrap()).collect(),
        priority: 0,
        cache_salt: None,
        remote_prefill: false,
        prompt_logits: false,
    }
}

/// Schedules, completes, and appends a token to every sequence that has caught up.
fn step(scheduler: &mut Scheduler) -> Schedule {
    let schedule = scheduler.schedule();
    scheduler.complete(&schedule.plan);
    for step in &schedule.plan.sequences {
        if scheduler.has_caught_up(step.id) {
            scheduler.push_token(step.id, 7);
        }
    }
    schedule
}

/// Sequence, start and number of tokens of each entry of a plan.
fn shape(schedule: &Schedule) -> Vec<(u64, u32, usize)> {
    schedule.plan.sequences.iter().map(|it| (it.id.0, it.start, it.tokens.len())).collect()
}

#[test]
fn the_budget_is_shared_in_order_and_prompts_are_cut() {
    let mut scheduler = scheduler(100, config());
    for (id, n_prompt) in [(1, 10), (2, 10), (3, 10)] {
        scheduler.add(new(id, n_prompt)).unwrap();
    }
    let first = step(&mut scheduler);
    assert_eq!(shape(&first), [(1, 0, 10), (2, 0, 6)]);
    let logits: Vec<_> = first.plan.sequences.iter().map(|it| it.logits).collect();
    assert_eq!(logits, [LogitRows::Last, LogitRows::None]);
    // The decode comes first, then the rest of the cut prompt, then the next one.
    assert_eq!(shape(&step(&mut scheduler)), [(1, 10, 1), (2, 6, 4), (3, 0, 10)]);
    assert_eq!(shape(&step(&mut scheduler)), [(1, 11, 1), (2, 10, 1), (3, 10, 1)]);
}

#[test]
fn a_long_prompt_does_not_delay_decodes_behind_it() {
    let mut scheduler = scheduler(100, config());
    scheduler.add(new(1, 60)).unwrap();
    scheduler.add(NewSequence { remote_prefill: true, ..new(2, 5) }).unwrap();
    let schedule = step(&mut scheduler);
    assert_eq!((shape(&schedule), schedule.pulls.len()), (vec![(1, 0, 16)], 1), "a pull needs no budget");
    scheduler.end_pull(SequenceId(2), true).unwrap();
    assert_eq!(shape(&step(&mut scheduler)), [(2, 4, 1), (1, 16, 15)]);
}

#[test]
fn long_prompts_are_cut_only_beside_others() {
    let limits = SchedulerConfig { long_prefill_token_threshold: 3, ..config() };
    let mut scheduler = scheduler(100, limits);
    scheduler.add(new(1, 12)).unwrap();
    assert_eq!(shape(&scheduler.schedule()), [(1, 0, 12)]);
    scheduler.add(new(2, 12)).unwrap();
    assert_eq!(shape(&step(&mut scheduler)), [(1, 0, 3), (2, 0, 3)]);
}

#[test]
fn seats_are_limited_and_pulls_take_one() {
    let limits = SchedulerConfig { max_num_seqs: 2, ..config() };
    let mut scheduler = scheduler(100, limits);
    scheduler.add(NewSequence { remote_prefill: true, ..new(1, 5) }).unwrap();
    scheduler.add(new(2, 3)).unwrap();
    scheduler.add(new(3, 3)).unwrap();
    let schedule = step(&mut scheduler);
    assert_eq!((schedule.pulls.len(), shape(&schedule)), (1, vec![(2, 0, 3)]));
    assert_eq!((scheduler.n_running(), scheduler.n_pulling(), scheduler.n_waiting()), (1, 1, 1));
    scheduler.remove(SequenceId(1));
    assert_eq!(shape(&step(&mut scheduler)), [(2, 3, 1), (3, 0, 3)]);
}

#[test]
fn the_last_to_arrive_is_preempted_and_returns_to_the_front() {
    // Two sequences of one block each fill the pool when both need a second block.
    let mut scheduler = scheduler(3, config());
    for id in [1, 2] {
        scheduler.add(new(id, 4)).unwrap();
    }
    step(&mut scheduler);
    scheduler.add(new(3, 4)).unwrap();
    let schedule = step(&mut scheduler);
    assert_eq!(schedule.preempted, [SequenceId(2)]);
    assert_eq!(shape(&schedule), [(1, 4, 1)]);
    // Two blocks would do for sequence 3, but sequence 2 was first and still does not fit.
    assert!(step(&mut scheduler).admitted.is_empty());
    scheduler.remove(SequenceId(1));
    // It has 5 tokens by now, and its first block is still in the cache.
    let schedule = step(&mut scheduler);
    assert_eq!(shape(&schedule)[0], (2, 4, 1));
    assert_eq!(schedule.admitted[0].n_cached, 4);
}

#[test]
fn priority_decides_who_runs_and_who_is_preempted() {
    let limits = SchedulerConfig { policy: SchedulingPolicy::Priority, max_num_seqs: 2, ..config() };
    let mut scheduler = scheduler(3, limits);
    for (id, priority) in [(1, 5), (2, 0), (3, 1)] {
        scheduler.add(NewSequence { priority, ..new(id, 4) }).unwrap();
    }
    assert_eq!(shape(&step(&mut scheduler)), [(2, 0, 4), (3, 0, 4)]);
    let schedule = step(&mut scheduler);
    assert_eq!((shape(&schedule), schedule.preempted), (vec![(2, 4, 1)], vec![SequenceId(3)]));
}

#[test]
fn arrival_decides_when_priorities_are_off() {
    let mut scheduler = scheduler(3, config());
    for (id, priority) in [(1, 5), (2, 0)] {
        scheduler.add(NewSequence { priority, ..new(id, 4) }).unwrap();
    }
    assert_eq!(shape(&step(&mut scheduler)), [(1, 0, 4), (2, 0, 4)]);
}

#[test]
fn the_watermark_holds_back_newcomers_but_not_the_only_one() {
    let limits = SchedulerConfig { watermark: 0.5, ..config() };
    let mut scheduler = scheduler(4, limits);
    scheduler.add(new(1, 12)).unwrap();
    assert_eq!(step(&mut scheduler).admitted.len(), 1);
    scheduler.add(new(2, 4)).unwrap();
    assert!(step(&mut scheduler).admitted.is_empty());
    scheduler.remove(SequenceId(1));
    assert_eq!(step(&mut scheduler).admitted.len(), 1);
}

#[test]
fn sequences_that_can_never_run_are_refused() {
    let mut scheduler = scheduler(3, config());
    assert_eq!(scheduler.max_model_len(), 12);
    assert_eq!(scheduler.add(new(1, 0)), Err(AddError::Empty));
    assert_eq!(scheduler.add(new(1, 12)), Err(AddError::TooLong { n_tokens: 12, max_model_len: 12 }));
    scheduler.add(new(1, 11)).unwrap();
    assert_eq!(step(&mut scheduler).admitted.len(), 1);
}

#[test]
fn prompt_logits_come_from_every_position_but_the_last_and_skip_the_cache() {
    let mut scheduler = scheduler(100, config());
    scheduler.add(new(1, 9)).unwrap();
    step(&mut scheduler);
    scheduler.remove(SequenceId(1));
    scheduler.add(NewSequence { id: SequenceId(2), prompt_logits: true, ..new(1, 9) }).unwrap();
    let schedule = scheduler.schedule();
    assert_eq!(shape(&schedule), [(2, 0, 9)]);
    assert_eq!(schedule.plan.sequences[0].logits, LogitRows::All);
}

#[test]
fn prompt_logits_of_a_step_are_limited_whoever_wants_them() {
    let limits = SchedulerConfig { max_num_batched_tokens: 4000, ..config() };
    let mut scheduler = scheduler(1000, limits);
    for id in 1..=3 {
        scheduler.add(NewSequence { prompt_logits: true, ..new(id, 100) }).unwrap();
    }
    scheduler.add(new(4, 300)).unwrap();
    assert_eq!(shape(&step(&mut scheduler)), [(1, 0, 100), (2, 0, 28), (4, 0, 300)]);
    assert_eq!(shape(&step(&mut scheduler)), [(1, 100, 1), (4, 300, 1), (2, 28, 72), (3, 0, 56)]);
}

#[test]
fn remote_blocks_are_asked_for_once() {
    let mut scheduler = scheduler(3, config());
    scheduler.add(new(1, 4)).unwrap();
    scheduler.add(NewSequence { remote_prefill: true, ..new(2, 4) }).unwrap();
    let schedule = step(&mut scheduler);
    assert_eq!(schedule.pulls[0].hashes.len(), 1);
    assert_eq!(scheduler.blocks_to_fill(SequenceId(2)).map(<[_]>::len), Some(1));
    let admission = scheduler.end_pull(SequenceId(2), true).unwrap();
    assert_eq!((admission.n_cached, admission.n_transferred), (3, 3));
    assert_eq!(scheduler.end_pull(SequenceId(2), true), None);
    assert!(!scheduler.awaits_remote(SequenceId(2)));
    // Both need a second block; there is one.
    let schedule = step(&mut scheduler);
    assert_eq!(shape(&schedule), [(1, 4, 1), (2, 3, 1)]);
    let schedule = step(&mut scheduler);
    assert_eq!(schedule.preempted, [SequenceId(2)]);
    scheduler.remove(SequenceId(1));
    let schedule = step(&mut scheduler);
    assert!(schedule.pulls.is_empty());
    assert_eq!(schedule.admitted.len(), 1);
}

#[test]
fn nothing_to_do_is_idle() {
    let mut scheduler = scheduler(3, config());
    assert!(scheduler.schedule().is_idle());
    scheduler.add(NewSequence { remote_prefill: true, ..new(1, 4) }).unwrap();
    assert!(!scheduler.schedule().is_idle());
    assert!(scheduler.schedule().is_idle(), "only the other engine can help now");
}
