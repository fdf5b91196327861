//! Batches of a split, epoch by epoch.

use std::sync::Arc;

use keys::Key;

use crate::{
    Batches, DataError, Dataset, Protocol, Split,
    augment::{Placement, Scale},
    subset::balanced_prefix,
};

/// Samples side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Images, `[B, C, H, W]`.
    pub pixels: Vec<f32>,
    /// Classes, `[B]`.
    pub labels: Vec<u32>,
    /// Places of the samples in their split's files, `[B]`.
    pub indices: Vec<u32>,
}

/// What makes batches of one split under one protocol.
///
/// Every number depends on the key, the epoch and the sample alone: the order of an epoch comes from
/// `key.fork("order").index(epoch)`, the mirror and crop of a sample from
/// `key.fork("augment").index(epoch).index(sample)`. Neither the batch size nor any thread has a say in it. The test
/// split comes in file order and is not augmented.
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
    key: Key,
    scale: Scale,
    /// The samples in use, in file order.
    samples: Vec<u32>,
}

impl Loader {
    /// A loader of one split; `drop_last` leaves a last batch out that is not full.
    ///
    /// # Errors
    /// When the protocol's shift or limit is out of range for the data set, or the batch size is 0 or larger than
    /// the number of samples in use. A larger one would yield no batch at all with `drop_last`, and a smaller batch
    /// than was asked for without.
    pub fn new(
        dataset: Arc<dyn Dataset>,
        split: Split,
        protocol: Protocol,
        batch_size: usize,
        key: Key,
        drop_last: bool,
    ) -> Result<Self, DataError> {
        protocol.check(dataset.card())?;
        let limit = match split {
            Split::Train => protocol.train_limit,
            Split::Test => protocol.test_limit,
        };
        let samples = balanced_prefix(dataset.as_ref(), split, limit)?;
        if !(1..=samples.len()).contains(&batch_size) {
            let available = samples.len();
            return Err(DataError::BatchSize { split: split.name(), available, found: batch_size });
        }
        let scale = Scale::new(dataset.card(), protocol.normalise);
        let source = Arc::new(Source { dataset, split, protocol, key, scale, samples });
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
        let [channels, height, width] = self.source.dataset.card().shape;
        [self.batch_size, channels, height, width]
    }

    /// The batches of one epoch, made ahead by one background thread. Dropping the iterator ends the thread.
    #[must_use]
    pub fn epoch(&self, epoch: u64) -> Batches {
        let source = Arc::clone(&self.source);
        let (batches, batch_size) = (self.batches(), self.batch_size);
        let order = source.order(epoch);
        let make = move |batch: usize| {
            let start = batch * batch_size;
            let end = order.len().min(start + batch_size);
            source.batch(epoch, &order[start..end])
        };
        Batches::start(epoch, batches, make)
    }
}

impl Source {
    /// The samples in the order of an epoch.
    fn order(&self, epoch: u64) -> Vec<u32> {
        let mut order = self.samples.clone();
        if self.split == Split::Train {
            self.key.fork("order").index(epoch).stream().shuffle(&mut order);
        }
        order
    }

    fn batch(&self, epoch: u64, indices: &[u32]) -> Batch {
        let card = self.dataset.card();
        let augment = self.key.fork("augment").index(epoch);
        let mut pixels = vec![0.0; indices.len() * card.pixels()];
        for (target, &index) in pixels.chunks_exact_mut(card.pixels()).zip(indices) {
            let placement = match self.split {
                Split::Train => Placement::draw(&self.protocol, augment.index(u64::from(index))),
                Split::Test => Placement::AS_IS,
            };
            let image = self.dataset.image(self.split, index as usize);
            self.scale.write(image, card.shape, placement, target);
        }
        let labels = indices.iter().map(|&index| self.dataset.label(self.split, index as usize)).collect();
        Batch { pixels, labels, indices: indices.to_vec() }
    }
}
