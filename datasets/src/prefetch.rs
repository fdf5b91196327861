//! Batches made ahead by one thread behind a bounded channel.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread::{Builder, JoinHandle},
    time::Instant,
};

use crate::{Batch, DataError, Throughput};

/// Batches that wait in the channel. Two hide the making of one batch behind the training on another; more would only
/// hold memory that a method's peak is then blamed for.
const DEPTH: usize = 2;

/// Images made and the time that they took, counted by the threads that make them.
#[derive(Debug, Default)]
pub(crate) struct Work {
    images: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Work {
    pub(crate) fn read(&self) -> Throughput {
        let nanoseconds = self.nanoseconds.load(Ordering::Relaxed);
        Throughput { images: self.images.load(Ordering::Relaxed), seconds: nanoseconds as f64 * 1e-9 }
    }

    fn timed(&self, make: impl FnOnce() -> Result<Batch, DataError>) -> Result<Batch, DataError> {
        let began = Instant::now();
        let batch = make()?;
        self.images.fetch_add(batch.indices.len() as u64, Ordering::Relaxed);
        self.nanoseconds.fetch_add(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
        Ok(batch)
    }
}

/// The batches of one epoch, in order.
///
/// At most two batches wait and one is in the making. Dropping the iterator early ends the thread and waits for it:
/// at most for the one batch in the making.
pub struct Batches {
    epoch: u64,
    left: usize,
    receiver: Option<Receiver<Result<Batch, DataError>>>,
    worker: Option<JoinHandle<()>>,
    failure: Option<DataError>,
}

impl Batches {
    /// Starts the thread that calls `make(0)`, `make(1)` up to `batches`, or up to the first error.
    pub(crate) fn start(
        epoch: u64,
        batches: usize,
        work: Arc<Work>,
        make: impl Fn(usize) -> Result<Batch, DataError> + Send + 'static,
    ) -> Self {
        let (sender, receiver) = sync_channel(DEPTH);
        let run = move || {
            for batch in 0..batches {
                let made = work.timed(|| make(batch));
                let failed = made.is_err();
                // The other end is gone when the iterator was dropped.
                if sender.send(made).is_err() || failed {
                    return;
                }
            }
        };
        let (worker, failure) = match Builder::new().name("prefetch".to_owned()).spawn(run) {
            Ok(worker) => (Some(worker), None),
            Err(source) => (None, Some(DataError::Spawn { source })),
        };
        Self { epoch, left: batches, receiver: Some(receiver), worker, failure }
    }

    fn stop(&mut self) {
        // The receiver goes first: a sender that waits for room wakes with an error, and the join below ends.
        self.receiver = None;
        if let Some(worker) = self.worker.take() {
            // A panic of the thread has printed itself, and `next` has reported it if anyone asked for more.
            let _ = worker.join();
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(failure) = self.failure.take() {
            self.left = 0;
            return Some(Err(failure));
        }
        if self.left == 0 {
            return None;
        }
        match self.receiver.as_ref().and_then(|receiver| receiver.recv().ok()) {
            Some(Ok(batch)) => {
                self.left -= 1;
                return Some(Ok(batch));
            }
            Some(Err(error)) => {
                self.left = 0;
                self.stop();
                return Some(Err(error));
            }
            None => {}
        }
        let left = std::mem::take(&mut self.left);
        self.stop();
        Some(Err(DataError::Prefetch { epoch: self.epoch, left }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let items = if self.failure.is_some() { 1 } else { self.left };
        // A thread that fails turns the rest of the batches into one error.
        (items.min(1), Some(items))
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn numbered(batch: usize) -> Result<Batch, DataError> {
        Ok(Batch { labels: vec![batch as u32], ..Batch::default() })
    }

    #[test]
    fn batches_come_in_order_and_end() {
        let mut batches = Batches::start(0, 10, Arc::default(), numbered);
        for expected in 0..10 {
            assert_eq!(batches.next().unwrap().unwrap().labels, [expected]);
        }
        assert!(batches.next().is_none());
        assert!(batches.next().is_none());
    }

    #[test]
    fn dropping_early_ends_the_thread_and_frees_what_it_holds() {
        for taken in 0..4 {
            let made = Arc::new(AtomicUsize::new(0));
            let witness = Arc::clone(&made);
            let mut batches = Batches::start(0, 1_000_000, Arc::default(), move |batch| {
                witness.fetch_add(1, Ordering::SeqCst);
                numbered(batch)
            });
            for _ in 0..taken {
                batches.next().unwrap().unwrap();
            }
            drop(batches);
            // The thread has gone with its closure, and never ran further ahead than its bound.
            assert_eq!(Arc::strong_count(&made), 1);
            assert!(made.load(Ordering::SeqCst) <= taken + DEPTH + 1);
        }
    }

    #[test]
    fn an_error_of_the_work_comes_as_it_is_then_the_end() {
        let mut batches = Batches::start(0, 5, Arc::default(), |batch| match batch {
            2 => Err(DataError::Busy { file: "a.shard".to_owned() }),
            _ => numbered(batch),
        });
        assert_eq!(batches.by_ref().take(2).filter(Result::is_ok).count(), 2);
        assert!(batches.next().unwrap().unwrap_err().to_string().starts_with("a.shard"));
        assert!(batches.next().is_none());
    }

    #[test]
    fn a_thread_that_dies_is_one_error_then_the_end() {
        let mut batches = Batches::start(4, 5, Arc::default(), |batch| {
            assert!(batch < 2, "the panic that this test expects");
            numbered(batch)
        });
        assert!(batches.next().unwrap().is_ok());
        assert!(batches.next().unwrap().is_ok());
        let error = batches.next().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the prefetch thread ended with 3 batches of epoch 4 left");
        assert!(batches.next().is_none());
    }
}
