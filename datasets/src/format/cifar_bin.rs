//! CIFAR's binary version: records of label bytes and 3,072 bytes of red, green and blue planes.
//!
//! A record of CIFAR-10 has one label byte, one of CIFAR-100 two: the coarse class (20), then the fine one (100).
//! The file has no header, so the reader must be told how many records to expect: a file cut at a record's end would
//! pass otherwise. (<https://www.cs.toronto.edu/~kriz/cifar.html>)

use super::pickle;
use crate::{DataError, Extent};

/// Bytes of one image, `[3, 32, 32]`.
pub const PIXELS: usize = 3 * 32 * 32;

/// Which of the two sets a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One label byte.
    Cifar10,
    /// A coarse label byte, then a fine one, which is the class.
    Cifar100,
}

impl Version {
    /// Bytes of one record.
    #[must_use]
    pub const fn record(self) -> usize {
        self.label_bytes() + PIXELS
    }

    /// Records to expect of a file: those of the whole set, or of a part as many as there are.
    pub(crate) const fn records(self, extent: Extent, whole: usize, bytes: usize) -> usize {
        match extent {
            Extent::Whole => whole,
            Extent::Part => bytes.div_ceil(self.record()),
        }
    }

    const fn label_bytes(self) -> usize {
        match self {
            Self::Cifar10 => 1,
            Self::Cifar100 => 2,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Cifar10 => "CIFAR-10",
            Self::Cifar100 => "CIFAR-100",
        }
    }

    /// Classes that each label byte may name, in the order of the record.
    const fn classes(self) -> &'static [usize] {
        match self {
            Self::Cifar10 => &[10],
            Self::Cifar100 => &[20, 100],
        }
    }
}

/// Appends the records of one file to `labels` (the fine ones) and `pixels`; `file` is its name for messages.
///
/// # Errors
/// When the file is the Python version, does not hold exactly `records` records, or a label is not a class.
pub fn append(
    file: &str,
    bytes: &[u8],
    version: Version,
    records: usize,
    (labels, pixels): (&mut Vec<u8>, &mut Vec<u8>),
) -> Result<(), DataError> {
    let record = version.record();
    let expected = records as u128 * record as u128;
    if bytes.len() as u128 != expected {
        pickle::refuse(file, bytes)?;
        return Err(DataError::Length {
            file: file.to_owned(),
            promise: format!("a {} file has {records} records of {record}", version.name()),
            expected,
            found: bytes.len(),
        });
    }
    labels.reserve_exact(records);
    pixels.reserve_exact(records * PIXELS);
    for (sample, record) in bytes.chunks_exact(record).enumerate() {
        let (own, image) = record.split_at(version.label_bytes());
        for (&found, &classes) in own.iter().zip(version.classes()) {
            if usize::from(found) >= classes {
                return Err(DataError::Label { file: file.to_owned(), classes, found, sample });
            }
        }
        labels.extend(own.last());
        pixels.extend_from_slice(image);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(labels: &[u8]) -> Vec<u8> {
        labels.iter().flat_map(|&label| [vec![label], vec![label + 100; PIXELS]].concat()).collect()
    }

    fn read(version: Version, bytes: &[u8], records: usize) -> Result<(Vec<u8>, Vec<u8>), DataError> {
        let (mut labels, mut pixels) = (Vec::new(), Vec::new());
        append("data_batch_1.bin", bytes, version, records, (&mut labels, &mut pixels))?;
        Ok((labels, pixels))
    }

    #[test]
    fn labels_and_planes_come_apart() {
        let (labels, pixels) = read(Version::Cifar10, &file(&[3, 9, 0]), 3).unwrap();
        assert_eq!(labels, [3, 9, 0]);
        assert_eq!(pixels.len(), 3 * PIXELS);
        assert_eq!((pixels[0], pixels[PIXELS - 1], pixels[PIXELS]), (103, 103, 109));
    }

    #[test]
    fn cifar100_gives_the_fine_label_and_checks_both() {
        let record = |coarse, fine| [vec![coarse, fine], vec![7; PIXELS]].concat();
        let whole = [record(19, 99), record(0, 42)].concat();
        assert_eq!(read(Version::Cifar100, &whole, 2).unwrap(), (vec![99, 42], vec![7; 2 * PIXELS]));
        let coarse = read(Version::Cifar100, &record(20, 1), 1).unwrap_err().to_string();
        assert_eq!(coarse, "data_batch_1.bin: label must be below 20, found 20 at sample 0");
        let fine = read(Version::Cifar100, &record(1, 100), 1).unwrap_err().to_string();
        assert_eq!(fine, "data_batch_1.bin: label must be below 100, found 100 at sample 0");
        let cut = read(Version::Cifar100, &whole[1..], 2).unwrap_err().to_string();
        assert!(
            cut.contains("a CIFAR-100 file has 2 records of 3074 = 6148 bytes, the file holds 6147"),
            "{cut}"
        );
    }

    #[test]
    fn the_python_version_is_named_as_such() {
        let error = read(Version::Cifar10, b"\x80\x02}q\x01(U\x0bbatch_label", 3).unwrap_err().to_string();
        assert!(error.contains("Python pickle"), "{error}");
    }

    #[test]
    fn a_cut_file_is_an_error_even_at_a_record_boundary() {
        let whole = file(&[1, 2, 3]);
        let record = Version::Cifar10.record();
        for length in [0, 1, record, 2 * record + 5, 3 * record - 1] {
            assert_eq!(
                read(Version::Cifar10, &whole[..length], 3).unwrap_err().to_string(),
                format!(
                    "data_batch_1.bin: a CIFAR-10 file has 3 records of 3073 = 9219 bytes, the file holds {length}"
                )
            );
        }
    }

    #[test]
    fn a_label_out_of_range_is_named_with_its_place() {
        let error = read(Version::Cifar10, &file(&[1, 10]), 2).unwrap_err();
        assert_eq!(error.to_string(), "data_batch_1.bin: label must be below 10, found 10 at sample 1");
    }
}
