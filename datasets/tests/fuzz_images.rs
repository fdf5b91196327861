//! The parsers of image formats under mutated files: no panic, no allocation beyond what the bytes can hold.
//!
//! Inputs are files of every format, at most 4 KiB, changed at a few places; sums that guard a format are set right half of
//! the time, so that what lies behind them is reached. The number of inputs is `SNN_FUZZ_INPUTS` for each parser
//! (10,000,000 in the long run) and `SNN_FUZZ_DECODED` for formats that a library decodes (100,000); without them a few
//! seconds' worth. Each prints inputs, seconds and distinct error rules.

#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

use std::{cell::RefCell, collections::BTreeSet, env, io::Write as _, time::Instant};

use datasets::{
    DataError,
    format::{
        cifar_bin::{self, Version},
        idx,
        jpeg::{Part, Reader},
        pickle,
        picture::{Rgb, decode, decode_part},
        shard::{Builder, Codec, HEADER, Manifest, Shard, Sums},
        tar,
    },
    synth::images::jpeg,
};
use keys::{Key, Stream};
use sha2::{Digest, Sha256};

const LONGEST: usize = 4096;

fn inputs(variable: &str, quick: u64) -> u64 {
    env::var(variable).map_or(quick, |text| text.replace('_', "").parse().unwrap())
}

/// Changes a file at one to eight places: bits, bytes, words of interest, a cut, a piece copied over another.
fn mutate(bytes: &mut Vec<u8>, stream: &mut Stream) {
    for _ in 0..=stream.below(8) {
        let length = bytes.len() as u32;
        if length == 0 {
            bytes.push(stream.bits() as u8);
            continue;
        }
        let at = stream.below(length) as usize;
        match stream.below(7) {
            0 => bytes[at] ^= 1 << stream.below(8),
            1 => bytes[at] = stream.bits() as u8,
            2 => {
                let words =
                    [0_u32, 1, 0x7F, 0x80, 0xFF, 0x7FFF_FFFF, 0x8000_0000, u32::MAX, 2051, 0x2020_2020];
                let word = words[stream.below(words.len() as u32) as usize];
                let word = if stream.chance(0.5) { word.to_le_bytes() } else { word.to_be_bytes() };
                bytes.iter_mut().skip(at).zip(word).for_each(|(byte, new)| *byte = new);
            }
            3 => bytes.truncate(at),
            4 => {
                let from = stream.below(length) as usize;
                let piece: Vec<u8> =
                    bytes[from..].iter().take(1 + stream.below(64) as usize).copied().collect();
                bytes.iter_mut().skip(at).zip(piece).for_each(|(byte, new)| *byte = new);
            }
            5 if bytes.len() < LONGEST => bytes.insert(at, stream.bits() as u8),
            _ => {
                bytes.remove(at);
            }
        }
    }
    bytes.truncate(LONGEST);
}

