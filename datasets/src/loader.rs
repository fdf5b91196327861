//! Batches of a split, epoch by epoch.

use std::sync::{Arc, Mutex, PoisonError};

use keys::Key;
use rayon::prelude::*;

use crate::{
    Batches, DataError, Dataset, Protocol, Split,
    augment::{Placement, Scale, Small, mix::Mixed},
    pipeline::Pipeline,
    prefetch::Work,
    protocol::Named,
    subset::balanced_prefix,
    transform::{Scratch, Source as Image},
};

/// Samples side by side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Images, `[B, C, H, W]`.
    pub pixels: Vec<f32>,
    /// Classes, `[B]`.
    pub labels: Vec<u32>,
    /// Places of the samples in their split's files, `[B]`.
    pub indices: Vec<u32>,
    /// How pixels and labels were mixed, where the protocol mixes.
    pub mixed: Option<Mixed>,
}

/// What makes batches of one split under one protocol.
///
/// Every number depends on the key, the epoch and the sample alone: the order of an epoch comes from
/// `key.fork("order").index(epoch)`, what is drawn for a sample from `key.fork("augment").index(epoch).index(sample)`.
/// Neither the batch size nor any thread has a say in it. Mixing alone is a batch's, from
/// `key.fork("mix").index(epoch).index(batch)`. The test split comes in file order and is not augmented.
#[derive(Clone)]
pub struct Loader {
    source: Arc<Source>,
    batch_size: usize,
    drop_last: bool,
}

/// All that a batch is made from, shared with the prefetch thread.
struct Source {
    dataset: Arc<dyn Dataset>,
    split: Split,
    protocol: Protocol,
    shape: [usize; 3],
    key: Key,
    scale: Scale,
    /// The samples in use, in file order.
    samples: Arc<[u32]>,
    /// The epoch that was asked for last, and its order: an epoch's batches one by one shuffle once.
    shuffled: Mutex<Option<(u64, Arc<[u32]>)>>,
    work: Arc<Work>,
}

impl Loader {
    /// A loader of one split; `drop_last` leaves a last batch out that is not full.
    ///
    /// # Errors
    /// When the protocol does not fit the data set, or the batch size is 0 or larger than the number of samples in use. A
    /// larger one would yield no batch at all with `drop_last`, and a smaller batch than was asked for without.
    pub fn new(
        dataset: Arc<dyn Dataset>,
        split: Split,
        protocol: Protocol,
        batch_size: usize,
        key: Key,
        drop_last: bool,
    ) -> Result<Self, DataError> {
        let card = dataset.card();
        protocol.check(card)?;
        if dataset.encoded().is_some() && protocol.named.is_none() {
            let reason =
                "photographs have every size, and only a named protocol says what is seen of them".to_owned();
            return Err(DataError::Unfit { protocol: protocol.id(), dataset: card.id, reason });
        }
        let limit = match split {
            Split::Train => protocol.train_limit,
            Split::Test => protocol.test_limit,
        };
        let samples: Arc<[u32]> = balanced_prefix(dataset.as_ref(), split, limit)?.into();
        if !(1..=samples.len()).contains(&batch_size) {
            let available = samples.len();
            return Err(DataError::BatchSize { split: split.name(), available, found: batch_size });
        }
        let statistics = match &protocol.named {
            Some(Named(pipeline)) => Some((&pipeline.statistics.mean[..], &pipeline.statistics.std[..])),
            None => protocol.normalise.then_some((card.mean, card.std)),
        };
        let scale = Scale::new(card.shape[0], statistics);
        let shape = protocol.shape(card, split);
        let (shuffled, work) = (Mutex::default(), Arc::default());
        let source =
            Arc::new(Source { dataset, split, protocol, shape, key, scale, samples, shuffled, work });
        Ok(Self { source, batch_size, drop_last })
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

    /// Shape of a full batch, `[B, C, H, W]`.
    #[must_use]
    pub fn shape(&self) -> [usize; 4] {
        let [channels, height, width] = self.source.shape;
        [self.batch_size, channels, height, width]
    }

    /// Images made so far by all epochs of this loader and its clones, and the seconds that making them took: what the
    /// loader can do, however long anyone waited for it or it for anyone.
    #[must_use]
    pub fn throughput(&self) -> Throughput {
        self.source.work.read()
    }

    /// One batch of an epoch, made on the calling thread and its pool: the same bytes as in [`Loader::epoch`].
    ///
    /// # Errors
    /// When a sample can't be read; the message names its file.
    pub fn batch(&self, epoch: u64, batch: usize) -> Result<Batch, DataError> {
        let mut made = Batch::default();
        self.batch_into(epoch, batch, &mut made)?;
        Ok(made)
    }

    /// [`Loader::batch`] into the memory of a batch that is used up, of which nothing is left: for who makes many and keeps
    /// none.
    ///
    /// # Errors
    /// As [`Loader::batch`]; what is in `into` then is no batch.
    pub fn batch_into(&self, epoch: u64, batch: usize, into: &mut Batch) -> Result<(), DataError> {
        let order = self.source.order(epoch);
        let start = (batch * self.batch_size).min(order.len());
        let end = order.len().min(start + self.batch_size);
        self.source.batch(epoch, batch, &order[start..end], into)
    }

    /// The batches of one epoch, made ahead by one background thread. Dropping the iterator ends the thread.
    #[must_use]
    pub fn epoch(&self, epoch: u64) -> Batches {
        let source = Arc::clone(&self.source);
        let (batches, batch_size) = (self.batches(), self.batch_size);
        let order = source.order(epoch);
        let work = Arc::clone(&source.work);
        let make = move |batch: usize| {
            let start = batch * batch_size;
            let end = order.len().min(start + batch_size);
            let mut made = Batch::default();
            source.batch(epoch, batch, &order[start..end], &mut made)?;
            Ok(made)
        };
        Batches::start(epoch, batches, work, make)
    }
}

/// What a loader has done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throughput {
    /// Images.
    pub images: u64,
    /// Seconds of making them.
    pub seconds: f64,
}

