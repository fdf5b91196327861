//! SHD-style HDF5: h5py's file and our own read alike; damaged files are errors.
#![cfg(feature = "hdf5")]

use std::{collections::BTreeMap, path::Path, time::Instant};

use datasets::{
    DataError,
    format::shd_hdf5::{self, Spikes},
    synth::event_files,
};
use keys::Key;
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

fn spikes() -> Spikes {
    Spikes {
        times: vec![vec![0.25, 0.5, 0.75], vec![], vec![0.125]],
        units: vec![vec![699, 5, 0], vec![], vec![699]],
        labels: vec![3, 19, 0],
    }
}

/// Both laws in one test, as the second measures the heap.
#[test]
fn files_read_alike_and_damaged_ones_are_errors_within_bounds() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/shd.h5");
    assert_eq!(shd_hdf5::read(&golden).unwrap(), spikes());
    let recording = spikes().recording(0).unwrap();
    assert_eq!(recording.size, [1, 700]);
    assert_eq!((recording.events[0].t, recording.events[0].x), (250_000, 699));
    assert!(spikes().recording(3).is_err());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fuzz.h5");
    event_files::shd_hdf5(&path, &spikes()).unwrap();
    assert_eq!(shd_hdf5::read(&path).unwrap(), spikes());

    let inputs: u64 =
        std::env::var("SNN_FUZZ_INPUTS").map_or(500, |number| number.parse::<u64>().unwrap() / 100);
    let seeds = [std::fs::read(&path).unwrap(), std::fs::read(&golden).unwrap()];
    let (mut rules, mut accepted, mut most) = (BTreeMap::new(), 0, 0);
    let begin = Instant::now();
    // The last one claims 8 GiB of labels, for which the library made room before the reader asked.
    for tried in (0..inputs).chain([7_281]) {
        let mut stream = Key::new(0xF1).index(tried).stream();
        let mut input = seeds[stream.below(2) as usize].clone();
        for _ in 0..1 + stream.below(6) {
            let place = stream.below(input.len().max(1) as u32) as usize;
            match stream.below(6) {
                0 => input.truncate(place.max(input.len() / 2)),
                1 => input.iter_mut().skip(place).take(8).for_each(|byte| *byte = 0xFF),
                _ => input.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 1 << stream.below(8)),
            }
        }
        std::fs::write(&path, &input).unwrap();
        HEAP.reset_peak_usage();
        let before = HEAP.current_usage();
        let result = shd_hdf5::read(&path);
        let peak = HEAP.peak_usage().saturating_sub(before);
        // Chunks, heaps and rows are copies of what is in a file of 9 KiB.
        assert!(peak < 32 << 20, "input {tried}: {peak} bytes");
        most = most.max(peak);
        match result {
            Ok(_) => accepted += 1,
            Err(DataError::EventFormat { file, rule, .. }) => {
                assert!(file.ends_with("fuzz.h5"));
                *rules.entry(rule).or_insert(0) += 1;
            }
            Err(other) => assert!(other.to_string().is_empty(), "{other}"),
        }
    }
    eprintln!(
        "hdf5: {inputs} inputs, {:.1} s, {accepted} accepted, {} rules reached, at most {most} bytes held",
        begin.elapsed().as_secs_f64(),
        rules.len()
    );
    rules.iter().for_each(|(rule, times)| eprintln!("    {times:>9}  {rule}"));
    assert!(rules.len() >= 3, "{rules:?}");
}
