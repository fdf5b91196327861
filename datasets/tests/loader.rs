//! What batches depend on, and what they do not.

#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::{collections::BTreeMap, sync::Arc};

use datasets::{Batch, Card, DataError, Dataset, Loader, Mirror, Protocol, Split, augment::mix::Mixed, find};
use keys::Key;
use sha2::{Digest, Sha256};

const AUGMENTED: Protocol = Protocol {
    normalise: true,
    flip: true,
    shift: 2,
    train_limit: Some(200),
    test_limit: Some(100),
    ..Protocol::PLAIN
};
const PLAIN: Protocol = Protocol { normalise: false, flip: false, shift: 0, ..AUGMENTED };

fn mini() -> Arc<dyn Dataset> {
    (find("fashion-mnist-mini").unwrap().open)(None).unwrap()
}

fn loader(split: Split, protocol: Protocol, batch_size: usize, seed: u64) -> Result<Loader, DataError> {
    Loader::new(mini(), split, protocol, batch_size, Key::new(seed), false)
}

fn epoch(loader: &Loader, epoch: u64) -> Vec<Batch> {
    loader.epoch(epoch).map(Result::unwrap).collect()
}

fn indices(batches: &[Batch]) -> Vec<u32> {
    batches.iter().flat_map(|batch| batch.indices.clone()).collect()
}

/// The pixels of each sample, bit for bit, by its place in the file.
fn by_sample(batches: &[Batch]) -> BTreeMap<u32, Vec<u32>> {
    let images =
        batches.iter().flat_map(|batch| batch.indices.iter().zip(batch.pixels.chunks_exact(28 * 28)));
    images.map(|(&index, image)| (index, image.iter().map(|pixel| pixel.to_bits()).collect())).collect()
}

#[test]
fn same_key_gives_the_same_bytes_and_another_key_or_epoch_another_order() {
    let first = loader(Split::Train, AUGMENTED, 32, 1).unwrap();
    let again = loader(Split::Train, AUGMENTED, 32, 1).unwrap();
    let other = loader(Split::Train, AUGMENTED, 32, 2).unwrap();
    assert_eq!(epoch(&first, 3), epoch(&again, 3));
    // An epoch does not depend on those before it.
    assert_eq!(epoch(&first, 3), epoch(&first, 3));
    assert_ne!(indices(&epoch(&first, 3)), indices(&epoch(&first, 4)));
    assert_ne!(indices(&epoch(&first, 3)), indices(&epoch(&other, 3)));
    assert_ne!(by_sample(&epoch(&first, 3)), by_sample(&epoch(&first, 4)));
}

#[test]
fn an_epoch_holds_each_sample_once() {
    let loader = loader(Split::Train, AUGMENTED, 32, 1).unwrap();
    let batches = epoch(&loader, 0);
    assert_eq!(batches.len(), loader.batches());
    assert_eq!(batches.last().unwrap().labels.len(), 200 % 32);
    let mut seen = indices(&batches);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 200);
}

#[test]
fn batch_size_and_limit_do_not_change_a_samples_augmentation() {
    let small = by_sample(&epoch(&loader(Split::Train, AUGMENTED, 7, 1).unwrap(), 2));
    let large = by_sample(&epoch(&loader(Split::Train, AUGMENTED, 200, 1).unwrap(), 2));
    assert_eq!(small, large);
    let more = Protocol { train_limit: Some(400), ..AUGMENTED };
    let more = by_sample(&epoch(&loader(Split::Train, more, 50, 1).unwrap(), 2));
    assert!(small.iter().all(|(index, image)| more[index] == *image));
}

#[test]
fn a_kept_batch_holds_nothing_of_what_was_in_it() {
    for (split, protocol) in [(Split::Train, AUGMENTED), (Split::Test, AUGMENTED), (Split::Train, PLAIN)] {
        let loader = loader(split, protocol, 64, 1).unwrap();
        let pixels = vec![f32::NAN; 100 * 28 * 28];
        let mut kept = Batch { pixels, labels: vec![77; 100], ..Batch::default() };
        kept.indices = vec![77; 100];
        kept.mixed = Some(Mixed { partners: vec![77; 100], shares: vec![0.5; 100] });
        // The last one is not full, and the first comes after it; epochs take turns.
        for (of, batch) in [(2, 0), (3, 1), (2, loader.batches() - 1), (3, 0)] {
            loader.batch_into(of, batch, &mut kept).unwrap();
            assert_eq!(kept, epoch(&loader, of)[batch]);
            assert_eq!(kept, loader.batch(of, batch).unwrap());
        }
    }
}

