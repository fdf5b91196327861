//! The events of one sample in a packed shard: eight bytes an event, the same for every format that they came from.
//!
//! ```text
//!  0  8   time in microseconds that the first event is counted from      all numbers little-endian
//!  8  8   records that were no event
//! 16      events: microseconds since the event before (4, signed), column (2), row (2, its highest bit the polarity)
//! ```
//!
//! Order and times stay those of the file, also where times fall.

use crate::{
    DataError,
    events::{Decoded, Event},
};

/// Bytes before the events.
const HEADER: usize = 16;
/// Bytes of an event.
const RECORD: usize = 8;
/// The bit of a row that is the polarity.
const ON: u16 = 1 << 15;

/// The bytes of a sample's events; `file` is its name for messages.
///
/// # Errors
/// When two events are more than 2^31 microseconds apart, or a row has more than 15 bits.
pub fn write(file: &str, decoded: &Decoded) -> Result<Vec<u8>, DataError> {
    let mut before = decoded.events.first().map_or(0, |event| event.t);
    let mut bytes = Vec::with_capacity(HEADER + RECORD * decoded.events.len());
    bytes.extend(before.to_le_bytes());
    bytes.extend((decoded.dropped as u64).to_le_bytes());
    for (at, event) in decoded.events.iter().enumerate() {
        let since = event.t.checked_sub(before).and_then(|since| i32::try_from(since).ok());
        let Some(since) = since else {
            let rule = "events that are packed must lie less than 2^31 microseconds apart";
            return Err(DataError::event_format(file, at, rule, format!("{before} and {}", event.t)));
        };
        if event.y & ON != 0 {
            let rule = "rows of events that are packed must be below 32768";
            return Err(DataError::event_format(file, at, rule, event.y));
        }
        bytes.extend(since.to_le_bytes());
        bytes.extend(event.x.to_le_bytes());
        bytes.extend((event.y | if event.p { ON } else { 0 }).to_le_bytes());
        before = event.t;
    }
    Ok(bytes)
}

/// Reads what [`write()`] wrote; `file` is its name for messages.
///
/// # Errors
/// When the bytes are no header and whole events, or a time does not fit into 64 bits.
pub fn read(file: &str, bytes: &[u8]) -> Result<Decoded, DataError> {
    let (header, rest) = bytes.split_at_checked(HEADER).unwrap_or((&[], bytes));
    let (records, left) = rest.as_chunks::<RECORD>();
    let [first, dropped] = match header.as_chunks::<8>().0 {
        [first, dropped] if left.is_empty() => [*first, *dropped],
        _ => {
            let rule = "packed events must be a header of 16 bytes and whole events of 8";
            return Err(DataError::event_format(file, 0, rule, format!("{} bytes", bytes.len())));
        }
    };
    let dropped = usize::try_from(u64::from_le_bytes(dropped)).unwrap_or(usize::MAX);
    let (mut t, mut events) = (i64::from_le_bytes(first), Vec::with_capacity(records.len()));
    for (at, &[a, b, c, d, x0, x1, y0, y1]) in records.iter().enumerate() {
        let since = i64::from(i32::from_le_bytes([a, b, c, d]));
        t = t.checked_add(since).ok_or_else(|| {
            let rule = "times of packed events must fit into 64 bits";
            DataError::event_format(file, HEADER + RECORD * at, rule, format!("{t} and {since}"))
        })?;
        let (x, y) = (u16::from_le_bytes([x0, x1]), u16::from_le_bytes([y0, y1]));
        events.push(Event { t, x, y: y & !ON, p: y & ON != 0 });
    }
    Ok(Decoded { events, dropped })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_in_order_with_their_times() {
        let event = |t, x, y, p| Event { t, x, y, p };
        let events = vec![
            event(-7, 0, 32_767, true),
            event(i64::from(i32::MAX) - 7, 65_535, 0, false),
            event(3, 1, 2, true),
            event(3, 1, 2, true),
        ];
        for decoded in [Decoded { events, dropped: 5 }, Decoded::default()] {
            let bytes = write("a", &decoded).unwrap();
            assert_eq!(bytes.len(), HEADER + RECORD * decoded.events.len());
            assert_eq!(read("a", &bytes).unwrap(), decoded);
        }
    }

    #[test]
    fn what_can_not_be_packed_or_read_is_told() {
        let apart =
            |t| Decoded { events: [0, t].map(|t| Event { t, x: 0, y: 0, p: true }).to_vec(), dropped: 0 };
        assert!(write("a", &apart(1 << 31)).unwrap_err().to_string().contains("2^31"));
        assert!(write("a", &apart(i64::MIN)).is_err());
        let tall = Decoded { events: vec![Event { t: 0, x: 0, y: ON, p: true }], dropped: 0 };
        assert!(write("a", &tall).unwrap_err().to_string().contains("32768"));
        for length in [0, 15, 17, 23] {
            assert!(
                read("a", &vec![0; length]).unwrap_err().to_string().contains("whole events"),
                "{length}"
            );
        }
        let mut late = [0; 24];
        late[..8].copy_from_slice(&i64::MAX.to_le_bytes());
        late[16] = 1;
        assert!(read("a", &late).unwrap_err().to_string().contains("64 bits"));
    }
}
