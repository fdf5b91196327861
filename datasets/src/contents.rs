//! A data set held whole in memory.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::{Card, DataError, Dataset, Split, hex::hex};

/// The samples of one split.
#[derive(Default)]
pub(crate) struct Samples {
    /// Images one after the other, each `[C, H, W]`.
    pub(crate) pixels: Vec<u8>,
    /// One label a sample, each below the card's `classes`.
    pub(crate) labels: Vec<u8>,
}

/// Both splits with their card.
pub(crate) struct Contents {
    card: &'static Card,
    train: Samples,
    test: Samples,
    manifest: OnceLock<String>,
}

impl Contents {
    /// Samples that the reader has checked already, with [`check_count`] and [`check_labels`].
    pub(crate) fn new(card: &'static Card, train: Samples, test: Samples) -> Self {
        debug_assert!(
            [&train, &test].iter().all(|split| split.pixels.len() == split.labels.len() * card.pixels())
        );
        Self { card, train, test, manifest: OnceLock::new() }
    }

    fn split(&self, split: Split) -> &Samples {
        match split {
            Split::Train => &self.train,
            Split::Test => &self.test,
        }
    }

    fn hash(&self) -> String {
        let mut digest = Sha256::new();
        let mut number = |value: usize| digest.update((value as u64).to_le_bytes());
        self.card.shape.iter().for_each(|&side| number(side));
        number(self.train.labels.len());
        number(self.test.labels.len());
        for split in [&self.train, &self.test] {
            digest.update(&split.labels);
            digest.update(&split.pixels);
        }
        hex(&digest.finalize())
    }
}

impl Dataset for Contents {
    fn card(&self) -> &Card {
        self.card
    }

    fn len(&self, split: Split) -> usize {
        self.split(split).labels.len()
    }

    fn image(&self, split: Split, index: usize) -> &[u8] {
        let size = self.card.pixels();
        &self.split(split).pixels[index * size..][..size]
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        u32::from(self.split(split).labels[index])
    }

    fn manifest(&self) -> &str {
        self.manifest.get_or_init(|| self.hash())
    }
}

/// Refuses a file with another number of samples than its split has: an id stands for one set, not for a part of it.
pub(crate) fn check_count(
    card: &Card,
    split: Split,
    expected: usize,
    file: &str,
    what: &'static str,
    found: usize,
) -> Result<(), DataError> {
    if found == expected {
        return Ok(());
    }
    Err(DataError::Count {
        file: file.to_owned(),
        dataset: card.id,
        split: split.name(),
        what,
        expected,
        found,
    })
}

/// Refuses labels that are no classes.
pub(crate) fn check_labels(file: &str, labels: &[u8], classes: usize) -> Result<(), DataError> {
    match labels.iter().enumerate().find(|&(_, &label)| usize::from(label) >= classes) {
        None => Ok(()),
        Some((sample, &found)) => Err(DataError::Label { file: file.to_owned(), classes, found, sample }),
    }
}
