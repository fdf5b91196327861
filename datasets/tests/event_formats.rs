//! Every reader gives back what its writer was given; real recordings read to their known totals.

#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use datasets::{
    events::{Decoded, Event, Recording, Statistics},
    format::{aedat2, aedat3, atis_bin, dat2, gesture_csv, npy, npz},
    synth::event_files,
};
use keys::Key;

/// Events on a sensor of `size` x `size`, their times apart by at most `step` microseconds.
fn some(count: usize, size: u32, step: u32) -> Vec<Event> {
    let mut stream = Key::new(11).fork("events").stream();
    let mut t = 0;
    (0..count)
        .map(|_| {
            t += i64::from(stream.below(step));
            let (x, y) = (stream.below(size) as u16, stream.below(size) as u16);
            Event { t, x, y, p: stream.chance(0.5) }
        })
        .collect()
}

fn whole(events: &[Event]) -> Decoded {
    Decoded { events: events.to_vec(), dropped: 0 }
}

#[test]
fn atis_bin_gives_back_its_events_with_markers_where_time_runs_over() {
    let short = some(1_000, 34, 100);
    let bytes = event_files::atis_bin(&short).unwrap();
    assert_eq!((bytes.len(), atis_bin::read("a", &bytes).unwrap()), (5_000, whole(&short)));
    let long = some(1_000, 180, 20_000);
    assert!(long.last().unwrap().t > 1 << 23);
    let decoded = atis_bin::read("a", &event_files::atis_bin(&long).unwrap()).unwrap();
    assert_eq!(decoded.events, long);
    assert!(decoded.dropped > 0);
    assert!(event_files::atis_bin(&[Event { t: 0, x: 0, y: 240, p: true }]).is_err());
}

#[test]
fn aedat2_gives_back_its_events_in_each_orientation() {
    let events = some(1_000, 128, 4_000_000);
    for orientation in
        [aedat2::Orientation::SpikingJelly, aedat2::Orientation::Dat2mat, aedat2::Orientation::Tonic]
    {
        let bytes = event_files::aedat2(&events, orientation, true).unwrap();
        let decoded = aedat2::read("a", &bytes, orientation).unwrap();
        assert_eq!(decoded, Decoded { events: events.clone(), dropped: 1 });
    }
}

#[test]
fn aedat3_gives_back_its_events_over_an_overflow_of_31_bits() {
    let events = some(1_000, 128, 8_000_000);
    assert!(events.last().unwrap().t > 1 << 31);
    let decoded = aedat3::read("a", &event_files::aedat3(&events, 64).unwrap()).unwrap();
    assert_eq!(decoded.events, events);
    assert!(decoded.dropped >= 16);
}

#[test]
fn dat2_gives_back_its_events() {
    let events = some(1_000, 304, 100);
    assert_eq!(dat2::read("a", &event_files::dat2(&events).unwrap()).unwrap(), whole(&events));
}

#[test]
fn npz_gives_back_events_and_frames_stored_and_deflated() {
    let events = some(1_000, 128, 100);
    let values: Vec<f32> = (0..2 * 2 * 3 * 5).map(|value| (value % 7) as f32).collect();
    let frames = npz::Frames { shape: [2, 2, 3, 5], values };
    for deflate in [false, true] {
        let bytes = event_files::npz_events(&events, deflate).unwrap();
        assert_eq!(bytes, event_files::npz_events(&events, deflate).unwrap());
        assert_eq!(npz::events("a.npz", &bytes).unwrap(), whole(&events));
        let bytes = event_files::npz_frames(&frames, deflate).unwrap();
        assert_eq!(npz::frames("a.npz", &bytes).unwrap(), frames);
    }
}

