//! Batches that are mixed: from a recipe's section to bytes that are the same however a run got there.

#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::{num::NonZeroUsize, sync::Arc};

use datasets::{
    Batch, DataError, Loader, Protocol, Request, Split,
    events::{FrameLoader, Framed, named, open_folder},
    find, find_frames,
    synth::event_trees,
};
use keys::Key;

const PLAIN: &str = "normalise = true\nflip = true\nshift = 2\n";

fn section(mix: &str) -> Result<Protocol, String> {
    toml::from_str(&format!("{PLAIN}{mix}")).map_err(|error: toml::de::Error| error.message().to_owned())
}

fn images(split: Split, mix: &str) -> Result<Loader, DataError> {
    let set = (find("fashion-mnist-mini").unwrap().open)(None)?;
    let protocol = Protocol { train_limit: Some(60), ..section(mix).unwrap() };
    Loader::new(set, split, protocol, 10, Key::new(5), true)
}

fn frames(split: Split, mix: &str) -> Result<FrameLoader, DataError> {
    let set = find_frames("sim-nmnist").unwrap().open(&Request { folder: None, protocol: None, steps: 3 })?;
    let loader = FrameLoader::new(set, split, Some(30), (10, true), Key::new(5), NonZeroUsize::MIN)?;
    loader.mixed(section(mix).unwrap().mixing().unwrap())
}

fn all(batches: datasets::Batches) -> Vec<Batch> {
    batches.map(Result::unwrap).collect()
}

const MIXUP: &str = "[mix]\nmixup = 0.5\nprobability = 0.5\nuntil-epoch = 3\n";
const BOTH: &str = "[mix]\nmixup = 0.2\ncutmix = 1.0\nprobability = 0.75\n";
const EVENTS: &str = "[mix]\neventmix = 1.0\nprobability = 0.5\n";

#[test]
fn a_section_is_written_as_it_is_read_and_names_itself_in_records() {
    for (mix, id) in [
        (MIXUP, "normalise+flip+shift2+mixup0.5@1"),
        (BOTH, "normalise+flip+shift2+mixup0.2+cutmix1@1"),
        (EVENTS, "normalise+flip+shift2+eventmix1@1"),
    ] {
        let protocol = section(mix).unwrap();
        assert_eq!(protocol.id(), id);
        let again: Protocol = toml::from_str(&toml::to_string(&protocol).unwrap()).unwrap();
        assert_eq!(again, protocol);
    }
    let named: Protocol = toml::from_str(&format!("protocol = \"cifar10/plain\"\n{MIXUP}")).unwrap();
    assert_eq!(named.id(), "cifar10/plain@1+mixup0.5");
    let card = find("cifar10").unwrap().card;
    let hash = |mix: &str| {
        let named: Protocol = toml::from_str(&format!("protocol = \"cifar10/plain\"\n{mix}")).unwrap();
        named.hash(card)
    };
    let later = MIXUP.replace('3', "4");
    assert!(hash(MIXUP) != hash("") && hash(MIXUP) != hash(&later));
}

#[test]
fn a_section_that_no_batch_can_follow_is_refused() {
    let refused = |mix| section(mix).unwrap_err();
    assert!(refused("[mix]\nmixup = 0.5\n").contains("missing field `probability`"));
    assert!(refused("[mix]\nprobability = 1.0\n").contains("must have mixup, cutmix or eventmix above 0"));
    assert!(
        refused("[mix]\nmixup = 0.5\nprobability = 2.0\n")
            .contains("mix.probability must be in [0, 1], got 2")
    );
    assert!(
        refused("[mix]\nmixup = 0.5\nprobability = 1.0\nalpha = 1.0\n").contains("unknown field `alpha`")
    );
    let twice: Result<Protocol, _> = toml::from_str(&format!("protocol = \"cifar10/sdt\"\n{MIXUP}"));
    assert!(twice.unwrap_err().message().contains("decides how batches are mixed"));
    let error = images(Split::Train, EVENTS).map(drop).unwrap_err().to_string();
    assert!(error.contains("mix.eventmix on fashion-mnist-mini") && error.contains("images"), "{error}");
}

