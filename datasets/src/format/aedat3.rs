//! AEDAT 3.1, the format of DVS128 Gesture: a text header, then little-endian packets.
//!
//! A packet's header has 28 bytes: i16 type, i16 source, then i32 event size, timestamp offset, timestamp overflow,
//! capacity, number, valid. `capacity * size` bytes follow, of which the first `number` events are in use. A polarity
//! event (type 1) is a word (bit 0 valid, bit 1 polarity, bits 2-16 y, bits 17-31 x) and a 31-bit time; the time in
//! microseconds is `overflow << 31 | time`. iniVation, "AEDAT file formats"; Amir et al., "A low power, fully
//! event-based gesture recognition system", 2017. SpikingJelly reads `capacity` events and does not ask for the valid
//! bit; where a file uses neither, both readers agree.

use crate::{
    DataError,
    events::{Decoded, Event},
};

const MAGIC: &[u8] = b"#!AER-DAT3.1";
const END: &[u8] = b"#!END-HEADER";
/// Bytes of a packet's header.
const PACKET: usize = 28;
/// The type of a packet of polarity events.
const POLARITY: u16 = 1;
/// Bytes of a polarity event.
const EVENT: usize = 8;

/// Reads the polarity events of one file; `file` is its name for messages. Events marked invalid and events of other
/// types count as dropped.
///
/// # Errors
/// When the header is another's or does not end, a packet is cut, or its sizes contradict each other.
pub fn read(file: &str, bytes: &[u8]) -> Result<Decoded, DataError> {
    let fault = |offset, rule, found: String| Err(DataError::event_format(file, offset, rule, found));
    let mut at = header(file, bytes)?;
    // A packet may not be reserved for by what its header says, only by the bytes that are there.
    let mut decoded = Decoded { events: Vec::with_capacity((bytes.len() - at) / EVENT), dropped: 0 };
    while let Some(packet) = bytes.get(at..).filter(|packet| !packet.is_empty()) {
        let Some((head, rest)) = packet.split_first_chunk::<PACKET>() else {
            let rule = "an AEDAT 3.1 packet header must have 28 bytes";
            return fault(at, rule, format!("{} bytes left", packet.len()));
        };
        let (words, _) = head.as_chunks::<4>();
        let word = |index: usize| words.get(index).map_or(0, |word| u32::from_le_bytes(*word));
        let kind = word(0) as u16;
        let (size, overflow, capacity, number) = (word(1), word(3), word(4), word(5));
        let length = u64::from(size) * u64::from(capacity);
        if length > rest.len() as u64 {
            let rule = "an AEDAT 3.1 packet's capacity x size bytes must be in the file";
            return fault(at + 4, rule, format!("{capacity} x {size} of {} left", rest.len()));
        }
        if number > capacity {
            let rule = "an AEDAT 3.1 packet's number must not exceed its capacity";
            return fault(at + 20, rule, format!("{number} above {capacity}"));
        }
        let body = rest.get(..length as usize).unwrap_or_default();
        if kind == POLARITY {
            if size as usize != EVENT {
                let rule = "AEDAT 3.1 polarity events must have 8 bytes";
                return fault(at + 4, rule, size.to_string());
            }
            if overflow > i32::MAX as u32 {
                let rule = "an AEDAT 3.1 timestamp overflow must not be negative";
                return fault(at + 12, rule, (overflow as i32).to_string());
            }
            polarity(body, number as usize, i64::from(overflow) << 31, &mut decoded);
        } else {
            decoded.dropped += number as usize;
        }
        at += PACKET + length as usize;
    }
    Ok(decoded)
}

fn polarity(body: &[u8], number: usize, origin: i64, decoded: &mut Decoded) {
    for &[d0, d1, d2, d3, t0, t1, t2, t3] in body.as_chunks::<EVENT>().0.iter().take(number) {
        let data = u32::from_le_bytes([d0, d1, d2, d3]);
        if data & 1 == 0 {
            decoded.dropped += 1;
            continue;
        }
        let t = i64::from(u32::from_le_bytes([t0, t1, t2, t3])) | origin;
        let (x, y) = ((data >> 17) as u16, (data >> 2 & 0x7FFF) as u16);
        decoded.events.push(Event { t, x, y, p: data >> 1 & 1 == 1 });
    }
}