#[test]
fn broken_npz_files_are_errors_that_name_the_rule() {
    let message = |bytes: &[u8]| npz::events("a.npz", bytes).unwrap_err().to_string();
    assert!(message(b"no zip").contains("must be a zip archive"));
    let frames = npz::Frames { shape: [1, 1, 1, 1], values: vec![f32::NAN] };
    let bytes = event_files::npz_frames(&frames, false).unwrap();
    assert!(message(&bytes).contains("must hold its members, found t.npy"));
    let error = npz::frames("a.npz", &bytes).unwrap_err().to_string();
    assert!(error.contains("frame values must be finite"), "{error}");
    let mut bytes = event_files::npz_events(&some(100, 10, 10), true).unwrap();
    let middle = bytes.len() / 4;
    bytes[middle] ^= 0x55;
    assert!(message(&bytes).contains("a.npz"));
    let array = event_files::npy("<i2", &[2, 3], &[0; 12]);
    assert!(npz::frame_array("f.npy", &npy::read("f.npy", &array).unwrap()).is_err());
}

#[test]
fn gesture_labels_give_back_their_segments() {
    let segments = [
        gesture_csv::Segment { class: 0, start: 5, end: 90 },
        gesture_csv::Segment { class: 10, start: 60, end: 100 },
    ];
    assert_eq!(gesture_csv::labels("l.csv", &event_files::gesture_labels(&segments)).unwrap(), segments);
}

/// The folder of real recordings, where there is one.
fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("SNN_SHARED_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("SKIPPED: SNN_SHARED_DATA names no folder, so no real recording was read");
    }
    folder
}

fn bytes(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join("events").join(name)).unwrap()
}

/// One recording of the archives in `nmnist-1100`.
fn nmnist(folder: &Path, archive: &str, name: &str) -> Vec<Event> {
    let file = std::fs::File::open(folder.join("nmnist-1100").join(archive)).unwrap();
    let mut archive = zip::ZipArchive::new(file).unwrap();
    let mut bytes = Vec::new();
    archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
    let decoded = atis_bin::read(name, &bytes).unwrap();
    assert_eq!(decoded.dropped, 0);
    Recording::new(name, [34, 34], decoded.events).unwrap().events
}

#[test]
fn real_nmnist_recordings_have_their_known_totals() {
    let Some(folder) = shared() else { return };
    let event = |x, y, p, t| Event { x, y, p, t };
    let known = [
        (
            "Train.zip",
            "Train/5/00001.bin",
            [event(18, 16, true, 893), event(10, 10, false, 305_924)],
            (4_681, 2_328, 76_115, 82_306, 625_535_240),
        ),
        (
            "Train.zip",
            "Train/0/00002.bin",
            [event(10, 30, true, 937), event(11, 17, true, 305_341)],
            (5_028, 2_509, 84_245, 86_564, 746_691_623),
        ),
        (
            "Test.zip",
            "Test/7/00001.bin",
            [event(7, 7, true, 5_087), event(26, 8, true, 307_827)],
            (3_330, 1_718, 55_060, 55_556, 469_759_843),
        ),
    ];
    for (archive, name, ends, (events, on, sum_x, sum_y, sum_t)) in known {
        let found = nmnist(&folder, archive, name);
        assert_eq!([found[0], found[found.len() - 1]], ends, "{name}");
        let expected = Statistics { events, on, sum_x, sum_y, sum_t, backward: 0 };
        assert_eq!(Statistics::of(&found), expected, "{name}");
    }
    let sample = atis_bin::read("sample_nmnist.bin", &bytes(&folder, "sample_nmnist.bin")).unwrap().events;
    assert_eq!((sample.len(), sample[0].t, sample[4_324].t), (4_325, 654, 311_175));
}

#[test]
fn real_dat_recordings_have_their_known_totals() {
    let Some(folder) = shared() else { return };
    for (name, events, last, on) in
        [("sample_ncars.dat", 2_009, 99_952, 0.671_98), ("NCARS_obj_004397_td.dat", 4_407, 99_937, 0.379_17)]
    {
        let found = dat2::read(name, &bytes(&folder, name)).unwrap().events;
        let share = Statistics::of(&found).on as f64 / found.len() as f64;
        assert_eq!((found.len(), found[found.len() - 1].t), (events, last), "{name}");
        assert!((share - on).abs() < 5e-6, "{name}: {share}");
    }
}