#[test]
fn labels_are_not_weighed_by_events_where_frames_do_not_count_them() {
    let folder = tempfile::tempdir().unwrap();
    event_trees::cifar10_dvs(folder.path(), 12, false, Key::new(3)).unwrap();
    let mix = section(EVENTS).unwrap().mixing().unwrap();
    let loader = |name: &str| {
        let protocol = named(name).unwrap();
        let set = open_folder(&protocol, folder.path()).unwrap();
        let framed = Arc::new(Framed::new(set, protocol).unwrap());
        FrameLoader::new(framed, Split::Train, None, (2, true), Key::new(1), NonZeroUsize::MIN)?.mixed(mix)
    };
    let error = loader("cifar10dvs/first900").map(drop).unwrap_err().to_string();
    assert!(error.contains("mix.eventmix on cifar10-dvs under cifar10dvs/first900"), "{error}");
    assert!(loader("cifar10dvs/sj-lexicographic").is_ok());
}

#[test]
fn a_run_that_is_taken_up_again_sees_the_bytes_that_it_would_have_seen() {
    for mix in [MIXUP, BOTH] {
        let (whole, again) = (images(Split::Train, mix).unwrap(), images(Split::Train, mix).unwrap());
        let epochs: Vec<_> = (0..4).map(|epoch| all(whole.epoch(epoch))).collect();
        assert_eq!(epochs[2], all(again.epoch(2)));
        assert_eq!(epochs[2][4], again.batch(2, 4).unwrap());
        assert!(epochs[..3].iter().flatten().any(|batch| batch.mixed.is_some()));
        assert_eq!(epochs[3].iter().any(|batch| batch.mixed.is_some()), mix == BOTH);
        assert!(epochs[0] != epochs[1]);
    }
    for mix in [MIXUP, BOTH, EVENTS] {
        let (whole, again) = (frames(Split::Train, mix).unwrap(), frames(Split::Train, mix).unwrap());
        let epochs: Vec<_> = (0..3).map(|epoch| all(whole.epoch(epoch))).collect();
        assert_eq!(epochs[2], all(again.epoch(2)), "{mix}");
        let mixed: Vec<_> = epochs.iter().flatten().filter_map(|batch| batch.mixed.as_ref()).collect();
        assert!(!mixed.is_empty() && mixed.len() <= epochs.len() * 3);
        assert!(mixed.iter().all(|mixed| mixed.shares.iter().all(|share| (0.0..=1.0).contains(share))));
    }
}

#[test]
fn the_test_split_is_never_mixed() {
    let test = images(Split::Test, BOTH).unwrap();
    assert!(all(test.epoch(0)).iter().take(9).all(|batch| batch.mixed.is_none()));
    for mix in [BOTH, EVENTS] {
        assert!(all(frames(Split::Test, mix).unwrap().epoch(0)).iter().all(|batch| batch.mixed.is_none()));
    }
}

#[test]
fn event_mix_moves_events_from_partner_to_sample_and_makes_none() {
    let (mixed, plain) = (frames(Split::Train, EVENTS).unwrap(), {
        let set = find_frames("sim-nmnist").unwrap();
        let set = set.open(&Request { folder: None, protocol: None, steps: 3 }).unwrap();
        FrameLoader::new(set, Split::Train, Some(30), (10, true), Key::new(5), NonZeroUsize::MIN).unwrap()
    });
    let mut moved = 0;
    for (mixed, plain) in all(mixed.epoch(0)).into_iter().zip(all(plain.epoch(0))) {
        let size = plain.pixels.len() / 30;
        for (at, value) in mixed.pixels.iter().enumerate() {
            let (step, sample, place) = (at / size / 10, at / size % 10, at % size);
            let partner = plain.pixels[(step * 10 + 9 - sample) * size + place];
            assert!(*value == plain.pixels[at] || *value == partner);
            moved += usize::from(*value != plain.pixels[at]);
        }
    }
    assert!(moved > 0);
}
