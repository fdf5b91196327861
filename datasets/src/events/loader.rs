//! Batches `[T, B, C, H, W]` of a frame set, epoch by epoch.

use std::{num::NonZeroUsize, sync::Arc};

use keys::Key;
use rayon::prelude::*;

use super::FrameSet;
use crate::{
    Batch, Batches, DataError, Split, Throughput, augment::mix::Mix, prefetch::Work, subset::balanced,
};

/// What makes batches of one split of a frame set.
///
/// Like [`crate::Loader`]: every number depends on the key, the epoch and the sample alone, never on the batch size or
/// the workers. An epoch's order comes from `key.fork("order").index(epoch)`, a sample's augmentation from
/// `key.fork("augment").index(epoch).index(sample)`. Mixing alone is a batch's, from
/// `key.fork("mix").index(epoch).index(batch)`. The test split comes in the set's order and is not augmented.
#[derive(Clone)]
pub struct FrameLoader {
    source: Arc<Source>,
    batch_size: usize,
    drop_last: bool,
    mix: Option<Mix>,
}

struct Source {
    set: Arc<dyn FrameSet>,
    split: Split,
    key: Key,
    workers: usize,
    samples: Vec<u32>,
    work: Arc<Work>,
}

impl FrameLoader {
    /// A loader of one split; `limit` takes the first so many samples, balanced over the classes; `drop_last` leaves a
    /// last batch out that is not full; `workers` threads read the samples of a batch.
    ///
    /// # Errors
    /// When the limit is out of range, or the batch size is 0 or larger than the number of samples in use.
    pub fn new(
        set: Arc<dyn FrameSet>,
        split: Split,
        limit: Option<usize>,
        (batch_size, drop_last): (usize, bool),
        key: Key,
        workers: NonZeroUsize,
    ) -> Result<Self, DataError> {
        let labels = (0..set.len(split)).map(|index| set.label(split, index));
        let samples = balanced(labels, set.card().classes, set.card().id, split, limit)?;
        if !(1..=samples.len()).contains(&batch_size) {
            let available = samples.len();
            return Err(DataError::BatchSize { split: split.name(), available, found: batch_size });
        }
        let work = Arc::default();
        let source = Arc::new(Source { set, split, key, workers: workers.get(), samples, work });
        Ok(Self { source, batch_size, drop_last, mix: None })
    }

    /// The loader with mixing within the batches of a training split; all frames of a sample are mixed alike.
    ///
    /// # Errors
    /// When labels are to be weighed by events, and the frames do not count events.
    pub fn mixed(self, mix: Mix) -> Result<Self, DataError> {
        let card = self.source.set.card();
        if mix.eventmix > 0.0 && !card.counts {
            let place = format!("mix.eventmix on {} under {}", card.id, card.protocol);
            let rule = "labels are weighed by events, so frames must be counts that nothing normalises";
            return Err(DataError::event_choice(place, rule, mix.eventmix));
        }
        Ok(Self { mix: Some(mix).filter(|_| self.source.split == Split::Train), ..self })
    }

    /// Samples in use, before a last batch is dropped.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.source.samples.len()
    }

    /// Batches in an epoch.
    #[must_use]
    pub fn batches(&self) -> usize {
        if self.drop_last {
            self.samples() / self.batch_size
        } else {
            self.samples().div_ceil(self.batch_size)
        }
    }

    /// Shape of a full batch, `[T, B, C, H, W]`.
    #[must_use]
    pub fn shape(&self) -> [usize; 5] {
        let [steps, channels, height, width] = self.source.set.card().shape;
        [steps, self.batch_size, channels, height, width]
    }

    /// The set behind the batches.
    #[must_use]
    pub fn set(&self) -> &Arc<dyn FrameSet> {
        &self.source.set
    }

    /// Reads every sample once, on the threads of the pool, and keeps nothing: a set that makes its recordings when they are
    /// asked for has made them then, and no epoch waits for that or shares the processor with it.
    ///
    /// # Errors
    /// As [`FrameSet::write`].
    pub fn touch(&self) -> Result<(), DataError> {
        let Source { set, split, samples, .. } = &*self.source;
        samples.par_iter().try_for_each_init(
            || vec![0.0; set.card().numbers()],
            |target, &index| set.write(*split, index as usize, None, target).map(|_| ()),
        )
    }

    /// Samples made so far by all epochs of this loader and its clones, and the seconds that making them took.
    #[must_use]
    pub fn throughput(&self) -> Throughput {
        self.source.work.read()
    }

    /// The batches of one epoch, made ahead as [`crate::Loader`] makes them. Their `pixels` are `[T, B, C, H, W]`.
    #[must_use]
    pub fn epoch(&self, epoch: u64) -> Batches {
        let source = Arc::clone(&self.source);
        let (batches, batch_size) = (self.batches(), self.batch_size);
        let order = source.order(epoch);
        let (work, mix) = (Arc::clone(&source.work), self.mix);
        let make = move |batch: usize| {
            let start = batch * batch_size;
            let end = order.len().min(start + batch_size);
            let mut made = source.batch(epoch, &order[start..end])?;
            if let Some(mix) = &mix {
                let key = source.key.fork("mix").index(epoch).index(batch as u64);
                let shape = source.set.card().shape;
                made.mixed = mix.apply(&mut made.pixels, &made.labels, shape, epoch, key);
            }
            Ok(made)
        };
        Batches::start(epoch, batches, work, make)
    }
}

impl Source {
    fn order(&self, epoch: u64) -> Vec<u32> {
        let mut order = self.samples.clone();
        if self.split == Split::Train {
            self.key.fork("order").index(epoch).stream().shuffle(&mut order);
        }
        order
    }

    fn batch(&self, epoch: u64, indices: &[u32]) -> Result<Batch, DataError> {
        let card = self.set.card();
        let [steps, ..] = card.shape;
        let (sample, frame) = (card.numbers(), card.numbers() / steps);
        let augment = self.key.fork("augment").index(epoch);
        let read = |indices: &[u32]| -> Result<(Vec<f32>, Vec<u32>), DataError> {
            let mut pixels = vec![0.0; indices.len() * sample];
            let mut labels = Vec::with_capacity(indices.len());
            for (target, &index) in pixels.chunks_exact_mut(sample).zip(indices) {
                let key = (self.split == Split::Train).then(|| augment.index(u64::from(index)));
                labels.push(self.set.write(self.split, index as usize, key, target)?);
            }
            Ok((pixels, labels))
        };
        let share = indices.len().div_ceil(self.workers).max(1);
        let parts: Vec<_> = if self.workers == 1 {
            vec![read(indices)]
        } else {
            std::thread::scope(|scope| {
                let threads: Vec<_> =
                    indices.chunks(share).map(|indices| scope.spawn(move || read(indices))).collect();
                let lost = || {
                    let rule = "a worker must end with its samples";
                    Err(DataError::event_choice(card.id, rule, "a panic"))
                };
                threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
            })
        };
        let mut batch = Batch {
            pixels: vec![0.0; indices.len() * sample],
            labels: Vec::with_capacity(indices.len()),
            indices: indices.to_vec(),
            mixed: None,
        };
        for part in parts {
            let (pixels, labels) = part?;
            for sample in pixels.chunks_exact(sample) {
                let place = batch.labels.len();
                for (step, from) in sample.chunks_exact(frame).enumerate() {
                    batch.pixels[(step * indices.len() + place) * frame..][..frame].copy_from_slice(from);
                }
                batch.labels.push(labels[place % share]);
            }
        }
        Ok(batch)
    }
}
