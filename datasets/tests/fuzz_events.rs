//! Readers of event formats survive mutated files: no panic, no memory beyond their bound, and an error that names the
//! file, a place and a rule.
//!
//! Inputs are at most 4 KiB, mutated from the writers' files (and from real ones where `SNN_SHARED_DATA` names them). By
//! default each reader gets what 8 seconds in all allow it; `SNN_FUZZ_INPUTS=10000000` sets the inputs of each of our own
//! readers, and a hundredth of them those of a reader over a library. The same number gives the same inputs.

#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use datasets::{
    DataError,
    events::{Decoded, FrameRule, Recording},
    format::{aedat2, aedat3, atis_bin, dat2, gesture_csv, npy, npz, packed_events},
    synth::{event_files, event_trees::cloud},
};
use keys::{Key, Stream};
use peak_alloc::PeakAlloc;

/// Counts what is held, so that an allocation from a length field is seen and not only guessed.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const LONGEST: usize = 4096;

type Reader = fn(&[u8]) -> Result<(), DataError>;

struct Target {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    read: Reader,
    /// Numbers that sit in the format's headers: lengths, magics, signs.
    words: &'static [&'static [u8]],
    /// Most bytes that one input may hold at a time.
    most_bytes: usize,
    /// Read by a library through our wrapper: a hundredth of the inputs.
    library: bool,
}

/// Frames too, as what a reader lets through must not fail later. The sensor is as large as the events need.
fn decoded(decoded: Decoded, most: u16) -> Result<(), DataError> {
    let events = decoded.events;
    if events.iter().any(|event| event.x >= most || event.y >= most) {
        return Ok(());
    }
    let recording = Recording::new("fuzz", [usize::from(most); 2], events)?;
    for rule in [
        FrameRule::EqualCount { steps: 2 },
        FrameRule::EqualTime { steps: 2 },
        FrameRule::FixedWindow { steps: 2, window_us: 1_000 },
    ] {
        // A span of less than two microseconds is refused, rightly.
        let _ = rule.frames(&recording);
    }
    Ok(())
}