fn fuzz(
    name: &str,
    count: u64,
    seeds: &[Vec<u8>],
    parse: impl Fn(Vec<u8>, &mut Stream) -> Result<(), DataError>,
) {
    assert!(seeds.iter().all(|seed| seed.len() <= LONGEST), "{name}");
    let began = Instant::now();
    let (mut rules, mut accepted) = (BTreeSet::new(), 0_u64);
    for input in 0..count {
        let mut stream = Key::new(2024).fork(name).index(input).stream();
        let mut bytes = seeds[stream.below(seeds.len() as u32) as usize].clone();
        mutate(&mut bytes, &mut stream);
        match parse(bytes, &mut stream) {
            Ok(()) => accepted += 1,
            Err(error) => {
                let rule = error.rule();
                if !rules.contains(&rule) {
                    let text = error.to_string();
                    assert!(
                        text.contains("input") || text.contains("pickle"),
                        "an error names its file: {text}"
                    );
                    rules.insert(rule);
                }
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut output = std::io::stderr();
    writeln!(
        output,
        "{name}: {count} inputs, {seconds:.1} s, {accepted} accepted, {} error rules",
        rules.len()
    )
    .unwrap();
    for rule in &rules {
        writeln!(output, "    {rule}").unwrap();
    }
    assert!(!rules.is_empty());
}

const QUICK: u64 = 100_000;

#[test]
fn idx_plain() {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let seeds =
        [[words(&[2051, 3, 8, 8]), vec![9; 192]].concat(), [words(&[2049, 20]), vec![3; 20]].concat()];
    fuzz("idx", inputs("SNN_FUZZ_INPUTS", QUICK), &seeds, |bytes, stream| {
        // Gzip has its own test.
        if bytes.starts_with(&[0x1F, 0x8B]) {
            return Ok(());
        }
        if stream.chance(0.5) {
            idx::images("input", bytes).map(drop)
        } else {
            idx::labels("input", bytes).map(drop)
        }
    });
}

#[test]
fn cifar_binary() {
    let seeds = [vec![3; 3073], vec![4; 3074], b"\x80\x02}q\x01(U\x0bbatch_label".to_vec()];
    fuzz("cifar", inputs("SNN_FUZZ_INPUTS", QUICK / 10), &seeds, |mut bytes, stream| {
        let version = if stream.chance(0.5) { Version::Cifar10 } else { Version::Cifar100 };
        if stream.chance(0.7) {
            bytes.resize(version.record(), 0);
        }
        pickle::refuse("input", &bytes)?;
        cifar_bin::append("input", &bytes, version, 1, (&mut Vec::new(), &mut Vec::new()))
    });
}

#[test]
fn tar_index() {
    let mut plain = Vec::new();
    tar::append(&mut plain, "n01440764/a.JPEG", b"contents").unwrap();
    tar::append(&mut plain, "b.JPEG", &[1; 600]).unwrap();
    let mut long = Vec::new();
    tar::append(&mut long, "././@LongLink", b"a/very/long/name\0").unwrap();
    long[156] = b'L';
    tar::append(&mut long, "PaxHeaders/x", b"20 path=another/nam\n11 size=12\n").unwrap();
    long[1024 + 156] = b'x';
    tar::append(&mut long, "short", b"123456789012").unwrap();
    fuzz("tar", inputs("SNN_FUZZ_INPUTS", QUICK), &[plain, long], |mut bytes, stream| {
        // A header whose sum is wrong is refused at once: set the first few right.
        for at in (0..bytes.len()).step_by(512).take(6) {
            let Some(header) = bytes.get_mut(at..at + 512).filter(|_| stream.chance(0.7)) else { continue };
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let entries = tar::entries("input", &bytes)?;
        assert!(entries.iter().all(|entry| entry.offset + entry.length <= bytes.len()));
        Ok(())
    });
}

#[test]
fn shard() {
    let seed = |codec, contents: &[&[u8]]| {
        let manifest = Manifest {
            dataset: "synth-10".to_owned(),
            split: "train".to_owned(),
            classes: 3,
            shape: [1, 1, 4],
            codec,
            source_manifest: "ab".to_owned(),
            rules: None,
        };
        let names = (0..contents.len()).map(|index| format!("name{index}"));
        let mut builder = Builder::new(&manifest, names).unwrap();
        contents.iter().for_each(|contents| builder.add(2, contents, Sums::of(contents)).unwrap());
        // The whole file has more than 4 KiB for its alignment; mutants are padded to their stated length below.
        builder.finish().0
    };
    let seeds = [seed(Codec::Planes, &[b"abcd", b"efgh"]), seed(Codec::Pictures, &[b"abc", b"", b"defgh"])];
    fuzz("shard", inputs("SNN_FUZZ_INPUTS", QUICK), &seeds, |mut bytes, stream| {
        if bytes.len() >= HEADER && stream.chance(0.9) {
            let number = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().unwrap());
            let json = u64::from(u32::from_le_bytes(*bytes[12..].first_chunk().unwrap()));
            let [samples, names] = [number(16), number(24)];
            let end =
                samples.checked_mul(56).and_then(|lines| lines.checked_add(names)?.checked_add(80 + json));
            bytes.resize(4096 + stream.below(16) as usize, 0);
            if stream.chance(0.8) {
                let length = bytes.len() as u64;
                bytes[40..48].copy_from_slice(&length.to_le_bytes());
            }
            if let Some(end) = end.filter(|&end| end <= bytes.len() as u64) {
                let sum = Sha256::new()
                    .chain_update(&bytes[..48])
                    .chain_update(&bytes[80..end as usize])
                    .finalize();
                bytes[48..80].copy_from_slice(&sum);
            }
        }
        let shard = Shard::parse("input", &bytes)?;
        (0..shard.len()).try_for_each(|sample| {
            let _ = (shard.name(&bytes, sample), shard.contents(&bytes, sample));
            shard.check("input", &bytes, sample)
        })
    });
}

/// Bytes that this process may hold while a library decodes 4 KiB: what 4 KiB of JPEG can promise at 1,024 pixels a byte
/// (4 Mi pixels), as RGB and as coefficients of two bytes in three planes, is 40 MiB; the test program itself is far below
/// the rest.
const MOST_RESIDENT_KIB: u64 = 256 * 1024;

/// The highest resident memory of this process so far, in KiB, where the system tells it.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn check_peak(name: &str) {
    if let Some(peak) = peak_kib() {
        eprintln!("{name}: peak resident {peak} KiB");
        assert!(peak < MOST_RESIDENT_KIB, "{peak} KiB");
    }
}

#[test]
fn pictures() {
    let ramp = Rgb { width: 40, height: 30, pixels: (0..3_600_u32).map(|at| (at * 7 % 256) as u8).collect() };
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, 8, 6);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&ramp.pixels[..144]).unwrap();
    let mut progressive = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut progressive, 60);
    encoder.set_progressive(true);
    encoder.encode(&ramp.pixels, 40, 30, jpeg_encoder::ColorType::Rgb).unwrap();
    let seeds = [jpeg(&ramp, 60).unwrap(), progressive, png];
    fuzz("pictures", inputs("SNN_FUZZ_DECODED", 3_000), &seeds, |bytes, _| {
        decode("input", &bytes, &mut Rgb::default())
    });
    check_peak("pictures");
}

