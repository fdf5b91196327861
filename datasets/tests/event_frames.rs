//! Frames equal those of an independent reader in Python (`goldens/event_frames.py`), to the last bit.

#![expect(clippy::unwrap_used, clippy::panic, reason = "the lints spare test functions, not what they share")]

use std::{fmt::Write as _, io::Read};

use datasets::{
    events::{Event, FrameRule, Recording, Resize, by_duration},
    format::{aedat2, aedat3, atis_bin, dat2, npy, npz},
};
use sha2::{Digest, Sha256};

const GOLDENS: &str = include_str!("goldens/event_frames.txt");

/// The events of `made` in the script.
fn made(count: usize, side: u64, step: u64) -> Vec<Event> {
    let (mut state, mut t) = (1_u64, 0);
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    (0..count)
        .map(|_| {
            t += word() % step;
            let mut place = || {
                let word = word();
                ((word % side) * (word / side % side) / side) as u16
            };
            let (x, y) = (place(), place());
            Event { t: t as i64, x, y, p: word() % 2 == 1 }
        })
        .collect()
}

/// The recording that a line names; `None` for a real one without the folder of real ones.
fn recording(name: &str) -> Option<Recording> {
    let (kind, rest) = name.split_once(':').unwrap();
    if kind == "made" {
        let numbers: Vec<usize> = rest.split(',').map(|number| number.parse().unwrap()).collect();
        let events = made(numbers[0], numbers[1] as u64, numbers[2] as u64);
        return Some(Recording::new(name, [numbers[1]; 2], events).unwrap());
    }
    let folder = std::path::PathBuf::from(std::env::var_os("SNN_SHARED_DATA")?);
    let (bytes, size) = match rest.split_once(".zip/") {
        Some((archive, member)) => {
            let file = std::fs::File::open(folder.join(format!("{archive}.zip"))).unwrap();
            let mut archive = zip::ZipArchive::new(file).unwrap();
            let mut bytes = Vec::new();
            archive.by_name(member).unwrap().read_to_end(&mut bytes).unwrap();
            (bytes, 34)
        }
        None => (std::fs::read(folder.join(rest)).unwrap(), if rest.ends_with(".dat") { 120 } else { 34 }),
    };
    let decoded =
        if rest.ends_with(".dat") { dat2::read(rest, &bytes) } else { atis_bin::read(rest, &bytes) };
    Some(Recording::new(name, [size; 2], decoded.unwrap().events).unwrap())
}

fn hash(frames: &[f32]) -> String {
    let bytes: Vec<u8> = frames.iter().flat_map(|value| value.to_le_bytes()).collect();
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn counts(recording: &Recording) -> Vec<f32> {
    FrameRule::EqualCount { steps: 10 }.frames(recording).unwrap()
}

fn frames(recording: &Recording, way: &str) -> Vec<f32> {
    let (way, number) = way.split_once(':').unwrap();
    let number: usize = number.split(',').next().unwrap().parse().unwrap();
    match way {
        "number" => FrameRule::EqualCount { steps: number }.frames(recording).unwrap(),
        "time" => FrameRule::EqualTime { steps: number }.frames(recording).unwrap(),
        "window" => FrameRule::FixedWindow { steps: number, window_us: 20_000 }.frames(recording).unwrap(),
        "duration" => by_duration(recording, number as i64).unwrap(),
        "faithful" => {
            Resize::OtttFaithful.apply(counts(recording), recording.size, [number, number]).unwrap()
        }
        "bilinear" => {
            let plane = 2 * 2 * recording.size[0] * recording.size[1];
            let counts = counts(recording)[..plane].to_vec();
            Resize::Bilinear.apply(counts, recording.size, [number, number]).unwrap()
        }
        _ => panic!("{way}"),
    }
}

#[test]
fn frames_equal_those_of_the_independent_reader() {
    let (mut compared, mut skipped) = (0, 0);
    for line in GOLDENS.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, way, expected @ ..] = fields.as_slice() else { panic!("{line}") };
        let Some(recording) = recording(name) else {
            skipped += 1;
            continue;
        };
        let found = frames(&recording, way);
        if *way == "bilinear:24" {
            for (plane, expected) in found.chunks(24 * 24).zip(expected.chunks(2)) {
                let mean =
                    |power: i32| plane.iter().map(|&value| f64::from(value).powi(power)).sum::<f64>() / 576.0;
                for (found, expected) in [mean(1), mean(2)].into_iter().zip(expected) {
                    let expected: f64 = expected.parse().unwrap();
                    // Pillow keeps f32 between its passes, so each value is off by at most a few 2^-24 of itself.
                    assert!((found - expected).abs() <= 1e-6 * expected, "{line}: {found}");
                }
            }
        } else {
            assert_eq!(hash(&found), expected[1], "{line}");
        }
        compared += 1;
    }
    if skipped > 0 {
        eprintln!("SKIPPED: SNN_SHARED_DATA names no folder, so {skipped} lines of real recordings");
    }
    assert!(compared >= 22, "{compared}");
}

#[test]
fn files_of_other_writers_decode_to_their_events() {
    let events = made(500, 128, 100);
    let aedat =
        aedat2::read("sj.aedat2", include_bytes!("goldens/sj.aedat2"), aedat2::Orientation::SpikingJelly);
    assert_eq!(aedat.unwrap().events, events);
    let gesture = aedat3::read("gesture.aedat", include_bytes!("goldens/gesture.aedat"));
    assert_eq!(gesture.unwrap().events, events);
    assert_eq!(npz::events("cache.npz", include_bytes!("goldens/cache.npz")).unwrap().events, events);
    let array = npy::read("frames.npy", include_bytes!("goldens/frames.npy")).unwrap();
    let frames = npz::frame_array("frames.npy", &array).unwrap();
    assert_eq!(frames.shape, [2, 2, 3, 4]);
    assert_eq!(frames.values, (0..48).map(|value| value as f32).collect::<Vec<_>>());
}