fn targets() -> Vec<Target> {
    let events = cloud(120, 34, 0, Key::new(1));
    let late = cloud(60, 100, (1 << 31) - 20_000, Key::new(2));
    let mut bin = vec![event_files::atis_bin(&events).unwrap()];
    bin.push(event_files::atis_bin(&cloud(300, 100, (1 << 23) - 100_000, Key::new(3))).unwrap());
    let mut dat = vec![event_files::dat2(&events).unwrap()];
    if let Some(folder) = std::env::var_os("SNN_SHARED_DATA").map(std::path::PathBuf::from) {
        let head = |name: &str, length: usize| {
            let bytes = std::fs::read(folder.join("events").join(name)).unwrap();
            bytes[..bytes.len().min(length)].to_vec()
        };
        bin.push(head("sample_nmnist.bin", 4_095));
        dat.push(head("sample_ncars.dat", 4_000));
        dat.push(head("NCARS_obj_004397_td.dat", 4_000));
    }
    let orientation = aedat2::Orientation::SpikingJelly;
    let values: Vec<f32> = (0..2 * 2 * 6 * 5).map(|value| value as f32).collect();
    let frames = npz::Frames { shape: [2, 2, 6, 5], values };
    let body: Vec<u8> = (0..240).collect();
    vec![
        Target {
            name: "atis-bin",
            seeds: bin,
            read: |bytes| atis_bin::read("fuzz", bytes).and_then(|found| decoded(found, 16)),
            words: &[&[240], &[0x7F, 0xFF, 0xFF], &[0xFF]],
            most_bytes: 64 << 10,
            library: false,
        },
        Target {
            name: "aedat2",
            seeds: vec![
                event_files::aedat2(&events, orientation, true).unwrap(),
                include_bytes!("goldens/sj.aedat2").to_vec(),
            ],
            read: |bytes| {
                aedat2::read("fuzz", bytes, aedat2::Orientation::Tonic).and_then(|found| decoded(found, 16))
            },
            words: &[b"#", b"\r\n", b"#!AER-DAT2.0\r\n", &[0, 0, 0x80, 0], &[0, 1, 0, 0]],
            most_bytes: 64 << 10,
            library: false,
        },
        Target {
            name: "aedat3",
            seeds: vec![
                event_files::aedat3(&late, 16).unwrap(),
                include_bytes!("goldens/gesture.aedat")[..4_088].to_vec(),
            ],
            read: |bytes| aedat3::read("fuzz", bytes).and_then(|found| decoded(found, 16)),
            words: &[b"#", b"#!END-HEADER\r\n", &[8, 0, 0, 0], &[0xFF; 4], &[0, 0, 0, 0x80], &[1, 0]],
            most_bytes: 64 << 10,
            library: false,
        },
        Target {
            name: "dat2",
            seeds: dat,
            read: |bytes| dat2::read("fuzz", bytes).and_then(|found| decoded(found, 16)),
            words: &[b"%", b"\n", &[0, 8], &[12, 8], &[0, 0, 0, 0x20]],
            most_bytes: 64 << 10,
            library: false,
        },
        Target {
            name: "packed-events",
            seeds: vec![
                packed_events::write("fuzz", &Decoded { events: events.clone(), dropped: 3 }).unwrap(),
                packed_events::write(
                    "fuzz",
                    &Decoded { events: cloud(60, 100, i64::MAX - 60_000, Key::new(4)), dropped: 0 },
                )
                .unwrap(),
            ],
            read: |bytes| packed_events::read("fuzz", bytes).and_then(|found| decoded(found, 16)),
            words: &[&[0xFF; 8], &[0xFF, 0xFF, 0xFF, 0x7F], &[0, 0x80]],
            most_bytes: 64 << 10,
            library: false,
        },
        Target {
            name: "gesture-csv",
            seeds: vec![
                b"class,startTime_usec,endTime_usec\n1,80048239,85092709\n2,89431170,95231007\n11,5,6\n"
                    .to_vec(),
                b"user01_fluorescent.aedat\nuser02_lab.aedat\n".to_vec(),
            ],
            read: |bytes| {
                if bytes.first() == Some(&b'c') {
                    return gesture_csv::labels("fuzz", bytes).map(drop);
                }
                let names = gesture_csv::trials("fuzz", bytes)?;
                assert!(names.iter().all(|name| !name.contains(['/', '\\']) && !name.starts_with('.')));
                Ok(())
            },
            words: &[b",", b"\n", b"-", b"99999999999", b"../", &[0xC3, 0x28], b".aedat"],
            most_bytes: 256 << 10,
            library: false,
        },
        Target {
            name: "npy",
            seeds: vec![
                event_files::npy("<f8", &[2, 3, 5, 1], &body),
                event_files::npy("<i2", &[120], &body),
                event_files::npy("<f2", &[1, 2, 6, 10], &body),
                include_bytes!("goldens/frames.npy").to_vec(),
            ],
            read: |bytes| {
                let array = npy::read("fuzz", bytes)?;
                array.integers().for_each(drop);
                npz::frame_array("fuzz", &array).map(drop)
            },
            words: &[b"(", b",)", b"99999999999", b"True ", b"'<i8'", b"'|u1'", b"'", &[2], &[0xFF; 4]],
            most_bytes: 64 << 10,
            library: false,
        },
        Target {
            name: "npz",
            seeds: vec![
                event_files::npz_events(&events[..60], false).unwrap(),
                event_files::npz_events(&events, true).unwrap(),
                event_files::npz_frames(&frames, true).unwrap(),
                include_bytes!("goldens/cache.npz").to_vec(),
            ],
            read: |bytes| {
                // An archive holds events or frames.
                npz::frames("fuzz", bytes)
                    .map(drop)
                    .or_else(|_| npz::events("fuzz", bytes).and_then(|found| decoded(found, 16)))
            },
            words: &[b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", &[0xFF; 4], &[8, 0], b"t.npy"],
            // Deflate can blow 4 KiB up to 4 MiB, and events take twice their columns.
            most_bytes: 48 << 20,
            library: true,
        },
    ]
}

/// One to eight changes: bits, bytes, words of the format, cuts, repeats, and pieces of another seed.
fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&[u8]], stream: &mut Stream) {
    let seed = stream.below(seeds.len() as u32) as usize;
    input.clear();
    input.extend_from_slice(&seeds[seed]);
    for _ in 0..1 + stream.below(8) {
        let place = stream.below(input.len().max(1) as u32) as usize;
        let length = 1 + stream.below(32) as usize;
        let end = (place + length).min(input.len());
        match stream.below(8) {
            0 | 1 => {
                if let Some(byte) = input.get_mut(place) {
                    *byte ^= 1 << stream.below(8);
                }
            }
            2 => {
                if let Some(byte) = input.get_mut(place) {
                    *byte = stream.below(256) as u8;
                }
            }
            3 => input.truncate(place),
            4 => drop(input.drain(place..end)),
            5 => {
                let word = words[stream.below(words.len() as u32) as usize];
                if stream.chance(0.5) {
                    input.splice(place..place, word.iter().copied());
                } else {
                    input.iter_mut().skip(place).zip(word).for_each(|(to, from)| *to = *from);
                }
            }
            6 => {
                let piece = input[place.min(end)..end].to_vec();
                let to = stream.below(input.len() as u32 + 1) as usize;
                input.splice(to..to, piece);
            }
            _ => {
                let other = &seeds[stream.below(seeds.len() as u32) as usize];
                let from = stream.below(other.len().max(1) as u32) as usize;
                let piece = other[from..(from + length).min(other.len())].to_vec();
                input.splice(place..end, piece);
            }
        }
    }
    input.truncate(LONGEST);
}

