//! CIFAR-10's binary version: records of one label byte and 3,072 bytes of red, green and blue planes.
//!
//! The file has no header, so the reader must be told how many records to expect: a file cut at a record's end would
//! pass otherwise.

use crate::DataError;

/// Bytes of one image, `[3, 32, 32]`.
pub const PIXELS: usize = 3 * 32 * 32;

/// Bytes of one record.
pub const RECORD: usize = 1 + PIXELS;

/// Appends the records of one file to `labels` and `pixels`; `file` is its name for messages.
///
/// # Errors
/// When the file does not hold exactly `records` records, or a label is not below `classes`.
pub fn append(
    file: &str,
    bytes: &[u8],
    records: usize,
    classes: usize,
    (labels, pixels): (&mut Vec<u8>, &mut Vec<u8>),
) -> Result<(), DataError> {
    if bytes.len() != records * RECORD {
        return Err(DataError::Length {
            file: file.to_owned(),
            promise: format!("a CIFAR-10 file has {records} records of {RECORD}"),
            expected: (records * RECORD) as u128,
            found: bytes.len(),
        });
    }
    labels.reserve_exact(records);
    pixels.reserve_exact(records * PIXELS);
    for (sample, record) in bytes.as_chunks::<RECORD>().0.iter().enumerate() {
        let (label, image) = (record[0], &record[1..]);
        if usize::from(label) >= classes {
            return Err(DataError::Label { file: file.to_owned(), classes, found: label, sample });
        }
        labels.push(label);
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

    fn read(bytes: &[u8], records: usize) -> Result<(Vec<u8>, Vec<u8>), DataError> {
        let (mut labels, mut pixels) = (Vec::new(), Vec::new());
        append("data_batch_1.bin", bytes, records, 10, (&mut labels, &mut pixels))?;
        Ok((labels, pixels))
    }

    #[test]
    fn labels_and_planes_come_apart() {
        let (labels, pixels) = read(&file(&[3, 9, 0]), 3).unwrap();
        assert_eq!(labels, [3, 9, 0]);
        assert_eq!(pixels.len(), 3 * PIXELS);
        assert_eq!((pixels[0], pixels[PIXELS - 1], pixels[PIXELS]), (103, 103, 109));
    }

    #[test]
    fn a_cut_file_is_an_error_even_at_a_record_boundary() {
        let whole = file(&[1, 2, 3]);
        for length in [0, 1, RECORD, 2 * RECORD + 5, 3 * RECORD - 1] {
            assert_eq!(
                read(&whole[..length], 3).unwrap_err().to_string(),
                format!(
                    "data_batch_1.bin: a CIFAR-10 file has 3 records of 3073 = 9219 bytes, the file holds {length}"
                )
            );
        }
    }

    #[test]
    fn a_label_out_of_range_is_named_with_its_place() {
        let error = read(&file(&[1, 10]), 2).unwrap_err();
        assert_eq!(error.to_string(), "data_batch_1.bin: label must be below 10, found 10 at sample 1");
    }
}
