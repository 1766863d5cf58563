//! The compute threads.
//!
//! [`Pool::run`] calls a closure for every task index, on the calling thread and the pool's workers together.
//! Tasks are handed out one by one, so a thread that the system takes away for a while delays only the task it
//! holds; a worker that is still asleep when the last task is taken is not waited for. Which thread computes a
//! task never changes a result.
//!
//! Between two calls workers spin for [`SPIN`], which covers the gaps inside a forward pass, then sleep: an idle
//! engine uses no CPU, and on a machine shared with other processes a spinning thread never holds a core for
//! long.
//!
//! # Protocol
//! `state` is `epoch | open | entered`. The caller writes the job, then opens a new epoch. A worker enters by
//! adding 1 to `entered`, which succeeds only while that epoch is open. The caller closes the epoch, after which
//! nobody enters, and waits until `entered` is 0. So the job is alive whenever a worker is inside.
#![expect(unsafe_code, reason = "a job that borrows the caller's stack is shared with other threads")]

mod cpus;

use std::any::Any;
use std::cell::UnsafeCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

pub use cpus::default_threads;

/// How long a thread without work looks for some before it sleeps.
const SPIN: Duration = Duration::from_micros(40);

/// `state`: the bit that is set while workers may enter.
const OPEN: u64 = 1 << 16;
/// `state`: workers inside.
const ENTERED: u64 = OPEN - 1;
/// `state`: one epoch further.
const EPOCH: u64 = OPEN << 1;

/// A closure for all threads: called with the task index and the index of the thread that runs it.
type Task<'a> = dyn Fn(usize, usize) + Sync + 'a;

/// What is being computed.
#[derive(Clone, Copy)]
struct Job {
    /// Valid while the epoch is open or someone is inside.
    task: *const Task<'static>,
    n_tasks: usize,
}

