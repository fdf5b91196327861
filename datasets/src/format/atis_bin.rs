//! N-MNIST's and N-Caltech101's `.bin`: five bytes an event, no header.
//!
//! Byte 0 is x, byte 1 is y, bit 7 of byte 2 the polarity (1 = ON), and the other 23 bits, big-endian, the time in
//! microseconds. A record with y = 240 is no pixel's: the counter ran over, and it and all later times are 2^13
//! microseconds later (Orchard et al., "Converting static image datasets to spiking neuromorphic datasets using
//! saccades", 2015, and the readers of the set; SpikingJelly's reader does not know the rule).

use crate::{
    DataError,
    events::{Decoded, Event},
};

/// Bytes of one record.
pub const RECORD: usize = 5;

/// The row that marks an overflow of the time.
pub const MARKER_Y: u8 = 240;

/// Microseconds that a marker adds to all later times.
pub const MARKER_US: i64 = 1 << 13;

/// Largest time that a record holds.
pub(crate) const LAST_US: i64 = (1 << 23) - 1;

/// Reads the events of one file; `file` is its name for messages. Markers are counted as dropped.
///
/// # Errors
/// When the file is not a whole number of records.
pub fn read(file: &str, bytes: &[u8]) -> Result<Decoded, DataError> {
    let (records, rest) = bytes.as_chunks::<RECORD>();
    if !rest.is_empty() {
        let offset = bytes.len() - rest.len();
        let rule = "an ATIS .bin file must be whole records of 5 bytes";
        return Err(DataError::event_format(file, offset, rule, format!("{} bytes left", rest.len())));
    }
    let mut decoded = Decoded { events: Vec::with_capacity(records.len()), dropped: 0 };
    let mut origin = 0;
    for &[x, y, high, middle, low] in records {
        if y == MARKER_Y {
            origin += MARKER_US;
            decoded.dropped += 1;
            continue;
        }
        let t = i64::from(u32::from_be_bytes([0, high & 0x7F, middle, low]));
        let event = Event { t: t + origin, x: u16::from(x), y: u16::from(y), p: high & 0x80 != 0 };
        decoded.events.push(event);
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_where_the_authors_say() {
        let decoded = read("a.bin", &[18, 16, 0x80, 0x03, 0x7D, 10, 11, 0x04, 0xAB, 0x04]).unwrap();
        let expected =
            [Event { x: 18, y: 16, p: true, t: 893 }, Event { x: 10, y: 11, p: false, t: 305_924 }];
        assert_eq!(decoded.events, expected);
    }

    #[test]
    fn a_marker_moves_itself_and_all_later_times_and_is_no_event() {
        let bytes = [[1, 2, 0, 0, 5], [0, 240, 0, 0, 5], [3, 4, 0, 0, 6], [9, 240, 0, 0, 0], [3, 4, 0, 0, 7]];
        let decoded = read("a.bin", bytes.as_flattened()).unwrap();
        let times: Vec<i64> = decoded.events.iter().map(|event| event.t).collect();
        assert_eq!((times, decoded.dropped), (vec![5, 6 + 8192, 7 + 16_384], 2));
    }

    #[test]
    fn a_cut_record_is_named_with_its_place() {
        let error = read("a.bin", &[0; 12]).unwrap_err();
        let text =
            "a.bin: at byte 10: an ATIS .bin file must be whole records of 5 bytes, found 2 bytes left";
        assert_eq!(error.to_string(), text);
    }
}