/// Bytes up to the first packet.
fn header(file: &str, bytes: &[u8]) -> Result<usize, DataError> {
    if !bytes.starts_with(MAGIC) {
        let found =
            String::from_utf8_lossy(&bytes[..bytes.len().min(MAGIC.len())]).escape_debug().to_string();
        return Err(DataError::event_format(
            file,
            0,
            "an AEDAT 3.1 file must begin with #!AER-DAT3.1",
            found,
        ));
    }
    let mut at = 0;
    while bytes.get(at) == Some(&b'#') {
        let line = bytes.get(at..).unwrap_or_default();
        let Some(length) = line.iter().position(|&byte| byte == b'\n') else { break };
        at += length + 1;
        if line.starts_with(END) {
            return Ok(at);
        }
    }
    let rule = "an AEDAT 3.1 header must end with #!END-HEADER and a newline";
    Err(DataError::event_format(file, at, rule, "another line"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n";

    fn packet(kind: u16, words: [u32; 6], body: &[u32]) -> Vec<u8> {
        let head = [kind.to_le_bytes(), [0, 0]].concat();
        let words = words.iter().chain(body).flat_map(|word| word.to_le_bytes());
        head.into_iter().chain(words).collect()
    }

    fn file(packets: &[Vec<u8>]) -> Vec<u8> {
        [HEADER, &packets.concat()].concat()
    }

    fn data(x: u32, y: u32, p: u32, valid: u32) -> u32 {
        x << 17 | y << 2 | p << 1 | valid
    }

    #[test]
    fn number_and_valid_say_what_is_an_event_and_capacity_where_the_next_packet_is() {
        let first = packet(
            1,
            [8, 4, 1, 4, 3, 2],
            &[data(127, 3, 1, 1), 9, data(1, 1, 1, 0), 10, data(0, 127, 0, 1), 11, 77, 78],
        );
        let special = packet(0, [8, 4, 0, 1, 1, 1], &[1, 2]);
        let last = packet(1, [8, 4, 0, 1, 1, 1], &[data(5, 6, 0, 1), 12]);
        let decoded = read("a", &file(&[first, special, last])).unwrap();
        let expected = [
            Event { t: 9 + (1 << 31), x: 127, y: 3, p: true },
            Event { t: 11 + (1 << 31), x: 0, y: 127, p: false },
            Event { t: 12, x: 5, y: 6, p: false },
        ];
        assert_eq!(decoded, Decoded { events: expected.to_vec(), dropped: 2 });
    }

    #[test]
    fn what_is_broken_is_named() {
        let message = |bytes: &[u8]| read("a", bytes).unwrap_err().to_string();
        assert!(message(b"#!AER-DAT2.0\r\n").contains("must begin with #!AER-DAT3.1"));
        assert!(message(b"#!AER-DAT3.1\r\n#x\r\nabc").contains("at byte 18: an AEDAT 3.1 header must end"));
        assert!(message(&file(&[vec![1; 27]])).contains("must have 28 bytes, found 27"));
        assert!(message(&file(&[packet(1, [8, 4, 0, 2, 1, 1], &[0, 0])])).contains("found 2 x 8 of 8 left"));
        assert!(message(&file(&[packet(1, [8, 4, 0, 1, 2, 2], &[0, 0])])).contains("found 2 above 1"));
        assert!(message(&file(&[packet(1, [4, 4, 0, 2, 1, 1], &[0, 0])])).contains("must have 8 bytes"));
        let huge = packet(1, [u32::MAX, 4, 0, u32::MAX, 1, 1], &[]);
        assert!(message(&file(&[huge])).contains("capacity x size"));
    }
}
