//! NumPy's `.npy`: a magic, a version, a Python dictionary of type, order and shape, then the numbers.
//!
//! NumPy Enhancement Proposal 1 ("A simple file format for NumPy arrays"), versions 1.0 to 3.0. Read are plain
//! little-endian whole numbers, bytes, booleans and floats in row-major order; no object is ever unpickled.

use crate::DataError;

const MAGIC: &[u8] = b"\x93NUMPY";

/// The type of an array's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Signed whole numbers of 1, 2, 4 or 8 bytes.
    Signed(usize),
    /// Unsigned whole numbers (or booleans, of 1 byte) of 1, 2, 4 or 8 bytes.
    Unsigned(usize),
    /// Floats of 2, 4 or 8 bytes.
    Float(usize),
}

impl Kind {
    /// Bytes of one number.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Signed(bytes) | Self::Unsigned(bytes) | Self::Float(bytes) => bytes,
        }
    }

    fn of(descr: &str) -> Option<Self> {
        let (order, code) = descr.split_at_checked(1)?;
        let (letter, bytes) = code.split_at_checked(1)?;
        let bytes: usize = bytes.parse().ok()?;
        // One byte has no order; NumPy writes `|`.
        if order != "<" && !(bytes == 1 && order == "|") {
            return None;
        }
        match (letter, bytes) {
            ("i", 1 | 2 | 4 | 8) => Some(Self::Signed(bytes)),
            ("u", 1 | 2 | 4 | 8) | ("b", 1) => Some(Self::Unsigned(bytes)),
            ("f", 2 | 4 | 8) => Some(Self::Float(bytes)),
            _ => None,
        }
    }
}

/// An array as it lies in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array<'a> {
    /// The type of its numbers.
    pub kind: Kind,
    /// Its sides, row-major.
    pub shape: Vec<usize>,
    /// Its numbers, little-endian.
    pub data: &'a [u8],
}

impl Array<'_> {
    /// The numbers as whole numbers; `None` for floats, and for what does not fit.
    pub fn integers(&self) -> impl Iterator<Item = Option<i64>> + '_ {
        self.words().map(|(word, bytes)| match self.kind {
            Kind::Signed(_) => {
                let unused = 64 - 8 * bytes as u32;
                Some((word << unused) as i64 >> unused)
            }
            Kind::Unsigned(_) => i64::try_from(word).ok(),
            Kind::Float(_) => None,
        })
    }

    /// The numbers as floats.
    pub fn floats(&self) -> impl Iterator<Item = f64> + '_ {
        self.words().zip(self.integers()).map(|((word, bytes), integer)| match (self.kind, bytes) {
            (Kind::Float(_), 2) => half(word as u16),
            (Kind::Float(_), 4) => f64::from(f32::from_bits(word as u32)),
            (Kind::Float(_), _) => f64::from_bits(word),
            _ => integer.map_or(word as f64, |integer| integer as f64),
        })
    }

    fn words(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        let bytes = self.kind.bytes();
        self.data
            .chunks_exact(bytes)
            .map(move |chunk| (chunk.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)), bytes))
    }
}

/// A half-precision float (IEEE 754 binary16).
pub(crate) fn half(bits: u16) -> f64 {
    let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1F), f64::from(bits & 0x3FF));
    let size = match exponent {
        0 => mantissa * 2_f64.powi(-24),
        0x1F if mantissa == 0.0 => f64::INFINITY,
        0x1F => f64::NAN,
        _ => (1024.0 + mantissa) * 2_f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// Reads one array; `file` is its name for messages.
///
/// # Errors
/// When the magic, version or dictionary is broken, the type is not one of [`Kind`], the order is Fortran's for more
/// than one dimension, or the body is shorter or longer than its shape says.
pub fn read<'a>(file: &str, bytes: &'a [u8]) -> Result<Array<'a>, DataError> {
    let fault =
        |offset, rule, found: &dyn std::fmt::Display| DataError::event_format(file, offset, rule, found);
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return Err(fault(0, "an npy file must begin with \\x93NUMPY", &"other bytes"));
    };
    let cut = || fault(6, "an npy header must be whole", &format!("{} bytes", bytes.len()));
    let (&[major, _], rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
    let (length, rest) = match major {
        1 => {
            let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
            (u32::from_le_bytes(*length) as usize, rest)
        }
        _ => return Err(fault(6, "npy version must be 1, 2 or 3", &major)),
    };
    let begin = bytes.len() - rest.len();
    let (dictionary, data) = rest.split_at_checked(length).ok_or_else(cut)?;
    let dictionary = std::str::from_utf8(dictionary)
        .map_err(|_| fault(begin, "an npy dictionary must be text", &"other bytes"))?;

    let descr = value(dictionary, "descr")
        .and_then(|text| text.strip_prefix('\'')?.split('\'').next())
        .ok_or_else(|| fault(begin, "an npy dictionary must hold a plain descr", &shown(dictionary)))?;
    let kind = Kind::of(descr).ok_or_else(|| {
        fault(begin, "npy numbers must be little-endian i, u, f or b of 1 to 8 bytes", &shown(descr))
    })?;
    let fortran = match value(dictionary, "fortran_order") {
        Some(text) if text.starts_with("False") => false,
        Some(text) if text.starts_with("True") => true,
        _ => return Err(fault(begin, "npy fortran_order must be True or False", &shown(dictionary))),
    };
    let shape = value(dictionary, "shape")
        .and_then(shape)
        .ok_or_else(|| fault(begin, "npy shape must be a tuple of whole numbers", &shown(dictionary)))?;
    if fortran && shape.iter().filter(|&&side| side != 1).count() > 1 {
        return Err(fault(begin, "npy arrays must be in row-major order", &"fortran_order True"));
    }
    let expected = shape.iter().try_fold(kind.bytes(), |product, &side| product.checked_mul(side));
    if expected != Some(data.len()) {
        let found = format!("{} bytes for shape {shape:?} of {} bytes each", data.len(), kind.bytes());
        return Err(fault(begin + length, "an npy body must be as long as its shape says", &found));
    }
    Ok(Array { kind, shape, data })
}

