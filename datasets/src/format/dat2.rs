//! Prophesee's DAT, version 2 (N-CARS): text lines that begin with `%`, two bytes, then eight bytes an event.
//!
//! The two bytes are the event type (0 or 12: change detection) and the event size (8). An event is a little-endian
//! time in microseconds and a word: bits 0-13 x, 14-27 y, 28-31 the polarity. Prophesee, "DAT file format".

use crate::{
    DataError,
    events::{Decoded, Event},
};

/// Reads the events of one file; `file` is its name for messages.
///
/// # Errors
/// When the header is not there or does not end, the event type or size is another, the rest is no whole number of
/// events, or a polarity is neither 0 nor 1.
pub fn read(file: &str, bytes: &[u8]) -> Result<Decoded, DataError> {
    let fault = |offset, rule, found: String| Err(DataError::event_format(file, offset, rule, found));
    let mut start = 0;
    while bytes.get(start) == Some(&b'%') {
        let line = bytes.get(start..).unwrap_or_default();
        let Some(length) = line.iter().position(|&byte| byte == b'\n') else {
            return fault(
                start,
                "a DAT header line must end with a newline",
                "the end of the file".to_owned(),
            );
        };
        start += length + 1;
    }
    if start == 0 {
        let found = bytes.first().map_or_else(|| "no byte".to_owned(), |byte| format!("byte {byte}"));
        return fault(0, "a DAT file must begin with a % line", found);
    }
    let Some((&[kind, size], body)) = bytes.get(start..).and_then(|rest| rest.split_first_chunk::<2>())
    else {
        return fault(
            start,
            "a DAT header must be followed by event type and size",
            "the end of the file".to_owned(),
        );
    };
    if kind != 0 && kind != 12 {
        return fault(start, "DAT event type must be 0 or 12 (change detection)", kind.to_string());
    }
    if size != 8 {
        return fault(start + 1, "DAT event size must be 8", size.to_string());
    }
    let (records, rest) = body.as_chunks::<8>();
    if !rest.is_empty() {
        let rule = "DAT data must be whole events of 8 bytes";
        return fault(bytes.len() - rest.len(), rule, format!("{} bytes left", rest.len()));
    }
    let mut events = Vec::with_capacity(records.len());
    for (record, &[t0, t1, t2, t3, d0, d1, d2, d3]) in records.iter().enumerate() {
        let data = u32::from_le_bytes([d0, d1, d2, d3]);
        if data >> 28 > 1 {
            let rule = "DAT polarity must be 0 or 1";
            return fault(start + 2 + 8 * record + 4, rule, (data >> 28).to_string());
        }
        let t = i64::from(u32::from_le_bytes([t0, t1, t2, t3]));
        let (x, y) = ((data & 0x3FFF) as u16, (data >> 14 & 0x3FFF) as u16);
        events.push(Event { t, x, y, p: data >> 28 == 1 });
    }
    Ok(Decoded { events, dropped: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: u8, size: u8, events: &[[u32; 2]]) -> Vec<u8> {
        let words = events.as_flattened().iter().flat_map(|word| word.to_le_bytes());
        b"% Version 2\n% Width 304\n".iter().copied().chain([kind, size]).chain(words).collect()
    }

    #[test]
    fn fields_come_apart() {
        let decoded = read("a.dat", &file(0, 8, &[[5, 303 | 239 << 14 | 1 << 28], [6, 0]])).unwrap();
        let expected = [Event { t: 5, x: 303, y: 239, p: true }, Event { t: 6, x: 0, y: 0, p: false }];
        assert_eq!(decoded.events, expected);
    }

    #[test]
    fn what_is_broken_is_named() {
        let message = |bytes: &[u8]| read("a.dat", bytes).unwrap_err().to_string();
        assert!(message(b"").contains("must begin with a % line, found no byte"));
        assert!(message(b"% x").contains("a DAT header line must end"));
        assert!(message(b"% x\n\0").contains("event type and size"));
        assert!(message(&file(14, 8, &[])).contains("at byte 24: DAT event type"));
        assert!(message(&file(0, 16, &[])).contains("at byte 25: DAT event size must be 8, found 16"));
        assert!(message(&file(0, 8, &[[0, 0]])[..30]).contains("whole events of 8 bytes, found 4"));
        assert!(message(&file(0, 8, &[[0, 0], [0, 2 << 28]])).contains("at byte 38: DAT polarity"));
    }
}
