//! The handing out of an op's tasks to the threads of the pool.
//!
//! An op is cut into tasks by its shapes alone, and each task writes what no other does: who takes which changes no bit. The
//! tasks are dealt in as many runs as there are threads; a thread takes its own run first, so that what it left in its cache
//! by the op before is there, and then helps with the others'.
//!
//! A training step on the CPU is some thousand ops of a millisecond each, one after the other. A thread that sleeps in
//! between is woken by the system, which costs tens of microseconds on a machine of one's own and more on a virtual one;
//! so whoever waits for an op's last task, or for the next op's first, stays [awake](PATIENCE) for a moment before it sleeps.
//! Between two looks it offers its core to whoever else wants one.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};

use crate::storage::Disjoint;

/// Ops with fewer elements than this run on the calling thread.
pub(crate) const SERIAL_BELOW: usize = 1 << 15;

/// How often a thread looks for work before it sleeps: some tenths of a millisecond where no one else wants its core.
const PATIENCE: usize = 1000;

/// Runs `f(index, chunk)` on every chunk, in parallel when there is enough to do.
pub(crate) fn each_chunk<T: Send>(all: &mut [T], chunk: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let (len, chunk) = (all.len(), chunk.max(1));
    let parts = Disjoint::new(all);
    each_task(len.div_ceil(chunk), len, |i| {
        // SAFETY: each task takes the one chunk of its number.
        f(i, unsafe { parts.part(i * chunk..(i * chunk + chunk).min(len)) });
    });
}

/// Runs `f` for each of `tasks`, in parallel when they touch `elements` enough.
pub(crate) fn each_task(tasks: usize, elements: usize, f: impl Fn(usize) + Sync) {
    let threads = threads_for(tasks, elements);
    if threads < 2 {
        (0..tasks).for_each(f);
    } else {
        let op = Op::new(tasks, threads, f);
        rayon::join_context(|_| op.lead(), |there| op.help(threads - 1, there.migrated()));
    }
}

/// Maps `f` over `tasks` and keeps the order.
pub(crate) fn map_tasks<R: Send>(tasks: usize, elements: usize, f: impl Fn(usize) -> R + Sync) -> Vec<R> {
    if threads_for(tasks, elements) < 2 {
        return (0..tasks).map(f).collect();
    }
    let mut results: Vec<Option<R>> = (0..tasks).map(|_| None).collect();
    let places = Disjoint::new(&mut results);
    each_task(tasks, elements, |i| {
        // SAFETY: each task takes the one place of its number.
        let place = unsafe { places.part(i..i + 1) };
        place[0] = Some(f(i));
    });
    results.into_iter().flatten().collect()
}

/// Threads that share an op.
fn threads_for(tasks: usize, elements: usize) -> usize {
    if elements < SERIAL_BELOW { 1 } else { rayon::current_num_threads().min(tasks) }
}

/// An op under way.
struct Op<F> {
    runs: Vec<Run>,
    unfinished: AtomicUsize,
    f: F,
}

/// Neighbouring tasks, taken in turn. Alone in its cache lines, as its owner takes from it all the time.
#[repr(align(128))]
struct Run {
    next: AtomicUsize,
    end: usize,
}

impl<F: Fn(usize) + Sync> Op<F> {
    fn new(tasks: usize, threads: usize, f: F) -> Self {
        let start = |i: usize| i * tasks / threads;
        let runs = (0..threads).map(|i| Run { next: AtomicUsize::new(start(i)), end: start(i + 1) });
        Op { runs: runs.collect(), unfinished: AtomicUsize::new(tasks), f }
    }

    /// Takes tasks until none is left to take.
    fn work(&self) {
        let own = rayon::current_thread_index().unwrap_or(0) % self.runs.len();
        let (before, from) = self.runs.split_at(own);
        for run in from.iter().chain(before) {
            loop {
                let task = run.next.fetch_add(1, Relaxed);
                if task >= run.end {
                    break;
                }
                (self.f)(task);
                self.unfinished.fetch_sub(1, AcqRel);
            }
        }
    }

    /// The part of the thread that called: works, and waits for what others have taken. A task that panics never finishes;
    /// then patience ends, and the panic comes with the helper's.
    fn lead(&self) {
        self.work();
        for _ in 0..PATIENCE {
            if self.unfinished.load(Acquire) == 0 {
                break;
            }
            std::thread::yield_now();
        }
    }

    /// The part of `helpers` others, on one that has come to help, or on the thread that called after all.
    fn help(&self, helpers: usize, has_come: bool) {
        if helpers > 1 {
            let half = helpers / 2;
            rayon::join_context(
                |_| self.help(helpers - half, has_come),
                |there| self.help(half, there.migrated()),
            );
        } else {
            self.work();
            if has_come {
                stay_awake();
            }
        }
    }
}

thread_local! {
    /// Whether this thread is about to stay, or stays, awake.
    static AWAKE: Cell<bool> = const { Cell::new(false) };
}

/// Lets this thread look for the next op's tasks for a moment, once it has nothing else to do.
fn stay_awake() {
    let Some(here) = rayon::current_thread_index() else { return };
    if AWAKE.get() {
        return;
    }
    rayon::spawn(move || {
        // Another may have taken it over, and has its own.
        if rayon::current_thread_index() != Some(here) || AWAKE.replace(true) {
            return;
        }
        let mut idle = 0;
        while idle < PATIENCE {
            if rayon::yield_now() == Some(rayon::Yield::Executed) {
                idle = 0;
            } else {
                idle += 1;
                std::thread::yield_now();
            }
        }
        AWAKE.set(false);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(threads: usize, f: impl FnOnce() + Send) {
        crate::threads::pool(threads, 0).unwrap().install(f);
    }

    #[test]
    fn each_task_runs_once_whatever_the_threads() {
        for threads in [1, 2, 3, 5, 8] {
            for tasks in [1, 2, 7, 64, 1000] {
                let runs: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                on(threads, || {
                    each_task(tasks, SERIAL_BELOW, |i| {
                        runs[i].fetch_add(1, Relaxed);
                    });
                });
                assert!(runs.iter().all(|runs| runs.load(Relaxed) == 1), "{threads} threads, {tasks} tasks");
            }
        }
    }

    #[test]
    fn results_and_chunks_keep_their_order() {
        on(3, || {
            assert_eq!(map_tasks(100, SERIAL_BELOW, |i| 3 * i), (0..300).step_by(3).collect::<Vec<_>>());
            let mut all = vec![0; SERIAL_BELOW + 5];
            each_chunk(&mut all, 1000, |i, chunk| chunk.fill(i));
            assert!(all.iter().enumerate().all(|(at, chunk)| *chunk == at / 1000));
        });
    }

    #[test]
    fn a_task_may_be_an_op_itself() {
        let runs = AtomicUsize::new(0);
        on(3, || {
            each_task(20, SERIAL_BELOW, |_| {
                each_task(20, SERIAL_BELOW, |_| {
                    runs.fetch_add(1, Relaxed);
                });
            });
        });
        assert_eq!(runs.into_inner(), 400);
    }

    #[test]
    fn a_task_that_panics_ends_its_op_and_nothing_else() {
        on(2, || {
            for bad in [0, 50, 99] {
                let op = || {
                    each_task(100, SERIAL_BELOW, |i| assert!(i != bad, "task {bad} must not run"));
                };
                assert!(std::panic::catch_unwind(op).is_err());
            }
            assert_eq!(map_tasks(9, SERIAL_BELOW, |i| i).len(), 9);
        });
    }
}
