//! Stand-ins are what they say, and the same for the same key.

#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::sync::Arc;

use datasets::{
    Split,
    events::{EventSet, FrameSet, Framed, Origin, Recording},
    simulate::stand_in,
};
use keys::Key;

fn set(name: &str, key: u64) -> Arc<dyn EventSet> {
    stand_in(name, Key::new(key)).unwrap().0
}

const NAMES: [(&str, &str); 3] =
    [("nmnist", "N-MNIST"), ("cifar10dvs/first900", "CIFAR10-DVS"), ("dvsgesture/1464", "DVS128 Gesture")];

#[test]
fn cards_say_that_they_stand_in_and_never_bear_the_bare_name() {
    for (name, stands_for) in NAMES {
        let (events, protocol) = stand_in(name, Key::new(1)).unwrap();
        let card = events.card();
        assert_eq!(card.origin, Origin::Simulated);
        assert!(card.origin.is_stand_in() && card.id.starts_with("sim-"));
        assert!(card.note.contains(&format!("stands for {stands_for} and is not it")), "{}", card.note);
        assert_ne!(card.title, stands_for);
        assert_eq!(card.class_names.len(), card.classes);
        let frames = Framed::new(events, protocol).unwrap();
        assert_eq!(frames.card().origin, Origin::Simulated);
        assert!(frames.card().protocol.starts_with("sim-"));
    }
    assert!(stand_in("imagenet", Key::new(1)).is_err());
}

#[test]
fn recordings_depend_on_key_split_and_index_alone() {
    for (name, _) in NAMES {
        let recording = |key, split, index| -> Recording { set(name, key).recording(split, index).unwrap() };
        let one = recording(1, Split::Train, 5);
        assert_eq!(one, recording(1, Split::Train, 5), "{name}");
        assert_ne!(one, recording(2, Split::Train, 5), "{name}");
        assert_ne!(one, recording(1, Split::Train, 6), "{name}");
        assert_ne!(one, recording(1, Split::Test, 5), "{name}");
        // In another order, and twice, it is the same.
        let again = set(name, 1);
        again.recording(Split::Train, 6).unwrap();
        assert_eq!(one, again.recording(Split::Train, 5).unwrap());
        assert_eq!(one, again.recording(Split::Train, 5).unwrap());
        assert!(one.statistics().backward == 0 && one.events.len() > 500, "{name}: {}", one.events.len());
        let last = set(name, 1);
        assert!(last.recording(Split::Test, last.len(Split::Test)).is_err());
    }
}

#[test]
fn the_events_of_a_release_stay_those() {
    // Another total with the same key means another generator: raise its version. The bar is wide enough for a
    // logarithm that differs in its last bit.
    let found = NAMES.map(|(name, _)| {
        let found = set(name, 7).recording(Split::Train, 3).unwrap().statistics();
        [found.events, found.on]
    });
    let released = [[6_470, 3_210], [102_335, 49_208], [5_952, 2_838]];
    let close = |found: &usize, released: &usize| found.abs_diff(*released) <= released / 200;
    let pairs = found.as_flattened().iter().zip(released.as_flattened());
    assert!(pairs.into_iter().all(|(found, released)| close(found, released)), "{found:?}");
}

#[test]
fn every_gesture_leaves_events_of_its_movement() {
    let gestures = set("dvsgesture", 7);
    let classes = gestures.card().classes;
    // Background events of 48x48 pixels, 0.43 a second, in 1.2 s.
    let noise = 1_189.0;
    for class in 0..classes {
        let clips = (0..4).map(|clip| gestures.recording(Split::Test, class + clip * classes).unwrap());
        let mean = clips.map(|clip| clip.events.len() as f64).sum::<f64>() / 4.0;
        assert!(mean > 1.4 * noise, "{}: {mean}", gestures.card().class_names[class]);
    }
}

#[test]
fn frames_of_stand_ins_hold_their_events() {
    for (name, _) in NAMES {
        let (events, protocol) = stand_in(name, Key::new(1)).unwrap();
        let count = events.recording(Split::Test, 2).unwrap().events.len();
        let frames = Framed::new(events, protocol).unwrap();
        let mut target = vec![0.0; frames.card().numbers()];
        assert_eq!(frames.write(Split::Test, 2, None, &mut target).unwrap(), frames.label(Split::Test, 2));
        let sum: f32 = target.iter().sum();
        assert!(sum as usize <= count && sum as usize >= count * 99 / 100, "{name}: {sum} of {count}");
    }
}
