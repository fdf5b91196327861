//! The set that ships is what its README says.

#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use datasets::{DATASETS, Dataset, Split, find};
use sha2::{Digest, Sha256};

const FILES: [&str; 4] = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
];

fn mini() -> Arc<dyn Dataset> {
    (find("fashion-mnist-mini").unwrap().open)(None).unwrap()
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/data/fashion-mnist-mini"))
}

#[test]
fn files_have_the_checksums_that_the_readme_states_and_stay_small() {
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    for file in FILES {
        let bytes = fs::read(folder().join(file)).unwrap();
        assert!(bytes.len() < 3_000_000, "{file} has {} bytes", bytes.len());
        let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let line = readme.lines().find(|line| line.contains(file)).unwrap();
        assert!(line.contains(&sum), "{file} has {sum}, README says {line}");
    }
    assert!(readme.contains(mini().manifest()));
}

#[test]
fn manifest_is_the_known_one() {
    let mini = mini();
    assert_eq!(mini.manifest(), "87c363129401fddc7ef6c7b2d37cdc946f43c8fead0fd8071a118b81dd9c8ea6");
    assert_eq!(mini.card().known_manifest, Some(mini.manifest()));
}

#[test]
fn classes_are_balanced() {
    let mini = mini();
    for (split, expected) in [(Split::Train, 600), (Split::Test, 200)] {
        let mut counts = [0; 10];
        (0..mini.len(split)).for_each(|index| counts[mini.label(split, index) as usize] += 1);
        assert_eq!(counts, [expected; 10], "{split}");
    }
}

#[test]
fn no_picture_occurs_twice_within_or_across_splits() {
    let mini = mini();
    let mut seen = BTreeSet::new();
    for split in [Split::Train, Split::Test] {
        for index in 0..mini.len(split) {
            assert!(seen.insert(mini.image(split, index)), "{split} {index}");
        }
    }
    assert_eq!(seen.len(), 8_000);
}

#[test]
fn pixels_have_the_moments_that_the_readme_states() {
    let mini = mini();
    let (mut sum, mut squares, mut count) = (0_u64, 0_u64, 0_u64);
    for index in 0..mini.len(Split::Train) {
        for &pixel in mini.image(Split::Train, index) {
            sum += u64::from(pixel);
            squares += u64::from(pixel) * u64::from(pixel);
            count += 1;
        }
    }
    let mean = sum as f64 / count as f64 / 255.0;
    let std = (squares as f64 / count as f64 / 65_025.0 - mean * mean).sqrt();
    // Five digits are stated.
    assert!((mean - 0.28644).abs() < 5e-6, "{mean}");
    assert!((std - 0.35373).abs() < 5e-6, "{std}");
}

#[test]
fn table_and_cards_agree() {
    for entry in DATASETS {
        let card = entry.card;
        assert_eq!(entry.id, card.id);
        // The class folders of ImageNet name its classes; so many drawn ones have no names.
        let named = !["imagenet", "synth-100", "synth-imagenet"].contains(&entry.id);
        assert_eq!(card.class_names.len(), if named { card.classes } else { 0 });
        assert_eq!(card.mean.len(), card.shape[0]);
        assert_eq!(card.std.len(), card.shape[0]);
        assert!(card.std.iter().all(|&std| std > 0.0));
        assert_eq!(DATASETS.iter().filter(|other| other.id == entry.id).count(), 1);
        // Stand-ins are drawn when they are opened, which takes seconds: `stand_ins.rs` opens every one without a folder.
        match card.stand_in {
            None => assert_eq!((entry.open)(None).is_err(), card.needs_data_dir),
            Some(_) => assert!(!card.needs_data_dir),
        }
    }
    assert!(find("fashion-mnist-minu").is_none());
}
