//! Sets read from a folder: whole ones, and every way in which a folder can be wrong.

#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::{fs, path::Path, sync::Arc};

use datasets::{Dataset, Split, find};
use tempfile::TempDir;

fn open(id: &str, folder: &Path) -> Result<Arc<dyn Dataset>, String> {
    (find(id).unwrap().open)(Some(folder)).map_err(|error| error.to_string())
}

fn idx(magic: u32, sizes: &[u32], body: Vec<u8>) -> Vec<u8> {
    let words = [&[magic], sizes].concat();
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    bytes.extend(body);
    bytes
}

/// Fashion-MNIST in size and form: black pictures, labels in turn.
fn fashion() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (prefix, count) in [("train", 60_000_u32), ("t10k", 10_000)] {
        let images = idx(2051, &[count, 28, 28], vec![0; count as usize * 784]);
        let labels = idx(2049, &[count], (0..count).map(|index| (index % 10) as u8).collect());
        fs::write(folder.path().join(format!("{prefix}-images-idx3-ubyte")), images).unwrap();
        fs::write(folder.path().join(format!("{prefix}-labels-idx1-ubyte")), labels).unwrap();
    }
    folder
}

/// Opens Fashion-MNIST with one of its files replaced, and gives the message, the folder left out.
fn fashion_with(folder: &TempDir, file: &str, bytes: Vec<u8>) -> String {
    let path = folder.path().join(file);
    let before = fs::read(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let message = open("fashion-mnist", folder.path()).unwrap_err();
    fs::write(&path, before).unwrap();
    message.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn fashion_mnist_reads_whole_and_tells_what_is_wrong() {
    let folder = fashion();
    let whole = open("fashion-mnist", folder.path()).unwrap();
    assert_eq!((whole.len(Split::Train), whole.len(Split::Test)), (60_000, 10_000));
    assert_eq!(whole.label(Split::Train, 59_999), 9);
    // These pictures are not the known ones, and the manifest tells.
    assert_ne!(whole.card().known_manifest, Some(whole.manifest()));

    let small = idx(2051, &[3, 28, 28], vec![0; 3 * 784]);
    assert_eq!(
        fashion_with(&folder, "train-images-idx3-ubyte", small),
        "train-images-idx3-ubyte: the train split of fashion-mnist has 60000 images, the file holds 3"
    );
    let wide = idx(2051, &[10_000, 32, 32], vec![0; 10_000 * 1024]);
    assert_eq!(
        fashion_with(&folder, "t10k-images-idx3-ubyte", wide),
        "t10k-images-idx3-ubyte: images of fashion-mnist are 28x28, the file holds images of 32x32"
    );
    let cut = idx(2051, &[60_000, 28, 28], vec![0; 1_000]);
    assert_eq!(
        fashion_with(&folder, "train-images-idx3-ubyte", cut),
        "train-images-idx3-ubyte: the header promises 60000 images of 28x28 = 47040000 bytes, the file holds 1000"
    );
    let few = idx(2049, &[9_999], vec![0; 9_999]);
    assert_eq!(
        fashion_with(&folder, "t10k-labels-idx1-ubyte", few),
        "t10k-labels-idx1-ubyte: the test split of fashion-mnist has 10000 labels, the file holds 9999"
    );
    let mut labels = vec![0; 10_000];
    labels[123] = 26;
    assert_eq!(
        fashion_with(&folder, "t10k-labels-idx1-ubyte", idx(2049, &[10_000], labels)),
        "t10k-labels-idx1-ubyte: label must be below 10, found 26 at sample 123"
    );

    fs::remove_file(folder.path().join("t10k-labels-idx1-ubyte")).unwrap();
    let message = open("fashion-mnist", folder.path()).unwrap_err();
    assert!(message.contains("t10k-labels-idx1-ubyte (or t10k-labels-idx1-ubyte.gz)"), "{message}");
    fs::create_dir(folder.path().join("t10k-labels-idx1-ubyte")).unwrap();
    let message = open("fashion-mnist", folder.path()).unwrap_err();
    assert!(message.starts_with("cannot read "), "{message}");
}

#[test]
fn a_set_that_does_not_ship_asks_for_its_folder() {
    for id in ["fashion-mnist", "cifar10"] {
        let message = (find(id).unwrap().open)(None).unwrap_err().to_string();
        assert!(message.contains(id) && message.contains("--data DIR"), "{message}");
        let message = open(id, Path::new("/no/such/folder")).unwrap_err();
        assert!(message.contains("/no/such/folder"), "{message}");
    }
}

const RECORD: usize = 3_073;

/// One batch file: labels in turn, each picture filled with its label.
fn batch() -> Vec<u8> {
    (0..10_000_usize).flat_map(|index| [(index % 10) as u8; RECORD]).collect()
}

#[test]
fn cifar10_reads_directly_or_from_the_inner_folder_and_tells_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("cifar-10-batches-bin");
    fs::create_dir(&inner).unwrap();
    let bytes = batch();
    for file in 1..=5 {
        fs::write(inner.join(format!("data_batch_{file}.bin")), &bytes).unwrap();
    }
    let message = open("cifar10", folder.path()).unwrap_err();
    assert!(message.contains("needs the file test_batch.bin"), "{message}");
    fs::write(inner.join("test_batch.bin"), &bytes).unwrap();

    let outer = open("cifar10", folder.path()).unwrap();
    let direct = open("cifar10", &inner).unwrap();
    assert_eq!(outer.manifest(), direct.manifest());
    assert_eq!((outer.len(Split::Train), outer.len(Split::Test)), (50_000, 10_000));
    assert_eq!(outer.label(Split::Train, 49_997), 7);
    assert!(outer.image(Split::Train, 49_997).iter().all(|&pixel| pixel == 7));

    let last = inner.join("data_batch_5.bin");
    fs::write(&last, &bytes[..9_999 * RECORD]).unwrap();
    let message = open("cifar10", folder.path()).unwrap_err();
    assert!(
        message.ends_with(
            "data_batch_5.bin: a CIFAR-10 file has 10000 records of 3073 = 30730000 bytes, \
             the file holds 30726927"
        ),
        "{message}"
    );
    let mut garbled = bytes;
    garbled[5 * RECORD] = 200;
    fs::write(&last, garbled).unwrap();
    let message = open("cifar10", folder.path()).unwrap_err();
    assert!(
        message.ends_with("data_batch_5.bin: label must be below 10, found 200 at sample 5"),
        "{message}"
    );
}
