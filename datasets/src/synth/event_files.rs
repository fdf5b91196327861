//! Event recordings as bytes of each format that the readers know.
//!
//! A writer refuses what its format can't hold, so that reading a written file gives back the same events.

use std::io::{Cursor, Write};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{
    DataError,
    events::Event,
    format::{
        aedat2::Orientation,
        atis_bin::{LAST_US, MARKER_US, MARKER_Y},
        gesture_csv::Segment,
        npz::Frames,
    },
};

fn refuse(format: &str, rule: &'static str, event: &Event) -> DataError {
    DataError::event_choice(format!("{format} writer"), rule, format!("{event:?}"))
}

/// N-MNIST's `.bin`, with overflow markers where times pass 2^23 us.
///
/// # Errors
/// When a column passes 255, a row reaches the marker's, or a time goes back behind what markers have added.
pub fn atis_bin(events: &[Event]) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::with_capacity(5 * events.len());
    let mut origin = 0;
    for event in events {
        while event.t - origin > LAST_US {
            bytes.extend([0, MARKER_Y, 0, 0, 0]);
            origin += MARKER_US;
        }
        let (Ok(x), Ok(y), t) = (u8::try_from(event.x), u8::try_from(event.y), event.t - origin) else {
            return Err(refuse("ATIS .bin", "x and y must be below 256", event));
        };
        if y == MARKER_Y || t < 0 {
            return Err(refuse("ATIS .bin", "y must not be 240 and t not below the markers' sum", event));
        }
        let [_, high, middle, low] = (t as u32).to_be_bytes();
        bytes.extend([x, y, high | u8::from(event.p) << 7, middle, low]);
    }
    Ok(bytes)
}

/// AEDAT 2.0 of a DVS128; `external` writes one external event in front of all others.
///
/// # Errors
/// When an event is outside 128 x 128 or its time outside 32 bits.
pub fn aedat2(events: &[Event], orientation: Orientation, external: bool) -> Result<Vec<u8>, DataError> {
    let mut bytes = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n".to_vec();
    if external {
        bytes.extend([0, 0, 0x80, 0, 0, 0, 0, 0]);
    }
    for event in events {
        if event.x > 127 || event.y > 127 || u32::try_from(event.t).is_err() {
            return Err(refuse("AEDAT 2.0", "x and y must be below 128 and t have 32 bits", event));
        }
        let (a, b, p) = match orientation {
            Orientation::SpikingJelly => (127 - event.y, 127 - event.x, !event.p),
            Orientation::Dat2mat => (127 - event.x, event.y, !event.p),
            Orientation::Tonic => (event.y, event.x, event.p),
        };
        let address = u32::from(a) << 1 | u32::from(b) << 8 | u32::from(p);
        bytes.extend(address.to_be_bytes());
        bytes.extend((event.t as u32).to_be_bytes());
    }
    Ok(bytes)
}

/// AEDAT 3.1 in packets of `packet` events, each with two unused places behind them; every packet is followed by a
/// special packet of one event, which a reader has to skip.
///
/// # Errors
/// When x or y passes 15 bits, a time is negative, or `packet` is 0.
pub fn aedat3(events: &[Event], packet: usize) -> Result<Vec<u8>, DataError> {
    if packet == 0 {
        return Err(DataError::event_choice("AEDAT 3.1 writer", "a packet must hold an event", packet));
    }
    let mut bytes = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n\
                      #Start-Time: 2015-01-01 00:00:00 (TZ+0000)\r\n#!END-HEADER\r\n"
        .to_vec();
    // A packet has one overflow count, so events are cut where it changes too.
    for run in events.chunk_by(|a, b| a.t >> 31 == b.t >> 31) {
        for events in run.chunks(packet) {
            let overflow = events.first().map_or(0, |event| event.t >> 31);
            if !(0..=i64::from(i32::MAX)).contains(&overflow) {
                let rule = "t must not be negative nor pass 62 bits";
                return Err(refuse("AEDAT 3.1", rule, &events[0]));
            }
            packet_header(&mut bytes, 1, overflow as u32, [events.len() + 2, events.len(), events.len()]);
            for event in events {
                if event.x > 0x7FFF || event.y > 0x7FFF {
                    return Err(refuse("AEDAT 3.1", "x and y must have 15 bits", event));
                }
                let data = u32::from(event.x) << 17 | u32::from(event.y) << 2 | u32::from(event.p) << 1 | 1;
                bytes.extend(data.to_le_bytes());
                bytes.extend((event.t as u32 & 0x7FFF_FFFF).to_le_bytes());
            }
            bytes.extend([0xFF; 16]);
            packet_header(&mut bytes, 0, overflow as u32, [1, 1, 1]);
            bytes.extend([0; 8]);
        }
    }
    Ok(bytes)
}

fn packet_header(bytes: &mut Vec<u8>, kind: u16, overflow: u32, counts: [usize; 3]) {
    bytes.extend(kind.to_le_bytes());
    bytes.extend(1_u16.to_le_bytes());
    let [capacity, number, valid] = counts.map(|count| count as u32);
    for word in [8, 4, overflow, capacity, number, valid] {
        bytes.extend(word.to_le_bytes());
    }
}

