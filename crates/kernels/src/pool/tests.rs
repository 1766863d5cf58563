use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

#[test]
fn every_task_runs_once_on_a_known_thread() {
    for threads in [1, 2, 5] {
        let mut pool = Pool::new(threads).unwrap();
        for n_tasks in [0, 1, 2, 3, 100] {
            let counts: Vec<_> = (0..n_tasks).map(|_| AtomicUsize::new(0)).collect();
            pool.run(n_tasks, |index, thread| {
                assert!(thread < threads);
                counts[index].fetch_add(1, Ordering::Relaxed);
            });
            assert!(
                counts.iter().all(|it| it.load(Ordering::Relaxed) == 1),
                "{threads} threads, {n_tasks} tasks"
            );
        }
    }
}

#[test]
fn thread_indices_are_exclusive() {
    let mut pool = Pool::new(4).unwrap();
    let busy: Vec<_> = (0..4).map(|_| AtomicUsize::new(0)).collect();
    for _ in 0..50 {
        pool.run(64, |_, thread| {
            assert_eq!(busy[thread].fetch_add(1, Ordering::SeqCst), 0);
            std::hint::spin_loop();
            busy[thread].fetch_sub(1, Ordering::SeqCst);
        });
    }
}

#[test]
fn many_short_jobs_see_each_others_writes() {
    let mut pool = Pool::new(3).unwrap();
    let mut values = vec![0_u64; 37];
    for round in 1..=3000 {
        pool.run_pieces(&mut values, 5, |_, piece, _| piece.iter_mut().for_each(|it| *it += round));
    }
    assert!(values.iter().all(|&it| it == 3000 * 3001 / 2));
}

#[test]
fn sleeping_workers_wake_up() {
    let mut pool = Pool::new(2).unwrap();
    for _ in 0..5 {
        thread::sleep(SPIN * 20);
        let by_worker = AtomicUsize::new(0);
        pool.run(2, |_, thread| {
            by_worker.fetch_add(thread, Ordering::Relaxed);
            // Long enough that the worker takes the second task unless it never wakes.
            let start = Instant::now();
            while by_worker.load(Ordering::Relaxed) == 0 && start.elapsed() < Duration::from_secs(10) {
                thread::yield_now();
            }
        });
        assert!(by_worker.load(Ordering::Relaxed) > 0);
    }
}

#[test]
fn a_slow_worker_is_waited_for() {
    let mut pool = Pool::new(2).unwrap();
    let done = AtomicUsize::new(0);
    pool.run(2, |_, thread| {
        if thread == 1 {
            thread::sleep(Duration::from_millis(20));
        }
        done.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(done.load(Ordering::Relaxed), 2);
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
    let mut pool = Pool::new(3).unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        pool.run(10, |index, _| assert_ne!(index, 7, "task seven"));
    }));
    assert!(outcome.is_err());
    let count = AtomicUsize::new(0);
    pool.run(10, |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(count.load(Ordering::Relaxed), 10);
}