impl Throughput {
    /// Images a second.
    #[must_use]
    pub fn images_per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.images as f64 / self.seconds } else { 0.0 }
    }
}

impl Source {
    /// The samples in the order of an epoch.
    fn order(&self, epoch: u64) -> Arc<[u32]> {
        if self.split == Split::Test {
            return Arc::clone(&self.samples);
        }
        let mut last = self.shuffled.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((known, order)) if *known == epoch => Arc::clone(order),
            _ => {
                let mut order = self.samples.to_vec();
                self.key.fork("order").index(epoch).stream().shuffle(&mut order);
                let order: Arc<[u32]> = order.into();
                *last = Some((epoch, Arc::clone(&order)));
                order
            }
        }
    }

    fn batch(&self, epoch: u64, batch: usize, order: &[u32], into: &mut Batch) -> Result<(), DataError> {
        let augment = self.key.fork("augment").index(epoch);
        let size: usize = self.shape.iter().product();
        let Batch { pixels, labels, indices, mixed } = into;
        indices.clear();
        indices.extend_from_slice(order);
        labels.clear();
        labels.extend(order.iter().map(|&index| self.dataset.label(self.split, index as usize)));
        let mirror = |label: &mut u32, mirrored: bool| {
            if mirrored && self.protocol.swap_labels {
                *label = self.dataset.card().mirror.label(*label);
            }
        };
        match self.protocol.named {
            Some(Named(pipeline)) if self.dataset.encoded().is_some() || !pipeline.is_placement() => {
                // Each job writes all numbers of its sample, so what is there already need not be cleared.
                pixels.resize(order.len() * size, 0.0);
                let jobs = pixels.par_chunks_exact_mut(size).zip(labels.par_iter_mut().zip(order));
                jobs.try_for_each_init(Scratch::default, |scratch, (target, (label, &index))| {
                    let mirrored = self.pipeline(pipeline, index, augment, scratch, target)?;
                    mirror(label, mirrored);
                    Ok::<_, DataError>(())
                })?;
            }
            _ => {
                let place = |(label, &index): (&mut u32, &u32)| {
                    let placement = match self.split {
                        Split::Train => {
                            let choices = (self.protocol.flip, self.protocol.shift);
                            Placement::draw(choices, augment.index(u64::from(index)))
                        }
                        Split::Test => Placement::AS_IS,
                    };
                    mirror(label, placement.mirrored);
                    (self.dataset.image(self.split, index as usize), placement)
                };
                let images: Vec<_> = labels.iter_mut().zip(order).map(place).collect();
                let shift = if self.split == Split::Train { self.protocol.shift } else { 0 };
                pixels.clear();
                pixels.reserve_exact(order.len() * size);
                Small { images: &images, shape: self.shape, shift, scale: &self.scale }.append_to(pixels);
            }
        }
        *mixed = match (self.split, self.protocol.mixing()) {
            (Split::Train, Some(mix)) => {
                let key = self.key.fork("mix").index(epoch).index(batch as u64);
                let [channels, height, width] = self.shape;
                mix.apply(pixels, labels, [1, channels, height, width], epoch, key)
            }
            _ => None,
        };
        Ok(())
    }

    fn pipeline(
        &self,
        pipeline: &Pipeline,
        index: u32,
        augment: Key,
        scratch: &mut Scratch,
        target: &mut [f32],
    ) -> Result<bool, DataError> {
        let place = index as usize;
        let name = || self.dataset.name(self.split, place);
        let key = augment.index(u64::from(index));
        let with = (&self.scale, scratch);
        match self.dataset.encoded() {
            Some(pictures) => {
                let bytes = pictures.bytes(self.split, place)?;
                pipeline.write(&name, Image::Encoded(&bytes), self.split, key, with, target)
            }
            None => {
                let planes = self.dataset.image(self.split, place);
                let source = Image::Planes(planes, self.dataset.card().shape);
                pipeline.write(&name, source, self.split, key, with, target)
            }
        }
    }
}
