//! The temporal tasks can be solved with memory, and tell nothing without.

#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use datasets::{
    Split,
    events::{FrameLoader, FrameSet, Origin, leaks},
    temporal::{BinaryAdding, DelayedRecall, TaskSet, sequential_pixels},
};
use keys::Key;

const RECALL: DelayedRecall = DelayedRecall { cues: 4, gap: 3, noise: 0.0 };
const ADDING: BinaryAdding = BinaryAdding { steps: 12, marks: 2, noise: 0.0 };

fn sample(set: &Arc<dyn FrameSet>, split: Split, index: usize) -> (u32, Vec<f32>) {
    let mut frames = vec![0.0; set.card().numbers()];
    let label = set.write(split, index, None, &mut frames).unwrap();
    assert_eq!(label, set.label(split, index));
    (label, frames)
}

#[test]
fn the_first_cue_is_the_class_and_sums_over_time_are_those_of_every_sample() {
    let set = TaskSet::open(RECALL, [400, 100], Key::new(1)).unwrap();
    assert_eq!(set.card().shape, [16, 1, 8, 8]);
    assert_eq!(set.card().origin, Origin::Procedural);
    let sum = |frames: &[f32]| -> Vec<f32> {
        (0..64).map(|place| frames.iter().skip(place).step_by(64).sum()).collect()
    };
    let first = sum(&sample(&set, Split::Train, 0).1);
    let (mut cues, mut orders) = (BTreeMap::new(), BTreeMap::new());
    for index in 0..400 {
        let (label, frames) = sample(&set, Split::Train, index);
        assert_eq!(sum(&frames), first);
        let cue: Vec<u32> = frames[..64].iter().map(|&value| value as u32).collect();
        assert_eq!(*cues.entry(cue).or_insert(label), label);
        let order: Vec<u32> = frames.iter().map(|&value| value as u32).collect();
        *orders.entry(order).or_insert(0) += 1;
    }
    assert_eq!((cues.len(), orders.len()), (4, 24));
}

#[test]
fn marked_bits_add_up_to_the_class_and_no_bit_alone_tells_it() {
    let set = TaskSet::open(ADDING, [2_000, 100], Key::new(1)).unwrap();
    let (mut zero, mut agree) = (None, [0_u32; 2]);
    for index in 0..2_000 {
        let (label, frames) = sample(&set, Split::Train, index);
        let marked: Vec<Vec<u32>> = frames
            .chunks_exact(128)
            .filter(|frame| frame[64..].iter().all(|&value| value == 1.0))
            .map(|frame| frame[..64].iter().map(|&value| value as u32).collect())
            .collect();
        assert_eq!(marked.len(), 2);
        // Two marked bits differ exactly in class 1.
        assert_eq!(u32::from(marked[0] != marked[1]), label);
        let zero = zero.get_or_insert_with(|| marked[0].clone());
        for (agree, bit) in agree.iter_mut().zip(&marked) {
            *agree += u32::from(u32::from(bit != zero) == label);
        }
    }
    // 1,000 expected with a deviation of 22: five of them.
    assert!(agree.iter().all(|count| (890..=1_110).contains(count)), "{agree:?}");
}

#[test]
fn sequences_hold_every_pixel_once_and_the_permutation_is_fixed() {
    let (rows, permuted) = (sequential_pixels(false).unwrap(), sequential_pixels(true).unwrap());
    assert_eq!(rows.card().shape, [28, 1, 1, 28]);
    for index in [0, 77] {
        let ((a, mut rows), (b, mut pixels)) =
            (sample(&rows, Split::Test, index), sample(&permuted, Split::Test, index));
        assert_eq!(a, b);
        assert_ne!(rows, pixels);
        assert_eq!(pixels, sample(&sequential_pixels(true).unwrap(), Split::Test, index).1);
        rows.sort_by(f32::total_cmp);
        pixels.sort_by(f32::total_cmp);
        assert_eq!(rows, pixels);
    }
    assert!(rows.write(Split::Test, 2_000, None, &mut [0.0; 784]).is_err());
}

#[test]
fn tasks_feed_the_loader_and_their_splits_do_not_leak() {
    let set = TaskSet::open(DelayedRecall { noise: 0.05, ..RECALL }, [64, 16], Key::new(1)).unwrap();
    assert!(leaks(set.as_ref()).unwrap().is_empty());
    let other = TaskSet::open(DelayedRecall { noise: 0.05, ..RECALL }, [64, 16], Key::new(2)).unwrap();
    assert_ne!(set.manifest().unwrap(), other.manifest().unwrap());
    let one = NonZeroUsize::new(1).unwrap();
    let loader = FrameLoader::new(set, Split::Train, Some(32), (8, true), Key::new(1), one).unwrap();
    assert_eq!(loader.shape(), [16, 8, 1, 8, 8]);
    let batches: Vec<_> = loader.epoch(0).map(Result::unwrap).collect();
    assert_eq!(batches.len(), 4);
    assert!(batches.iter().all(|batch| batch.pixels.len() == 16 * 8 * 64));
}

#[test]
fn parameters_out_of_range_are_refused() {
    let recall = |task| TaskSet::open(task, [1, 1], Key::new(1)).err().map(|error| error.to_string());
    assert!(recall(DelayedRecall { cues: 1, ..RECALL }).unwrap().contains("cues must be in 2..=16"));
    assert!(recall(DelayedRecall { noise: 0.5, ..RECALL }).is_some());
    let adding = |task| TaskSet::open(task, [1, 1], Key::new(1)).is_err();
    assert!(adding(BinaryAdding { marks: 13, ..ADDING }));
    assert!(adding(BinaryAdding { noise: f64::NAN, ..ADDING }));
}
