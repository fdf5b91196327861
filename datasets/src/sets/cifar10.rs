//! CIFAR-10's binary version from a folder: 50,000 + 10,000 colour pictures of things, 32x32.
//!
//! A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    Card, DataError, Dataset, DatasetEntry, Extent, Mirror,
    contents::{Contents, Samples},
    encoded::packed,
    format::{
        cifar_bin::{self, Version},
        pickle,
    },
};

const TRAIN: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
const TEST: [&str; 1] = ["test_batch.bin"];
const RECORDS: usize = 10_000;
/// The folder that the authors' archive unpacks to.
const INNER: &str = "cifar-10-batches-bin";
/// The folder that the authors' archive of the Python version unpacks to.
const PYTHON: &str = "cifar-10-batches-py";

static CARD: Card = Card {
    id: "cifar10",
    title: "CIFAR-10",
    classes: 10,
    shape: [3, 32, 32],
    counts: [50_000, 10_000],
    licence: "none stated; research use with citation",
    source: "A. Krizhevsky, binary version",
    needs_data_dir: true,
    // Of the train split, to the four digits that the field uses.
    mean: &[0.4914, 0.4822, 0.4465],
    std: &[0.2470, 0.2435, 0.2616],
    class_names: &["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
    // The files at hand held every picture, but not in the authors' order.
    known_manifest: None,
    mirror: Mirror::Keeps,
    stand_in: None,
};

pub(crate) const ENTRY: DatasetEntry = DatasetEntry { id: "cifar10", card: &CARD, open };

fn open(folder: Option<&Path>) -> Result<Arc<dyn Dataset>, DataError> {
    open_extent(folder, Extent::Whole)
}

pub(crate) fn open_extent(folder: Option<&Path>, extent: Extent) -> Result<Arc<dyn Dataset>, DataError> {
    let files =
        "data_batch_1.bin to data_batch_5.bin and test_batch.bin, directly or in cifar-10-batches-bin/";
    packed::open_or(&CARD, folder, files, extent, |folder| {
        let train = read(folder, &TRAIN, extent)?;
        let test = read(folder, &TEST, extent)?;
        Ok(Arc::new(Contents::new(&CARD, train, test)))
    })
}

fn read(folder: &Path, names: &[&str], extent: Extent) -> Result<Samples, DataError> {
    // All paths first: a missing fifth file is told before 120 MB are read.
    let paths: Vec<PathBuf> = names.iter().map(|name| locate(folder, name)).collect::<Result<_, _>>()?;
    let mut samples = Samples::default();
    if extent == Extent::Whole {
        samples.pixels.reserve_exact(names.len() * RECORDS * cifar_bin::PIXELS);
    }
    for path in paths {
        let file = path.display().to_string();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(DataError::Read { file, source }),
        };
        let records = Version::Cifar10.records(extent, RECORDS, bytes.len());
        let target = (&mut samples.labels, &mut samples.pixels);
        cifar_bin::append(&file, &bytes, Version::Cifar10, records, target)?;
    }
    Ok(samples)
}

fn locate(folder: &Path, name: &str) -> Result<PathBuf, DataError> {
    let inner = folder.join(INNER);
    // One place for all files: a mix of both would be nobody's data set.
    let root = if inner.is_dir() { inner } else { folder.to_owned() };
    let path = root.join(name);
    if path.exists() {
        return Ok(path);
    }
    // The Python version has the same names without the ending, and a folder of its own.
    for pickled in [folder.join(PYTHON).join("test_batch"), root.join("test_batch")] {
        if let Ok(bytes) = std::fs::read(&pickled) {
            pickle::refuse(&pickled.display().to_string(), &bytes)?;
        }
    }
    Err(DataError::Missing { dataset: CARD.id, file: name.to_owned(), folder: root })
}