struct Shared {
    state: AtomicU64,
    /// Written by the caller while no epoch is open and nobody is inside.
    job: UnsafeCell<Option<Job>>,
    /// The next task to hand out.
    next: AtomicUsize,
    stop: AtomicBool,
    /// Workers that sleep, or are about to.
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
    /// The caller, when it sleeps until the last worker has left.
    waiting_caller: Mutex<Option<Thread>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: every field but `job` is `Sync` and `Send` by itself. `job` is written only by the caller of `run` (one
// at a time: `run` takes `&mut self`) while no worker is inside, and read only by workers inside; entering and
// leaving go through `state` with acquire and release. The closure behind it is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer in `job` is followed only inside an epoch, in which its target lives.
unsafe impl Send for Shared {}

/// Compute threads. The thread that calls [`Pool::run`] is one of them.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts a pool of `threads` (at least 1), the caller of [`Pool::run`] included.
    ///
    /// When the pool takes every core this process may use, its workers are bound to one core each. A smaller
    /// pool is left to the system's scheduler, since its neighbour would choose the same cores.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn new(threads: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
            waiting_caller: Mutex::new(None),
            panic: Mutex::new(None),
        });
        let cores = cpus::allowed_cores();
        let mut pool = Self { shared, workers: Vec::new() };
        for worker in 1..threads {
            let core = (threads == cores.len()).then(|| cores[worker]);
            let shared = Arc::clone(&pool.shared);
            let thread = thread::Builder::new().name(format!("compute-{worker}")).spawn(move || {
                if let Some(core) = core {
                    cpus::pin_current_thread(core);
                }
                shared.work(worker);
            })?;
            pool.workers.push(thread);
        }
        Ok(pool)
    }

    /// Threads that compute, the caller included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task(index, thread)` once for each index below `n_tasks` and returns when all calls have. `thread`
    /// is below [`Pool::threads`], and no two calls at the same time have the same.
    ///
    /// # Panics
    /// When a call panics: with its payload, after all others have returned.
    pub fn run(&mut self, n_tasks: usize, task: impl Fn(usize, usize) + Sync) {
        if self.workers.is_empty() || n_tasks <= 1 {
            return (0..n_tasks).for_each(|index| task(index, 0));
        }
        self.shared.open(&task, n_tasks);
        self.shared.run_tasks(&task, n_tasks, 0);
        self.shared.close();
        if let Some(payload) = lock(&self.shared.panic).take() {
            resume_unwind(payload);
        }
    }

    /// Splits `data` into pieces of `piece_len` elements (the last may be shorter) and calls
    /// `task(index, piece, thread)` for each, as [`Pool::run`] does.
    ///
    /// # Panics
    /// When `piece_len` is 0, or a call panics.
    pub fn run_pieces<T: Send>(
        &mut self,
        data: &mut [T],
        piece_len: usize,
        task: impl Fn(usize, &mut [T], usize) + Sync,
    ) {
        let pieces = SharedSlice::new(data);
        self.run(pieces.len().div_ceil(piece_len), |index, thread| {
            let start = index * piece_len;
            let len = piece_len.min(pieces.len() - start);
            // SAFETY: each index is given out once, and different indices name pieces that do not overlap.
            task(index, unsafe { pieces.slice(start, len) }, thread);
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        drop(lock(&self.shared.sleep));
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // Workers catch the panics of tasks, so there is nothing to learn from joining but the end.
            let _ = worker.join();
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish_non_exhaustive()
    }
}

impl Shared {
    /// Publishes a job and lets workers in.
    fn open(&self, task: &Task<'_>, n_tasks: usize) {
        let task: *const Task<'_> = task;
        // SAFETY: only the lifetime in the type changes. `close` returns before the borrow ends, and nobody
        // follows the pointer after it: `run` cannot unwind in between, because `run_tasks` catches panics.
        let task: *const Task<'static> = unsafe { std::mem::transmute(task) };
        // SAFETY: the last epoch was closed and left by all, so no other thread looks at `job`.
        unsafe { *self.job.get() = Some(Job { task, n_tasks }) };
        self.next.store(0, Ordering::Relaxed);
        let epoch = self.state.load(Ordering::Relaxed) & !(OPEN | ENTERED);
        self.state.store((epoch + EPOCH) | OPEN, Ordering::SeqCst);
        // A worker announces itself before its last look at `state`: either it sees this epoch or is seen here.
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.sleep));
            self.wake.notify_all();
        }
    }

    /// Keeps workers from entering and waits for those inside.
    fn close(&self) {
        let mut state = self.state.fetch_and(!OPEN, Ordering::SeqCst) & !OPEN;
        let patience = Instant::now();
        while state & ENTERED != 0 && patience.elapsed() < SPIN {
            std::hint::spin_loop();
            state = self.state.load(Ordering::Acquire);
        }
        if state & ENTERED == 0 {
            return;
        }
        *lock(&self.waiting_caller) = Some(thread::current());
        while self.state.load(Ordering::SeqCst) & ENTERED != 0 {
            thread::park();
        }
        lock(&self.waiting_caller).take();
    }

    /// Takes tasks until there are none left. A panic is kept for the caller.
    fn run_tasks(&self, task: &Task<'_>, n_tasks: usize, thread: usize) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let index = self.next.fetch_add(1, Ordering::Relaxed);
                if index >= n_tasks {
                    return;
                }
                task(index, thread);
            }
        }));
        if let Err(payload) = outcome {
            lock(&self.panic).get_or_insert(payload);
        }
    }

    /// The life of a worker.
    fn work(&self, worker: usize) {
        let mut seen = 0;
        while let Some(epoch) = self.next_epoch(seen) {
            seen = epoch;
            if self.enter(epoch) {
                // SAFETY: this thread is inside the epoch: the job was written before it opened, nobody writes
                // it before it is left, and the closure lives until then.
                let (task, n_tasks) = unsafe {
                    let Some(job) = *self.job.get() else { unreachable!("an epoch opens with a job") };
                    (&*job.task, job.n_tasks)
                };
                self.run_tasks(task, n_tasks, worker);
                self.leave();
            }
        }
    }

    /// Waits for an open epoch other than `seen`: a little while awake, then asleep. `None` when the pool ends.
    fn next_epoch(&self, seen: u64) -> Option<u64> {
        let look = || {
            let state = self.state.load(Ordering::SeqCst);
            (state & OPEN != 0).then_some(state & !(OPEN | ENTERED)).filter(|&epoch| epoch != seen)
        };
        let patience = Instant::now();
        while patience.elapsed() < SPIN {
            for _ in 0..32 {
                if let Some(epoch) = look() {
                    return Some(epoch);
                }
                std::hint::spin_loop();
            }
        }
        let mut guard = lock(&self.sleep);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let found = loop {
            if self.stop.load(Ordering::SeqCst) {
                break None;
            }
            if let Some(epoch) = look() {
                break Some(epoch);
            }
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        };
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        found
    }

    /// Goes inside `epoch` if it is still open.
    fn enter(&self, epoch: u64) -> bool {
        self.state
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |state| {
                (state & !ENTERED == epoch | OPEN).then_some(state + 1)
            })
            .is_ok()
    }

    /// Goes outside and wakes a caller that waits for the last one.
    fn leave(&self) {
        let state = self.state.fetch_sub(1, Ordering::SeqCst) - 1;
        if state & (OPEN | ENTERED) == 0
            && let Some(caller) = lock(&self.waiting_caller).take()
        {
            caller.unpark();
        }
    }
}

/// A mutable slice whose parts are given to several threads.
pub(crate) struct SharedSlice<'a, T> {
    start: *mut T,
    len: usize,
    borrow: std::marker::PhantomData<&'a mut [T]>,
}

// SAFETY: it hands out exclusive parts of a slice of `T: Send`, and `slice` demands that they do not overlap.
unsafe impl<T: Send> Sync for SharedSlice<'_, T> {}

impl<'a, T> SharedSlice<'a, T> {
    /// Borrows `data` until the value is gone.
    pub(crate) fn new(data: &'a mut [T]) -> Self {
        Self { start: data.as_mut_ptr(), len: data.len(), borrow: std::marker::PhantomData }
    }

    /// Elements in all.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// `len` elements from `start`.
    ///
    /// # Safety
    /// No two slices that are alive at the same time may overlap.
    ///
    /// # Panics
    /// When the part reaches beyond the end.
    #[expect(clippy::mut_from_ref, reason = "the caller proves that the parts are disjoint")]
    pub(crate) unsafe fn slice(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start <= self.len && len <= self.len - start, "part reaches beyond the slice");
        // SAFETY: the part lies inside the borrowed slice (asserted), and is exclusive (the caller's promise).
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}

/// Locks a mutex whose holder may have panicked: what it guards is valid after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