#[test]
fn two_loaders_side_by_side_do_not_disturb_each_other() {
    let one = loader(Split::Train, AUGMENTED, 16, 1).unwrap();
    let expected = epoch(&one, 0);
    let pairs = one.epoch(0).zip(one.clone().epoch(0));
    let found: Vec<Batch> = pairs.map(|(left, right)| (left.unwrap(), right.unwrap()).0).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_test_split_comes_in_file_order_and_is_never_augmented() {
    let augmented = loader(Split::Test, Protocol { normalise: false, ..AUGMENTED }, 32, 1).unwrap();
    let batches = epoch(&augmented, 0);
    assert_eq!(batches, epoch(&loader(Split::Test, PLAIN, 32, 9).unwrap(), 5));
    assert!(indices(&batches).is_sorted());
    let mini = mini();
    for batch in &batches {
        for ((&index, &label), image) in
            batch.indices.iter().zip(&batch.labels).zip(batch.pixels.chunks_exact(28 * 28))
        {
            let bytes = mini.image(Split::Test, index as usize);
            assert_eq!(label, mini.label(Split::Test, index as usize));
            assert!(image.iter().zip(bytes).all(|(&value, &byte)| value == f32::from(byte) / 255.0));
        }
    }
}

#[test]
fn limits_are_balanced_prefixes() {
    for (limit, expected) in [(10, [1; 10]), (13, [2, 2, 2, 1, 1, 1, 1, 1, 1, 1]), (6_000, [600; 10])] {
        let protocol = Protocol { train_limit: Some(limit), ..PLAIN };
        let loader = loader(Split::Train, protocol, 1, 1).unwrap();
        let mut counts = [0; 10];
        epoch(&loader, 0).iter().for_each(|batch| counts[batch.labels[0] as usize] += 1);
        assert_eq!(counts, expected, "limit {limit}");
    }
}

#[test]
fn drop_last_leaves_out_what_is_not_full() {
    let drop_last = |batch_size| Loader::new(mini(), Split::Train, PLAIN, batch_size, Key::new(1), true);
    let loader = drop_last(64).unwrap();
    assert_eq!((loader.samples(), loader.batches(), loader.shape()), (200, 3, [64, 1, 28, 28]));
    assert!(epoch(&loader, 0).iter().all(|batch| batch.indices.len() == 64));
    assert_eq!(epoch(&drop_last(200).unwrap(), 0).len(), 1);
}

#[test]
fn settings_out_of_range_are_refused_with_rule_and_value() {
    let message = |protocol, batch_size| match loader(Split::Train, protocol, batch_size, 1) {
        Ok(_) => "no error".to_owned(),
        Err(error) => error.to_string(),
    };
    let samples = "batch size must be in 1..=200 (samples of the train split in use)";
    assert_eq!(message(PLAIN, 0), format!("{samples}, got 0"));
    assert_eq!(message(PLAIN, 201), format!("{samples}, got 201"));
    assert_eq!(
        message(Protocol { shift: 28, ..PLAIN }, 1),
        "shift must be below the image's shorter side 28 for data set fashion-mnist-mini, got 28"
    );
    for (found, train_limit) in [(0, Some(0)), (6_001, Some(6_001))] {
        assert_eq!(
            message(Protocol { train_limit, ..PLAIN }, 1),
            format!("train_limit must be in 1..=6000 for data set fashion-mnist-mini, got {found}")
        );
    }
    assert_eq!(
        message(Protocol { test_limit: Some(2_001), ..PLAIN }, 1),
        "test_limit must be in 1..=2000 for data set fashion-mnist-mini, got 2001"
    );
}

/// Ten pictures of class 0 and two of class 1.
struct Lopsided;

const LOPSIDED_CARD: Card = Card {
    id: "lopsided",
    title: "",
    classes: 2,
    shape: [1, 1, 1],
    counts: [12, 12],
    licence: "",
    source: "",
    needs_data_dir: false,
    mean: &[0.0],
    std: &[1.0],
    class_names: &["", ""],
    known_manifest: None,
    mirror: Mirror::Keeps,
    stand_in: None,
};

static LOPSIDED: Card = LOPSIDED_CARD;

impl Dataset for Lopsided {
    fn card(&self) -> &Card {
        &LOPSIDED
    }
    fn len(&self, _: Split) -> usize {
        12
    }
    fn image(&self, _: Split, _: usize) -> &[u8] {
        &[0]
    }
    fn label(&self, _: Split, index: usize) -> u32 {
        u32::from(index >= 10)
    }
    fn manifest(&self) -> &str {
        ""
    }
}

/// Two classes that a mirror swaps.
struct Sided;

static SIDED: Card = Card {
    id: "sided",
    counts: [4, 4],
    classes: 3,
    shape: [1, 1, 2],
    mean: &[0.0],
    std: &[1.0],
    class_names: &["clap", "right wave", "left wave"],
    mirror: Mirror::Swaps(&[[1, 2]]),
    ..LOPSIDED_CARD
};

impl Dataset for Sided {
    fn card(&self) -> &Card {
        &SIDED
    }
    fn len(&self, _: Split) -> usize {
        4
    }
    fn image(&self, _: Split, _: usize) -> &[u8] {
        &[0, 255]
    }
    fn label(&self, _: Split, index: usize) -> u32 {
        [0, 1, 2, 1][index]
    }
    fn manifest(&self) -> &str {
        ""
    }
}

#[test]
fn a_mirror_on_classes_with_sides_is_refused_or_swaps_the_label() {
    let flip = Protocol { flip: true, ..Protocol::PLAIN };
    let loader = |protocol| Loader::new(Arc::new(Sided), Split::Train, protocol, 4, Key::new(0), false);
    assert_eq!(
        loader(flip).err().unwrap().to_string(),
        "a left-right flip of sided makes another class of class 1 (right wave) and class 2 (left wave): set flip = false, \
         or swap-labels = true to change the label with the image"
    );
    let aware = loader(Protocol { swap_labels: true, ..flip }).unwrap();
    let (mut kept, mut swapped) = (0, 0);
    for epoch in 0..20 {
        for batch in aware.epoch(epoch).map(Result::unwrap) {
            for ((&label, &index), image) in
                batch.labels.iter().zip(&batch.indices).zip(batch.pixels.chunks(2))
            {
                let own = Sided.label(Split::Train, index as usize);
                let mirrored = image == [1.0, 0.0];
                assert_eq!(label, if mirrored { [0, 2, 1][own as usize] } else { own });
                *if mirrored { &mut swapped } else { &mut kept } += 1;
            }
        }
    }
    assert!(kept > 20 && swapped > 20);
}

#[test]
fn a_limit_that_a_class_cannot_fill_is_refused() {
    let limited = |limit| {
        let protocol = Protocol { train_limit: Some(limit), ..PLAIN };
        Loader::new(
            Arc::new(Lopsided),
            Split::Train,
            Protocol { test_limit: None, ..protocol },
            1,
            Key::new(0),
            false,
        )
    };
    assert!(limited(5).is_ok());
    assert_eq!(
        limited(6).err().unwrap().to_string(),
        "train_limit = 6 takes 3 samples of class 1, data set lopsided holds 2"
    );
}

/// The very numbers, so that a change of the order, of a draw or of the arithmetic cannot pass unseen. They were computed
/// by a second implementation of generator, shuffle, crop and scaling, written in another language.
#[test]
fn golden_first_batch() {
    let first = epoch(&loader(Split::Train, AUGMENTED, 32, 7).unwrap(), 0).swap_remove(0);
    assert_eq!(first.indices[..8], [105, 25, 125, 239, 74, 175, 37, 43]);
    assert_eq!(first.labels[..8], [0, 0, 9, 5, 6, 5, 4, 6]);
    let bytes: Vec<u8> = first.pixels.iter().flat_map(|pixel| pixel.to_le_bytes()).collect();
    let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sum, "a13fcf590166144f9ed033058bd5b3fd9d5e8ab234659f163f6c2677ef6a8adb");
}

#[test]
fn a_recipe_states_every_choice_and_no_unknown_one() {
    let section = "normalise = true\nflip = true\nshift = 2\ntrain_limit = 200\ntest_limit = 100\n";
    assert_eq!(toml::from_str::<Protocol>(section).unwrap(), AUGMENTED);
    assert_eq!(toml::to_string(&AUGMENTED).unwrap(), section);
    let error = toml::from_str::<Protocol>("normalise = true\nshift = 2\n").unwrap_err();
    assert!(error.message().contains("missing field `flip`"), "{error}");
    let error = toml::from_str::<Protocol>(&section.replace("flip", "flop")).unwrap_err();
    assert!(error.message().contains("unknown field `flop`"), "{error}");
}
