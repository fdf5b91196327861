//! CIFAR-100's binary version from a folder: 50,000 + 10,000 colour pictures of things, 32x32; the label is the fine one.
//!
//! A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009. Ten pictures stand in both splits, and 14
//! + 2 twice in one: that is the set itself.

use std::{path::Path, sync::Arc};

use crate::{
    Card, DataError, Dataset, DatasetEntry, Extent, Mirror,
    contents::{Contents, Samples},
    encoded::packed,
    format::{
        cifar_bin::{self, Version},
        pickle,
    },
};

/// The folder that the authors' archive unpacks to.
const INNER: &str = "cifar-100-binary";
/// The folder that the authors' archive of the Python version unpacks to.
const PYTHON: &str = "cifar-100-python";

static CARD: Card = Card {
    id: "cifar100",
    title: "CIFAR-100",
    classes: 100,
    shape: [3, 32, 32],
    counts: [50_000, 10_000],
    licence: "none stated; research use with citation",
    source: "A. Krizhevsky, binary version",
    needs_data_dir: true,
    // Of the train split, computed from the files; the field writes them with four digits.
    mean: &[0.5071, 0.4867, 0.4408],
    std: &[0.2675, 0.2565, 0.2761],
    class_names: CLASS_NAMES,
    known_manifest: None,
    mirror: Mirror::Keeps,
    stand_in: None,
};

pub(crate) const ENTRY: DatasetEntry = DatasetEntry { id: "cifar100", card: &CARD, open };

fn open(folder: Option<&Path>) -> Result<Arc<dyn Dataset>, DataError> {
    open_extent(folder, Extent::Whole)
}

pub(crate) fn open_extent(folder: Option<&Path>, extent: Extent) -> Result<Arc<dyn Dataset>, DataError> {
    let files = "train.bin and test.bin, directly or in cifar-100-binary/, or packed shards";
    packed::open_or(&CARD, folder, files, extent, |folder| {
        let train = read(folder, "train.bin", CARD.counts[0], extent)?;
        let test = read(folder, "test.bin", CARD.counts[1], extent)?;
        Ok(Arc::new(Contents::new(&CARD, train, test)))
    })
}

fn read(folder: &Path, name: &str, whole: usize, extent: Extent) -> Result<Samples, DataError> {
    let inner = folder.join(INNER);
    let root = if inner.is_dir() { inner } else { folder.to_owned() };
    let path = root.join(name);
    let file = path.display().to_string();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // The Python version has `train` and `test`.
            for pickled in [folder.join(PYTHON).join("test"), root.join("test")] {
                if let Ok(bytes) = std::fs::read(&pickled) {
                    pickle::refuse(&pickled.display().to_string(), &bytes)?;
                }
            }
            return Err(DataError::Missing { dataset: CARD.id, file: name.to_owned(), folder: root });
        }
        Err(source) => return Err(DataError::Read { file, source }),
    };
    let records = Version::Cifar100.records(extent, whole, bytes.len());
    let mut samples = Samples::default();
    cifar_bin::append(&file, &bytes, Version::Cifar100, records, (&mut samples.labels, &mut samples.pixels))?;
    Ok(samples)
}

#[rustfmt::skip]
const CLASS_NAMES: &[&str] = &[
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
    "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
    "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur",
    "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard",
    "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain",
    "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
    "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket",
    "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider",
    "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor",
    "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
];
