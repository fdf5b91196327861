//! Fashion-MNIST, whole, from a folder: 60,000 + 10,000 grey pictures of clothes, 28x28.
//!
//! H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
//! algorithms", 2017.

use std::{path::Path, sync::Arc};

use crate::{
    Card, DataError, Dataset, DatasetEntry, Extent, Mirror, Split,
    contents::{Contents, Samples, check_count, check_labels},
    encoded::packed,
    format::idx,
};

/// Mean and standard deviation of all 47,040,000 pixels of the train split, computed from the files.
pub(super) const MEAN: &[f32] = &[0.286_040_6];
pub(super) const STD: &[f32] = &[0.353_024_24];

pub(super) const CLASS_NAMES: &[&str] = &[
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

const FILES: &str = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, plain or .gz";

static CARD: Card = Card {
    id: "fashion-mnist",
    title: "Fashion-MNIST",
    classes: 10,
    shape: [1, 28, 28],
    counts: [60_000, 10_000],
    licence: "MIT",
    source: "Zalando Research; Debian package dataset-fashion-mnist",
    needs_data_dir: true,
    mean: MEAN,
    std: STD,
    class_names: CLASS_NAMES,
    known_manifest: Some("00acb9411cca87fd306909aafb03f595b793df674e7af6c48484352ce0e54120"),
    mirror: Mirror::Keeps,
    stand_in: None,
};

pub(crate) const ENTRY: DatasetEntry = DatasetEntry { id: "fashion-mnist", card: &CARD, open };

fn open(folder: Option<&Path>) -> Result<Arc<dyn Dataset>, DataError> {
    open_extent(folder, Extent::Whole)
}

pub(crate) fn open_extent(folder: Option<&Path>, extent: Extent) -> Result<Arc<dyn Dataset>, DataError> {
    packed::open_or(&CARD, folder, FILES, extent, |folder| {
        let train = [read(folder, "train-images-idx3-ubyte")?, read(folder, "train-labels-idx1-ubyte")?];
        let test = [read(folder, "t10k-images-idx3-ubyte")?, read(folder, "t10k-labels-idx1-ubyte")?];
        let train = samples(&CARD, Split::Train, extent, train)?;
        let test = samples(&CARD, Split::Test, extent, test)?;
        Ok(Arc::new(Contents::new(&CARD, train, test)))
    })
}

/// A file's name for messages, and its bytes as they lie on the disk.
pub(super) type NamedBytes = (String, Vec<u8>);

/// One split from its image file and its label file.
pub(super) fn samples(
    card: &Card,
    split: Split,
    extent: Extent,
    [(image_file, images), (label_file, labels)]: [NamedBytes; 2],
) -> Result<Samples, DataError> {
    let images = idx::images(&image_file, images)?;
    let labels = idx::labels(&label_file, labels)?;
    let (expected, found) = ([card.shape[1], card.shape[2]], [images.rows, images.columns]);
    if found != expected {
        return Err(DataError::Geometry { file: image_file, dataset: card.id, expected, found });
    }
    let whole = match split {
        Split::Train => card.counts[0],
        Split::Test => card.counts[1],
    };
    // Of a part, as many labels as images.
    let expected = if extent == Extent::Whole { whole } else { images.count };
    check_count(card, split, expected, &image_file, "images", images.count)?;
    check_count(card, split, expected, &label_file, "labels", labels.len())?;
    check_labels(&label_file, &labels, card.classes)?;
    Ok(Samples { pixels: images.pixels, labels })
}

/// The plain file if there is one (no unpacking), else the gzip file.
fn read(folder: &Path, name: &str) -> Result<NamedBytes, DataError> {
    let plain = folder.join(name);
    let packed = folder.join(format!("{name}.gz"));
    let Some(path) = [plain, packed].into_iter().find(|path| path.exists()) else {
        let file = format!("{name} (or {name}.gz)");
        return Err(DataError::Missing { dataset: CARD.id, file, folder: folder.to_owned() });
    };
    let file = path.display().to_string();
    match std::fs::read(&path) {
        Ok(bytes) => Ok((file, bytes)),
        Err(source) => Err(DataError::Read { file, source }),
    }
}
