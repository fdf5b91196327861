//! Stand-ins say what they are, are the same on every run, and are learnable by nothing linear.

#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::sync::{Arc, LazyLock};

use datasets::{DATASETS, Dataset, Loader, Pipeline, Protocol, Split, convert::convert, find};
use keys::Key;

fn open(id: &str) -> Arc<dyn Dataset> {
    // Ten thousand pictures, drawn once for all tests.
    static TEN: LazyLock<Arc<dyn Dataset>> =
        LazyLock::new(|| (find("synth-10").unwrap().open)(None).unwrap());
    if id == "synth-10" { Arc::clone(&TEN) } else { (find(id).unwrap().open)(None).unwrap() }
}

#[test]
fn stand_ins_are_marked_and_have_their_known_manifest() {
    let stand_ins: Vec<_> = DATASETS.iter().filter(|entry| entry.id.starts_with("synth-")).collect();
    assert_eq!(stand_ins.len(), 4);
    for entry in stand_ins {
        assert!(entry.card.stand_in.is_some_and(|reason| reason.contains("in place of")), "{}", entry.id);
        let set = open(entry.id);
        assert_eq!(Some(set.manifest()), entry.card.known_manifest, "{}", entry.id);
        assert_eq!([set.len(Split::Train), set.len(Split::Test)], entry.card.counts);
    }
    assert!(DATASETS.iter().all(|entry| entry.card.stand_in.is_none() || entry.id.starts_with("synth-")));
}

#[test]
fn statistics_are_those_of_the_pixels_and_the_class_is_not_in_the_mean() {
    let set = open("synth-10");
    let (mut sums, mut squares) = ([0_u64; 3], [0_u64; 3]);
    let mut by_class = [0_u64; 10];
    for index in 0..set.len(Split::Train) {
        for (channel, plane) in set.image(Split::Train, index).chunks_exact(1024).enumerate() {
            let sum: u64 = plane.iter().map(|&byte| u64::from(byte)).sum();
            sums[channel] += sum;
            squares[channel] += plane.iter().map(|&byte| u64::from(byte).pow(2)).sum::<u64>();
            by_class[set.label(Split::Train, index) as usize] += sum;
        }
    }
    let count = (set.len(Split::Train) * 1024) as f64;
    for channel in 0..3 {
        let mean = sums[channel] as f64 / count / 255.0;
        let std = (squares[channel] as f64 / count / 65_025.0 - mean * mean).sqrt();
        let card = set.card();
        assert!((mean - f64::from(card.mean[channel])).abs() < 5e-5, "{channel}: mean {mean}");
        assert!((std - f64::from(card.std[channel])).abs() < 5e-5, "{channel}: std {std}");
    }
    let means = by_class.map(|sum| sum as f64 / (count / 10.0) / 3.0 / 255.0);
    // The deviation of a picture's mean is about 0.15, so of 800 pictures' 0.005: four of them.
    assert!(means.iter().all(|mean| (mean - 0.499).abs() < 0.02), "{means:?}");
}

#[test]
fn pictures_are_drawn_decoded_and_packed_alike() {
    let set = open("synth-imagenet-10");
    let pipeline = Pipeline::find("imagenet/small-64").unwrap();
    let protocol = Protocol { train_limit: Some(20), test_limit: Some(10), ..Protocol::of(pipeline) };
    let batch = |set: &Arc<dyn Dataset>| {
        Loader::new(Arc::clone(set), Split::Train, protocol, 20, Key::new(1), false)
            .unwrap()
            .batch(0, 0)
            .unwrap()
    };
    let drawn = batch(&set);
    assert_eq!(drawn.pixels.len(), 20 * 3 * 64 * 64);
    let folder = tempfile::tempdir().unwrap();
    convert(set.as_ref(), folder.path(), &|_, _, _| ()).unwrap();
    let packed = (find("synth-imagenet-10").unwrap().open)(Some(folder.path())).unwrap();
    assert!(packed.check_sums(Split::Train, 7).unwrap());
    assert_eq!(batch(&packed), drawn);
}
