//! The table of data sets: one line each.

use std::{path::Path, sync::Arc};

use crate::{
    Card, DataError, Dataset,
    sets::{cifar10, fashion_mnist, fashion_mnist_mini},
};

/// A data set in memory, or why it could not be read.
pub type Opened = Result<Arc<dyn Dataset>, DataError>;

/// A data set that can be opened by its id.
#[derive(Debug)]
pub struct DatasetEntry {
    /// Id on the command line and in records.
    pub id: &'static str,
    /// The facts of the set.
    pub card: &'static Card,
    /// Reads the set from a folder; a set that ships ignores the folder.
    pub open: fn(Option<&Path>) -> Opened,
}

/// Every data set, in the order of `list`.
pub static DATASETS: &[DatasetEntry] = &[fashion_mnist_mini::ENTRY, fashion_mnist::ENTRY, cifar10::ENTRY];

/// The data set of an id.
#[must_use]
pub fn find(id: &str) -> Option<&'static DatasetEntry> {
    DATASETS.iter().find(|entry| entry.id == id)
}
