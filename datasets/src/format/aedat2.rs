//! AEDAT 2.0 of a DVS128, the format of CIFAR10-DVS: a text header, then pairs of big-endian words, address and time.
//!
//! Address bits: 0 the polarity (0 = ON as the chip wires it), 1-7 a column counter, 8-14 a row counter, 15 an external
//! event. What is called x and y differs between readers, so the orientation is a named choice. iniVation, "AEDAT file
//! formats"; Li et al., "CIFAR10-DVS: an event-stream dataset for object classification", 2017.

use serde::{Deserialize, Serialize};

use crate::{
    DataError,
    events::{Decoded, Event},
};

/// Rows and columns of a DVS128.
pub const SIZE: [usize; 2] = [128, 128];

/// How address fields become pixels; `a` stands for bits 1-7, `b` for bits 8-14.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Orientation {
    /// x = 127 - b, y = 127 - a, polarity inverted: SpikingJelly, and RevSNN and the spike-driven transformers by it.
    SpikingJelly,
    /// x = 127 - a, y = b, polarity inverted: the authors' `dat2mat`, and OTTT and SLTT.
    Dat2mat,
    /// x = b, y = a, polarity as it stands: tonic's reader of 128-pixel files.
    Tonic,
}

impl Orientation {
    pub(crate) fn event(self, address: u32, t: i64) -> Event {
        let (a, b, p) = ((address >> 1 & 0x7F) as u16, (address >> 8 & 0x7F) as u16, address & 1 == 1);
        match self {
            Self::SpikingJelly => Event { t, x: 127 - b, y: 127 - a, p: !p },
            Self::Dat2mat => Event { t, x: 127 - a, y: b, p: !p },
            Self::Tonic => Event { t, x: b, y: a, p },
        }
    }
}

/// Reads the events of one file; `file` is its name for messages. External events are counted as dropped.
///
/// # Errors
/// When the header is another's, a header line does not end, the rest is not a whole number of records, or an address
/// has bits that a DVS128 does not have.
pub fn read(file: &str, bytes: &[u8], orientation: Orientation) -> Result<Decoded, DataError> {
    const MAGIC: &[u8] = b"#!AER-DAT2.0";
    if !bytes.starts_with(MAGIC) {
        let found =
            String::from_utf8_lossy(&bytes[..bytes.len().min(MAGIC.len())]).escape_debug().to_string();
        return Err(DataError::event_format(
            file,
            0,
            "an AEDAT 2.0 file must begin with #!AER-DAT2.0",
            found,
        ));
    }
    let start = header(file, bytes)?;
    let body = bytes.get(start..).unwrap_or_default();
    let (records, rest) = body.as_chunks::<8>();
    if !rest.is_empty() {
        let offset = bytes.len() - rest.len();
        let rule = "AEDAT 2.0 data must be whole records of 8 bytes";
        return Err(DataError::event_format(file, offset, rule, format!("{} bytes left", rest.len())));
    }
    let mut decoded = Decoded { events: Vec::with_capacity(records.len()), dropped: 0 };
    for (record, &[a0, a1, a2, a3, t0, t1, t2, t3]) in records.iter().enumerate() {
        let address = u32::from_be_bytes([a0, a1, a2, a3]);
        if address >> 16 != 0 {
            let rule = "a DVS128 address must have 16 bits";
            return Err(DataError::event_format(file, start + 8 * record, rule, format!("{address:#x}")));
        }
        if address & 0x8000 != 0 {
            decoded.dropped += 1;
            continue;
        }
        let t = i64::from(u32::from_be_bytes([t0, t1, t2, t3]));
        decoded.events.push(orientation.event(address, t));
    }
    Ok(decoded)
}

/// Bytes of the lines that begin with `#`. A record can't be taken for one: its first byte is 0 on a DVS128.
fn header(file: &str, bytes: &[u8]) -> Result<usize, DataError> {
    let mut at = 0;
    while bytes.get(at) == Some(&b'#') {
        let line = bytes.get(at..).unwrap_or_default();
        let Some(length) = line.iter().position(|&byte| byte == b'\n') else {
            let rule = "an AEDAT header line must end with a newline";
            return Err(DataError::event_format(file, at, rule, "the end of the file"));
        };
        at += length + 1;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"#!AER-DAT2.0\r\n# a comment\r\n";

    fn file(records: &[[u32; 2]]) -> Vec<u8> {
        let words = records.as_flattened().iter().flat_map(|word| word.to_be_bytes());
        HEADER.iter().copied().chain(words).collect()
    }

    #[test]
    fn each_orientation_follows_its_reader() {
        // a = 5, b = 100, polarity bit 1, at 7 us.
        let bytes = file(&[[5 << 1 | 100 << 8 | 1, 7]]);
        let one = |orientation| read("a", &bytes, orientation).unwrap().events[0];
        assert_eq!(one(Orientation::SpikingJelly), Event { t: 7, x: 27, y: 122, p: false });
        assert_eq!(one(Orientation::Dat2mat), Event { t: 7, x: 122, y: 100, p: false });
        assert_eq!(one(Orientation::Tonic), Event { t: 7, x: 100, y: 5, p: true });
    }

    #[test]
    fn external_events_are_dropped_and_times_have_32_bits() {
        let decoded = read("a", &file(&[[0x8000, 1], [2, u32::MAX]]), Orientation::Tonic).unwrap();
        assert_eq!((decoded.dropped, decoded.events[0].t), (1, 4_294_967_295));
    }

    #[test]
    fn what_is_broken_is_named() {
        let message = |bytes: &[u8]| read("a", bytes, Orientation::Tonic).unwrap_err().to_string();
        assert!(message(b"#!AER-DAT3.1\r\n").contains("must begin with #!AER-DAT2.0, found #!AER-DAT3.1"));
        assert!(message(b"#!AER-DAT2.0\r\n#x").contains("at byte 14: an AEDAT header line must end"));
        assert!(message(&file(&[[1, 2]])[..HEADER.len() + 5]).contains("whole records of 8 bytes, found 5"));
        assert!(message(&file(&[[0, 0], [1 << 16, 0]])).contains("at byte 35: a DVS128 address"));
    }
}