/// The rule that an error tells.
fn rule(error: &DataError) -> String {
    match error {
        DataError::EventFormat { file, rule, .. } => {
            assert!(file.starts_with("fuzz"));
            (*rule).to_owned()
        }
        DataError::EventChoice { rule, .. } => (*rule).to_owned(),
        other => other.to_string(),
    }
}

#[test]
fn readers_survive_mutated_files() {
    let inputs: Option<u64> = std::env::var("SNN_FUZZ_INPUTS").ok().map(|number| number.parse().unwrap());
    let targets = targets();
    let only = std::env::var("SNN_FUZZ_TARGET").ok();
    let share = Duration::from_secs(8) / targets.len() as u32;
    for target in targets.iter().filter(|target| only.as_ref().is_none_or(|only| only == target.name)) {
        assert!(target.seeds.iter().all(|seed| seed.len() <= LONGEST), "{}", target.name);
        // Every seed is a valid file of one of the target's kinds.
        assert!(target.seeds.iter().all(|seed| !seed.is_empty()));
        let limit = inputs.map(|inputs| if target.library { inputs / 100 } else { inputs });
        let begin = Instant::now();
        let key = Key::new(0xF0).fork(target.name);
        let (mut rules, mut accepted, mut tried, mut most) = (BTreeMap::new(), 0_u64, 0, 0_usize);
        let mut input = Vec::with_capacity(2 * LONGEST);
        while limit.map_or_else(|| begin.elapsed() < share, |limit| tried < limit) {
            mutate(&mut input, &target.seeds, target.words, &mut key.index(tried).stream());
            HEAP.reset_peak_usage();
            let before = HEAP.current_usage();
            let result = (target.read)(&input);
            let peak = HEAP.peak_usage() - before;
            assert!(peak <= target.most_bytes, "{} input {tried}: {peak} bytes", target.name);
            most = most.max(peak);
            match result {
                Ok(()) => accepted += 1,
                Err(error) => *rules.entry(rule(&error)).or_insert(0_u64) += 1,
            }
            tried += 1;
        }
        eprintln!(
            "{}: {tried} inputs, {:.1} s, {accepted} accepted, {} rules reached, at most {most} bytes held",
            target.name,
            begin.elapsed().as_secs_f64(),
            rules.len(),
        );
        for (rule, times) in &rules {
            eprintln!("    {times:>9}  {rule}");
        }
        // A fuzzer that reaches one rule only is broken itself. A file of five-byte records has one.
        assert!(rules.len() > usize::from(target.name != "atis-bin"), "{}: {rules:?}", target.name);
    }
}