/// The decoder of parts under garbled JPEGs, with the memory of the picture before.
#[test]
fn jpeg_parts() {
    let ramp = Rgb { width: 40, height: 30, pixels: (0..3_600_u32).map(|at| (at * 7 % 256) as u8).collect() };
    let mut restarts = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut restarts, 95);
    encoder.set_restart_interval(2);
    encoder.encode(&ramp.pixels, 40, 30, jpeg_encoder::ColorType::Rgb).unwrap();
    let seeds = [jpeg(&ramp, 60).unwrap(), restarts];
    let (reader, image) = (RefCell::new(Reader::default()), RefCell::new(Rgb::default()));
    fuzz("jpeg parts", inputs("SNN_FUZZ_INPUTS", QUICK / 10), &seeds, |bytes, stream| {
        let mut choose = |side: usize| {
            let start = stream.below(side as u32) as usize;
            start..start + 1 + stream.below((side - start) as u32) as usize
        };
        let part = |[width, height]: [usize; 2]| Part { columns: choose(width), rows: choose(height) };
        decode_part("input", &bytes, part, (&mut reader.borrow_mut(), &mut image.borrow_mut()))
    });
    check_peak("jpeg parts");
}

#[test]
fn gzip() {
    let plain = [&[0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 8, 0, 0, 0, 8][..], &[9; 192]].concat();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&plain).unwrap();
    let seeds = [encoder.finish().unwrap()];
    fuzz("gzip", inputs("SNN_FUZZ_DECODED", 3_000), &seeds, |bytes, _| idx::images("input", bytes).map(drop));
    check_peak("gzip");
}
