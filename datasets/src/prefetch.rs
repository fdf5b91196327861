//! Batches made ahead by one thread behind a bounded channel.

use std::{
    sync::mpsc::{Receiver, sync_channel},
    thread::{Builder, JoinHandle},
};

use crate::{Batch, DataError};

/// Batches that wait in the channel. Two hide the making of one batch behind the training on another; more would only
/// hold memory that a method's peak is then blamed for.
const DEPTH: usize = 2;

/// The batches of one epoch, in order.
///
/// At most two batches wait and one is in the making. Dropping the iterator early ends the thread and waits for it:
/// at most for the one batch in the making.
pub struct Batches {
    epoch: u64,
    left: usize,
    receiver: Option<Receiver<Batch>>,
    worker: Option<JoinHandle<()>>,
    failure: Option<DataError>,
}

impl Batches {
    /// Starts the thread that calls `make(0)`, `make(1)` up to `batches`.
    pub(crate) fn start(epoch: u64, batches: usize, make: impl Fn(usize) -> Batch + Send + 'static) -> Self {
        let (sender, receiver) = sync_channel(DEPTH);
        let work = move || {
            for batch in 0..batches {
                // The other end is gone when the iterator was dropped.
                if sender.send(make(batch)).is_err() {
                    return;
                }
            }
        };
        let (worker, failure) = match Builder::new().name("prefetch".to_owned()).spawn(work) {
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
        if let Some(batch) = self.receiver.as_ref().and_then(|receiver| receiver.recv().ok()) {
            self.left -= 1;
            return Some(Ok(batch));
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
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    fn numbered(batch: usize) -> Batch {
        Batch { pixels: Vec::new(), labels: vec![batch as u32], indices: Vec::new() }
    }

    #[test]
    fn batches_come_in_order_and_end() {
        let mut batches = Batches::start(0, 10, numbered);
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
            let mut batches = Batches::start(0, 1_000_000, move |batch| {
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
    fn a_thread_that_dies_is_one_error_then_the_end() {
        let mut batches = Batches::start(4, 5, |batch| {
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
