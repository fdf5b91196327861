//! Spiking Heidelberg Digits and Speech Commands: HDF5 with one row of variable length a sample.
//!
//! `spikes/times` in seconds (half floats as the authors have them; wider ones are read too), `spikes/units` in 0..700,
//! `labels`. Cramer, Stradmann, Schemmel, Zenke, "The Heidelberg spiking data sets for the systematic evaluation of
//! spiking neural networks", 2022. HDF5 itself is read by a library in Rust.

use std::path::Path;

use rust_hdf5::{ByteOrder, DatatypeMessage, H5Dataset, H5File};

use super::{npy::half, zip_member::MOST_A_BYTE};
use crate::{
    DataError,
    events::{Event, Recording},
};

/// Channels of the authors' cochlea model.
pub const UNITS: u16 = 700;

/// All samples of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Spikes {
    /// Seconds of each spike of each sample.
    pub times: Vec<Vec<f64>>,
    /// Channel of each spike of each sample, below [`UNITS`].
    pub units: Vec<Vec<u16>>,
    /// Class of each sample.
    pub labels: Vec<u32>,
}

impl Spikes {
    /// One sample as events on a sensor of one row: x is the channel, all are ON, and times are rounded to microseconds.
    ///
    /// # Errors
    /// When there is no such sample.
    pub fn recording(&self, index: usize) -> Result<Recording, DataError> {
        let (Some(times), Some(units)) = (self.times.get(index), self.units.get(index)) else {
            let rule = "a sample's index must be below the samples of its file";
            return Err(DataError::event_choice("SHD", rule, format!("{index} of {}", self.times.len())));
        };
        let event = |(time, &x): (&f64, &u16)| Event { t: (time * 1e6).round() as i64, x, y: 0, p: true };
        Recording::new("SHD", [1, usize::from(UNITS)], times.iter().zip(units).map(event).collect())
    }
}

/// Reads a file whole.
///
/// # Errors
/// When the library refuses the file, a member is missing or of another type, counts differ, or a time is negative or
/// not finite, or a channel is out of range.
pub fn read(path: &Path) -> Result<Spikes, DataError> {
    let name = path.display().to_string();
    let fault = |rule, found: &dyn std::fmt::Display| DataError::event_format(&name, 0, rule, found);
    let file = H5File::open(path).map_err(|error| fault("an SHD file must be HDF5", &error))?;
    // The library makes room for what a member claims; so a claim is held against the bytes that are there first.
    let length =
        std::fs::metadata(path).map_err(|source| DataError::Read { file: name.clone(), source })?.len();
    let member = |member: &str| {
        let dataset = file
            .dataset(member)
            .map_err(|error| fault("an SHD file must hold its members", &format!("{member}: {error}")))?;
        let claim = (dataset.total_elements() as u64).checked_mul(dataset.element_size() as u64);
        if claim.is_none_or(|claim| claim > length.saturating_mul(MOST_A_BYTE)) {
            let found = format!("{member}: shape {:?}", dataset.shape());
            return Err(fault("an SHD member must not claim more than deflate can unpack to", &found));
        }
        Ok(dataset)
    };
    let times = rows(&name, "spikes/times", &member("spikes/times")?, true)?;
    let units = rows(&name, "spikes/units", &member("spikes/units")?, false)?;
    let labels: Vec<u32> = member("labels")?
        .read_numeric_as::<u32>()
        .map_err(|error| fault("SHD labels must be whole numbers", &error))?;
    if times.len() != units.len() || times.len() != labels.len() {
        let found = format!("times {} units {} labels {}", times.len(), units.len(), labels.len());
        return Err(fault("SHD members must have one row a sample", &found));
    }
    let mut channels = Vec::with_capacity(units.len());
    for (sample, (times, units)) in times.iter().zip(units).enumerate() {
        if times.len() != units.len() {
            let found = format!("{} times and {} units in sample {sample}", times.len(), units.len());
            return Err(fault("an SHD sample must have a time and a unit for each spike", &found));
        }
        // A year has 3.2e7 seconds: beyond it, microseconds would run over.
        if let Some(time) = times.iter().find(|time| !(0.0..1e8).contains(*time)) {
            return Err(fault("SHD times must be in 0..1e8 seconds", &format!("{time} in sample {sample}")));
        }
        if let Some(unit) = units.iter().find(|unit| !(0.0..f64::from(UNITS)).contains(*unit)) {
            return Err(fault("SHD units must be in 0..700", &format!("{unit} in sample {sample}")));
        }
        channels.push(units.into_iter().map(|unit| unit as u16).collect());
    }
    Ok(Spikes { times, units: channels, labels })
}

/// The rows of a member, as numbers.
fn rows(file: &str, member: &str, dataset: &H5Dataset, floats: bool) -> Result<Vec<Vec<f64>>, DataError> {
    let fault = |rule, found: String| DataError::event_format(file, 0, rule, format!("{member}: {found}"));
    let datatype = dataset.datatype();
    let number: fn(&[u8]) -> f64 = match datatype.as_ref().ok().and_then(base) {
        Some((true, 2)) if floats => |word| half(u16::from_le_bytes(array(word))),
        Some((true, 4)) if floats => |word| f64::from(f32::from_le_bytes(array(word))),
        Some((true, 8)) if floats => |word| f64::from_le_bytes(array(word)),
        Some((false, 2)) if !floats => |word| f64::from(u16::from_le_bytes(array(word))),
        Some((false, 4)) if !floats => |word| f64::from(u32::from_le_bytes(array(word))),
        Some((false, 8)) if !floats => |word| u64::from_le_bytes(array(word)) as f64,
        _ => {
            let rule =
                "SHD rows must be of variable length, times of little-endian floats, units of whole numbers";
            return Err(fault(rule, format!("{datatype:?}")));
        }
    };
    let width = datatype.as_ref().ok().and_then(base).map_or(1, |(_, width)| width);
    let rows =
        dataset.read_vlen_bytes().map_err(|error| fault("SHD rows must be readable", error.to_string()))?;
    if rows.len() != dataset.total_elements() {
        let found = format!("{} of {}", rows.len(), dataset.total_elements());
        return Err(fault("an SHD member must hold all its rows", found));
    }
    rows.iter()
        .map(|row| {
            if row.len() % width != 0 {
                return Err(fault("an SHD row must be whole numbers long", format!("{} bytes", row.len())));
            }
            Ok(row.chunks_exact(width).map(number).collect())
        })
        .collect()
}

/// Whether the numbers in rows of variable length are floats, and their bytes.
fn base(datatype: &DatatypeMessage) -> Option<(bool, usize)> {
    let DatatypeMessage::VarLenSequence { base } = datatype else { return None };
    match base.as_ref() {
        DatatypeMessage::FloatingPoint { size, byte_order: ByteOrder::LittleEndian, .. } => {
            Some((true, *size as usize))
        }
        DatatypeMessage::FixedPoint { size, byte_order: ByteOrder::LittleEndian, .. } => {
            Some((false, *size as usize))
        }
        _ => None,
    }
}

/// The first bytes of a word; what is not there is 0.
fn array<const N: usize>(word: &[u8]) -> [u8; N] {
    std::array::from_fn(|place| word.get(place).copied().unwrap_or(0))
}
