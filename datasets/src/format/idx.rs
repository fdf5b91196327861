//! IDX, the format of MNIST and its kin: big-endian `u32` magic, sizes, then bytes.
//!
//! Magic 2051 (`0x0803`: bytes, three sizes) is images, 2049 (`0x0801`: bytes, one size) is labels. Gzip is recognised
//! by its own first bytes, not by the file's name; no IDX file starts so, because the first two bytes of IDX are zero.

use std::io::Read;

use flate2::read::MultiGzDecoder;

use crate::DataError;

const IMAGES: u32 = 2051;
const LABELS: u32 = 2049;
const IMAGES_KIND: &str = "IDX images";
const LABELS_KIND: &str = "IDX labels";

/// Grey images of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Number of images.
    pub count: usize,
    /// Pixels from top to bottom.
    pub rows: usize,
    /// Pixels from left to right.
    pub columns: usize,
    /// `[count, rows, columns]`.
    pub pixels: Vec<u8>,
}

/// Reads an image file, plain or gzip; `file` is its name for messages.
///
/// # Errors
/// When the gzip data are damaged, the magic is another, or the file is shorter or longer than its header says.
pub fn images(file: &str, bytes: Vec<u8>) -> Result<Images, DataError> {
    let mut bytes = unpack(file, bytes)?;
    let [count, rows, columns] = header(file, IMAGES_KIND, IMAGES, &bytes)?;
    let expected = u128::from(count) * u128::from(rows) * u128::from(columns);
    let promise = || format!("the header promises {count} images of {rows}x{columns}");
    body(file, promise, &mut bytes, 16, expected)?;
    Ok(Images { count: count as usize, rows: rows as usize, columns: columns as usize, pixels: bytes })
}

/// Reads a label file, plain or gzip; `file` is its name for messages.
///
/// # Errors
/// When the gzip data are damaged, the magic is another, or the file is shorter or longer than its header says.
pub fn labels(file: &str, bytes: Vec<u8>) -> Result<Vec<u8>, DataError> {
    let mut bytes = unpack(file, bytes)?;
    let [count] = header(file, LABELS_KIND, LABELS, &bytes)?;
    body(file, || format!("the header promises {count} labels"), &mut bytes, 8, u128::from(count))?;
    Ok(bytes)
}

fn unpack(file: &str, bytes: Vec<u8>) -> Result<Vec<u8>, DataError> {
    if !bytes.starts_with(&[0x1F, 0x8B]) {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    match MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain) {
        Ok(_) => Ok(plain),
        Err(source) if source.kind() == std::io::ErrorKind::OutOfMemory => {
            Err(DataError::Read { file: file.to_owned(), source })
        }
        Err(source) => Err(DataError::Gzip { file: file.to_owned(), unpacked: plain.len(), source }),
    }
}

/// The sizes after the magic. The magic is judged first: of a file of another kind, that is the thing to say.
fn header<const SIZES: usize>(
    file: &str,
    kind: &'static str,
    magic: u32,
    bytes: &[u8],
) -> Result<[u32; SIZES], DataError> {
    let (words, _) = bytes.as_chunks::<4>();
    let word = |at: usize| words.get(at).map(|word| u32::from_be_bytes(*word));
    let short =
        || DataError::Header { file: file.to_owned(), kind, expected: 4 + 4 * SIZES, found: bytes.len() };
    let found = word(0).ok_or_else(short)?;
    if found != magic {
        return Err(DataError::Magic { file: file.to_owned(), kind, expected: magic, found });
    }
    let mut sizes = [0; SIZES];
    for (at, size) in sizes.iter_mut().enumerate() {
        *size = word(at + 1).ok_or_else(short)?;
    }
    Ok(sizes)
}

/// Cuts the header off after checking that the rest is as long as promised.
fn body(
    file: &str,
    promise: impl Fn() -> String,
    bytes: &mut Vec<u8>,
    header: usize,
    expected: u128,
) -> Result<(), DataError> {
    let found = bytes.len() - header;
    if found as u128 != expected {
        return Err(DataError::Length { file: file.to_owned(), promise: promise(), expected, found });
    }
    bytes.drain(..header);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn image_file(magic: u32, sizes: [u32; 3], pixels: &[u8]) -> Vec<u8> {
        let mut bytes = magic.to_be_bytes().to_vec();
        sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes.extend(pixels);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_and_gzip_files_read_alike() {
        let pixels: Vec<u8> = (0..12).collect();
        let plain = image_file(2051, [2, 2, 3], &pixels);
        let expected = Images { count: 2, rows: 2, columns: 3, pixels };
        assert_eq!(images("a", plain.clone()).unwrap(), expected);
        assert_eq!(images("a.gz", gzip(&plain)).unwrap(), expected);
        assert_eq!(labels("l", [&[0, 0, 8, 1, 0, 0, 0, 3][..], &[9, 0, 4]].concat()).unwrap(), [9, 0, 4]);
    }

    #[test]
    fn another_magic_is_named_with_both_numbers() {
        let swapped = labels("t-labels", image_file(2051, [1, 1, 1], &[0])).unwrap_err();
        assert_eq!(swapped.to_string(), "t-labels: magic 2049 expected (IDX labels), found 2051");
        let html = images("t-images", b"<!DOCTYPE html>".to_vec()).unwrap_err();
        assert_eq!(html.to_string(), "t-images: magic 2051 expected (IDX images), found 1008813135");
    }

    #[test]
    fn a_cut_or_padded_body_is_named_with_both_lengths() {
        for length in [0, 11, 13] {
            let error = images("t-images", image_file(2051, [2, 2, 3], &vec![0; length])).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("t-images: the header promises 2 images of 2x3 = 12 bytes, the file holds {length}")
            );
        }
        let huge = images("t-images", image_file(2051, [u32::MAX; 3], &[0])).unwrap_err();
        assert!(matches!(huge, DataError::Length { found: 1, .. }), "{huge}");
        let error = labels("t-labels", vec![0, 0, 8, 1, 0, 0, 0, 2, 1]).unwrap_err();
        assert_eq!(error.to_string(), "t-labels: the header promises 2 labels = 2 bytes, the file holds 1");
    }

    #[test]
    fn a_cut_header_is_an_error_at_every_length() {
        let whole = image_file(2051, [0, 28, 28], &[]);
        assert!(images("a", whole.clone()).is_ok());
        for length in 0..whole.len() {
            let error = images("a", whole[..length].to_vec()).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("a: the header of IDX images has 16 bytes, the file holds {length}")
            );
        }
    }

    #[test]
    fn damaged_gzip_is_an_error_at_every_cut_and_after_the_end() {
        let packed = gzip(&image_file(2051, [4, 5, 5], &[7; 100]));
        for length in 0..packed.len() {
            assert!(images("a.gz", packed[..length].to_vec()).is_err(), "cut at {length}");
        }
        let mut flipped = packed.clone();
        let middle = flipped.len() - 6;
        flipped[middle] ^= 1;
        let error = images("a.gz", flipped).unwrap_err();
        assert!(error.to_string().starts_with("a.gz: gzip data must end whole"), "{error}");
        assert!(images("a.gz", [packed, vec![1, 2, 3]].concat()).is_err());
    }
}
