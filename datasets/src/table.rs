//! The table of data sets: one line each.

use std::{path::Path, sync::Arc};

use crate::{
    Card, DataError, Dataset, Extent,
    sets::{cifar10, cifar100, fashion_mnist, fashion_mnist_mini, imagenet, synth},
};

/// A data set in memory, or why it could not be read.
pub type Opened = Result<Arc<dyn Dataset>, DataError>;

/// A data set that can be opened by its id.
#[derive(Clone, Copy, Debug)]
pub struct DatasetEntry {
    /// Id on the command line and in records.
    pub id: &'static str,
    /// The facts of the set.
    pub card: &'static Card,
    /// Reads the set from a folder; a set that ships ignores the folder.
    pub open: fn(Option<&Path>) -> Opened,
}

/// Every data set, in the order of `list`.
pub static DATASETS: &[DatasetEntry] = &[
    fashion_mnist_mini::ENTRY,
    fashion_mnist::ENTRY,
    cifar10::ENTRY,
    cifar100::ENTRY,
    imagenet::ENTRY,
    synth::TEN,
    synth::HUNDRED,
    synth::IMAGENET,
    synth::IMAGENET_10,
];

/// The data set of an id.
#[must_use]
pub fn find(id: &str) -> Option<&'static DatasetEntry> {
    DATASETS.iter().find(|entry| entry.id == id)
}

/// A part of a set from a folder: any number of samples, for small trees and for a look at what is there.
///
/// # Errors
/// When the set has no such form, or the files break a rule of their format.
pub fn open_part(id: &str, folder: &Path) -> Opened {
    match id {
        "fashion-mnist" => fashion_mnist::open_extent(Some(folder), Extent::Part),
        "cifar10" => cifar10::open_extent(Some(folder), Extent::Part),
        "cifar100" => cifar100::open_extent(Some(folder), Extent::Part),
        "imagenet" => imagenet::open_extent(Some(folder), Extent::Part),
        _ => Err(DataError::NotRead {
            file: folder.display().to_string(),
            found: "asked for as a part of a set that is read whole or not at all",
            way_out: "parts are read of fashion-mnist, cifar10, cifar100 and imagenet",
        }),
    }
}
