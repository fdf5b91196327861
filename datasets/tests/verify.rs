//! `verify` finds what is wrong with a set; `show` draws it.

#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::{fs, sync::Arc};

use datasets::{
    Dataset, Split,
    check::{Report, Sheet, sheet, verify},
    find,
    format::picture::{Rgb, decode},
    open_part,
    synth::images::{TRAIN, Tree, write},
};
use tempfile::TempDir;

fn tree(tree: Tree) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(tree, folder.path()).unwrap();
    folder
}

fn report(set: &Arc<dyn Dataset>) -> Report {
    verify(set.as_ref(), &|_, _, _| ())
}

#[test]
fn the_shipped_set_is_sound_with_its_stated_moments() {
    let report = report(&(find("fashion-mnist-mini").unwrap().open)(None).unwrap());
    assert!(report.is_sound());
    assert_eq!(report.known, Some(true));
    let [train, test] = &report.splits;
    assert_eq!((&train.by_class, &test.by_class), (&vec![600; 10], &vec![200; 10]));
    assert!((train.mean[0] - 0.28644).abs() < 5e-6 && (train.std[0] - 0.35373).abs() < 5e-6);
    assert!(report.within.is_empty() && report.across.is_empty());
}

#[test]
fn a_sample_in_both_splits_is_leakage_and_twins_are_told() {
    let folder = tree(Tree::Cifar10);
    let inner = folder.path().join("cifar-10-batches-bin");
    let train = fs::read(inner.join("data_batch_1.bin")).unwrap();
    let mut test = fs::read(inner.join("test_batch.bin")).unwrap();
    // The third test picture is the first training picture under another label, the fourth is the fifth.
    test[2 * 3073..3 * 3073].copy_from_slice(&train[..3073]);
    test[2 * 3073] = (train[0] + 1) % 10;
    let fifth = test[4 * 3073..5 * 3073].to_vec();
    test[3 * 3073..4 * 3073].copy_from_slice(&fifth);
    fs::write(inner.join("test_batch.bin"), test).unwrap();
    let report = report(&open_part("cifar10", folder.path()).unwrap());
    assert_eq!(report.across.len(), 1);
    let twin = &report.across[0];
    assert_eq!((twin.first.as_str(), twin.second.as_str()), ("cifar10/train/0", "cifar10/test/2"));
    assert!(!twin.same_label);
    assert_eq!(report.within.len(), 1);
    assert!(!report.is_sound());
}

#[test]
fn damaged_pictures_are_counted_and_named() {
    let folder = tree(Tree::ImageFolders);
    for file in ["n01443537_5.JPEG", "n01443537_9.JPEG"] {
        fs::write(folder.path().join("train/n01443537").join(file), b"<html>").unwrap();
    }
    let report = report(&open_part("imagenet", folder.path()).unwrap());
    let [train, test] = &report.splits;
    assert_eq!((train.samples, train.faulty, test.faulty), (TRAIN, 2, 0));
    assert!(train.faults[0].starts_with("n01443537/n01443537_5.JPEG: picture at byte 0"));
    assert_eq!(train.sides, [60, 120]);
}

#[test]
fn packed_sums_are_checked() {
    let folder = tree(Tree::ImageShards);
    let path = folder.path().join("train.shard");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 9;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    let report = report(&open_part("imagenet", folder.path()).unwrap());
    assert_eq!(
        (report.splits[0].summed, report.splits[0].faulty, report.splits[1].summed),
        (TRAIN - 1, 1, TRAIN / 2)
    );
}

#[test]
fn a_sheet_has_a_row_a_class() {
    let set = (find("fashion-mnist-mini").unwrap().open)(None).unwrap();
    let asked = Sheet { split: Split::Test, classes: 10, columns: 3, side: 28 };
    let png = sheet(set.as_ref(), asked).unwrap();
    let mut image = Rgb::default();
    decode("sheet.png", &png, &mut image).unwrap();
    assert_eq!((image.width, image.height), (3 * 30 + 2, 10 * 30 + 2));
    // The first test picture of class 0 stands first.
    let first = (0..set.len(Split::Test)).find(|&index| set.label(Split::Test, index) == 0).unwrap();
    let row: Vec<u8> = image.pixels[(10 * 92 + 2) * 3..][..84].iter().copied().step_by(3).collect();
    assert_eq!(row, set.image(Split::Test, first)[8 * 28..9 * 28]);
}