/// What stands after a key of the dictionary.
fn value<'a>(dictionary: &'a str, key: &str) -> Option<&'a str> {
    let (_, after) = dictionary.split_once(&format!("'{key}'"))?;
    Some(after.trim_start().strip_prefix(':')?.trim_start())
}

/// A tuple of whole numbers such as `(3,)`; at most eight, as no event array has more.
fn shape(text: &str) -> Option<Vec<usize>> {
    let (inside, _) = text.strip_prefix('(')?.split_once(')')?;
    let sides = inside.split(',').map(str::trim).filter(|side| !side.is_empty());
    let sides: Vec<usize> = sides.take(9).map(|side| side.parse().ok()).collect::<Option<_>>()?;
    (sides.len() <= 8).then_some(sides)
}

fn shown(text: &str) -> String {
    format!("{:?}", text.trim_end().chars().take(80).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dictionary: &str, data: &[u8]) -> Vec<u8> {
        [MAGIC, &[1, 0], &(dictionary.len() as u16).to_le_bytes(), dictionary.as_bytes(), data].concat()
    }

    #[test]
    fn numbers_of_each_kind_are_read() {
        let integers = |descr: &str, data: &[u8]| -> Vec<Option<i64>> {
            let text =
                format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1, {}), }}", data.len() / 2);
            read("a.npy", &file(&text, data)).unwrap().integers().collect()
        };
        assert_eq!(integers("<i2", &[0xFF, 0xFF, 1, 2]), [Some(-1), Some(513)]);
        assert_eq!(integers("<u2", &[0xFF, 0xFF]), [Some(65_535)]);
        let big =
            file("{'descr': '<u8', 'fortran_order': True, 'shape': (2,), }", &[[0xFF; 8], [1; 8]].concat());
        let big: Vec<_> = read("a", &big).unwrap().integers().collect();
        assert_eq!(big, [None, Some(0x0101_0101_0101_0101)]);
        let floats = file("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", &1.5_f32.to_le_bytes());
        assert_eq!(read("a", &floats).unwrap().floats().collect::<Vec<_>>(), [1.5]);
    }

    #[test]
    fn halves_are_ieee() {
        let pairs = [(0x3C00, 1.0), (0xC000, -2.0), (0x7BFF, 65_504.0), (0x0001, 2_f64.powi(-24)), (0, 0.0)];
        assert!(pairs.iter().all(|&(bits, value)| half(bits) == value));
        assert!(half(0x7C00).is_infinite() && half(0x7E00).is_nan());
    }

    #[test]
    fn what_is_broken_is_named() {
        let message = |bytes: &[u8]| read("a.npy", bytes).unwrap_err().to_string();
        let with = |dictionary: &str| message(&file(dictionary, &[0; 8]));
        assert!(message(b"PK").contains("must begin with"));
        assert!(message(b"\x93NUMPY\x01").contains("header must be whole"));
        assert!(message(b"\x93NUMPY\x04\0").contains("version must be 1, 2 or 3, found 4"));
        assert!(message(b"\x93NUMPY\x02\0\xFF\xFF\xFF\xFF").contains("header must be whole"));
        assert!(
            with("{'descr': [('x', '<i2')], 'fortran_order': False, 'shape': (2,)}").contains("plain descr")
        );
        assert!(with("{'descr': '>i2', 'fortran_order': False, 'shape': (4,)}").contains("little-endian"));
        assert!(with("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}").contains("little-endian"));
        assert!(
            with("{'descr': '<i2', 'fortran_order': 0, 'shape': (4,)}").contains("must be True or False")
        );
        assert!(with("{'descr': '<i2', 'fortran_order': True, 'shape': (2, 2)}").contains("row-major"));
        assert!(with("{'descr': '<i2', 'fortran_order': False, 'shape': (-4,)}").contains("whole numbers"));
        let huge = "{'descr': '<i8', 'fortran_order': False, 'shape': (99999999999, 99999999999)}";
        assert!(with(huge).contains("as long as its shape"));
    }
}
