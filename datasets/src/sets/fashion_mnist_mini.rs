//! A class-balanced tenth of Fashion-MNIST that ships with the project: 6,000 + 2,000 pictures.
//!
//! Provenance, licence, selection rule and checksums: `data/fashion-mnist-mini/README.md`.

use std::{path::Path, sync::Arc};

use super::fashion_mnist::{CLASS_NAMES, MEAN, STD, samples};
use crate::{Card, DataError, Dataset, DatasetEntry, Extent, Mirror, Split, contents::Contents};

static CARD: Card = Card {
    id: "fashion-mnist-mini",
    title: "Fashion-MNIST, 6,000 + 2,000",
    classes: 10,
    shape: [1, 28, 28],
    counts: [6_000, 2_000],
    licence: "MIT",
    source: "Zalando Research; chosen from Debian package dataset-fashion-mnist",
    needs_data_dir: false,
    // Those of the whole train split, so that a model sees both sets alike.
    mean: MEAN,
    std: STD,
    class_names: CLASS_NAMES,
    known_manifest: Some("87c363129401fddc7ef6c7b2d37cdc946f43c8fead0fd8071a118b81dd9c8ea6"),
    mirror: Mirror::Keeps,
    stand_in: None,
};

pub(crate) const ENTRY: DatasetEntry = DatasetEntry { id: "fashion-mnist-mini", card: &CARD, open };

/// Name and bytes of the shipped files: images and labels to learn from, images and labels to be judged on.
const FILES: [(&str, &[u8]); 4] = [
    (
        "train-images-idx3-ubyte.gz",
        include_bytes!("../../data/fashion-mnist-mini/train-images-idx3-ubyte.gz"),
    ),
    (
        "train-labels-idx1-ubyte.gz",
        include_bytes!("../../data/fashion-mnist-mini/train-labels-idx1-ubyte.gz"),
    ),
    ("t10k-images-idx3-ubyte.gz", include_bytes!("../../data/fashion-mnist-mini/t10k-images-idx3-ubyte.gz")),
    ("t10k-labels-idx1-ubyte.gz", include_bytes!("../../data/fashion-mnist-mini/t10k-labels-idx1-ubyte.gz")),
];

fn open(_: Option<&Path>) -> Result<Arc<dyn Dataset>, DataError> {
    let [train_images, train_labels, test_images, test_labels] =
        FILES.map(|(name, bytes)| (format!("fashion-mnist-mini/{name} (embedded)"), bytes.to_vec()));
    let train = samples(&CARD, Split::Train, Extent::Whole, [train_images, train_labels])?;
    let test = samples(&CARD, Split::Test, Extent::Whole, [test_images, test_labels])?;
    Ok(Arc::new(Contents::new(&CARD, train, test)))
}