/// The label file of a trial of DVS128 Gesture.
#[must_use]
pub fn gesture_labels(segments: &[Segment]) -> Vec<u8> {
    let rows = segments.iter().map(|segment| {
        let Segment { class, start, end } = segment;
        format!("{},{start},{end}\n", class + 1)
    });
    let header = "class,startTime_usec,endTime_usec\n".to_owned();
    std::iter::once(header).chain(rows).collect::<String>().into_bytes()
}

/// Prophesee's DAT, version 2.
///
/// # Errors
/// When x or y passes 14 bits, or a time 32.
pub fn dat2(events: &[Event]) -> Result<Vec<u8>, DataError> {
    let mut bytes = b"% Data file containing CD events\n% Version 2\n".to_vec();
    bytes.extend([0, 8]);
    for event in events {
        if event.x > 0x3FFF || event.y > 0x3FFF || u32::try_from(event.t).is_err() {
            return Err(refuse("DAT", "x and y must have 14 bits and t 32", event));
        }
        bytes.extend((event.t as u32).to_le_bytes());
        let data = u32::from(event.x) | u32::from(event.y) << 14 | u32::from(event.p) << 28;
        bytes.extend(data.to_le_bytes());
    }
    Ok(bytes)
}

/// One `.npy` array, version 1.0; `descr` is NumPy's name of the numbers in `data`.
#[must_use]
pub fn npy(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    // NumPy writes `(3,)` and `(3, 4)`.
    let sides = if shape.len() == 1 { sides.trim_end() } else { sides.trim_end_matches(", ") };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sides}), }}");
    // The body begins at a multiple of 64.
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\0", &length[..], header.as_bytes(), data].concat()
}

/// SpikingJelly's event cache, with i64 columns.
///
/// # Errors
/// When the archive can't be written, which memory alone can cause.
pub fn npz_events(events: &[Event], deflate: bool) -> Result<Vec<u8>, DataError> {
    let column = |value: fn(&Event) -> i64| {
        let data: Vec<u8> = events.iter().flat_map(|event| value(event).to_le_bytes()).collect();
        npy("<i8", &[events.len()], &data)
    };
    let members = [
        ("t", column(|event| event.t)),
        ("x", column(|event| i64::from(event.x))),
        ("y", column(|event| i64::from(event.y))),
        ("p", column(|event| i64::from(event.p))),
    ];
    archive(&members, deflate)
}

/// SpikingJelly's frame cache, with f64 values.
///
/// # Errors
/// When the archive can't be written, which memory alone can cause.
pub fn npz_frames(frames: &Frames, deflate: bool) -> Result<Vec<u8>, DataError> {
    let data: Vec<u8> = frames.values.iter().flat_map(|&value| f64::from(value).to_le_bytes()).collect();
    archive(&[("frames", npy("<f8", &frames.shape, &data))], deflate)
}

fn archive(members: &[(&str, Vec<u8>)], deflate: bool) -> Result<Vec<u8>, DataError> {
    let fault = |error: &dyn std::fmt::Display| {
        DataError::event_choice("npz writer", "the archive must fit in memory", error)
    };
    let method = if deflate { CompressionMethod::Deflated } else { CompressionMethod::Stored };
    // The default time is the format's first, so that the same members are the same bytes.
    let options = SimpleFileOptions::default().compression_method(method);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(format!("{name}.npy"), options).map_err(|error| fault(&error))?;
        writer.write_all(bytes).map_err(|error| fault(&error))?;
    }
    let archive = writer.finish().map_err(|error| fault(&error))?;
    Ok(archive.into_inner())
}

/// Spiking Heidelberg Digits' HDF5, with times as f32: Rust has no stable half floats to write.
///
/// # Errors
/// When the file can't be written.
#[cfg(feature = "hdf5")]
pub fn shd_hdf5(path: &std::path::Path, spikes: &crate::format::shd_hdf5::Spikes) -> Result<(), DataError> {
    let times: Vec<Vec<f32>> =
        spikes.times.iter().map(|times| times.iter().map(|&time| time as f32).collect()).collect();
    let times: Vec<&[f32]> = times.iter().map(Vec::as_slice).collect();
    let units: Vec<&[u16]> = spikes.units.iter().map(Vec::as_slice).collect();
    let write = || -> rust_hdf5::Result<()> {
        let file = rust_hdf5::H5File::create(path)?;
        let group = file.create_group("spikes")?;
        group.write_vlen_numeric("times", &times)?;
        group.write_vlen_numeric("units", &units)?;
        let labels = file.new_dataset::<u32>().shape([spikes.labels.len()]).create("labels")?;
        labels.write_raw(&spikes.labels)?;
        file.close()
    };
    write().map_err(|error| {
        DataError::event_choice(path.display().to_string(), "the HDF5 file must be written", error)
    })
}
