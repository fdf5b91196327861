//! What an event camera saw: single changes of brightness, in order.

use crate::DataError;

/// One change of brightness at one pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// Time in microseconds, as the file counts it (from an origin of its own).
    pub t: i64,
    /// Column, from the left.
    pub x: u16,
    /// Row, from the top.
    pub y: u16,
    /// Polarity: true where it became brighter (ON).
    pub p: bool,
}

/// What a reader makes of a file: its events in file order, and how many records were none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The events, in file order. Times need not rise: a reader tells what is there.
    pub events: Vec<Event>,
    /// Records that are no pixel's event: overflow markers, external events, other packet types, invalid events.
    pub dropped: usize,
}

/// The events of one sample on a sensor of known size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Rows and columns of the sensor, `[H, W]`.
    pub size: [usize; 2],
    /// The events in file order, each inside the sensor.
    pub events: Vec<Event>,
}

impl Recording {
    /// Events on a sensor of `size` (`[H, W]`); `file` is their place for messages.
    ///
    /// # Errors
    /// When an event lies outside the sensor; the offset is the event's number, as the bytes are gone by now.
    pub fn new(file: &str, size: [usize; 2], events: Vec<Event>) -> Result<Self, DataError> {
        let [height, width] = size;
        let outside = |event: &&Event| usize::from(event.y) >= height || usize::from(event.x) >= width;
        match events.iter().find(outside) {
            None => Ok(Self { size, events }),
            Some(event) => {
                let at = events.iter().position(|other| other == event).unwrap_or(0);
                let setting = format!("{file}, event {at}");
                let found = format!("x {} y {} on {height}x{width}", event.x, event.y);
                Err(DataError::event_choice(setting, "events must lie inside the sensor (H x W)", found))
            }
        }
    }

    /// Totals for checks against other readers.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics::of(&self.events)
    }
}

/// Totals over a recording's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Events.
    pub events: usize,
    /// Events with polarity ON.
    pub on: usize,
    /// Sum of columns.
    pub sum_x: u64,
    /// Sum of rows.
    pub sum_y: u64,
    /// Sum of times in microseconds.
    pub sum_t: i128,
    /// Events whose time is before the one in front of them.
    pub backward: usize,
}

impl Statistics {
    /// The totals of some events.
    #[must_use]
    pub fn of(events: &[Event]) -> Self {
        let sum = |value: fn(&Event) -> u16| events.iter().map(|event| u64::from(value(event))).sum();
        Self {
            events: events.len(),
            on: events.iter().filter(|event| event.p).count(),
            sum_x: sum(|event| event.x),
            sum_y: sum(|event| event.y),
            sum_t: events.iter().map(|event| i128::from(event.t)).sum(),
            backward: events.windows(2).filter(|pair| matches!(pair, [a, b] if b.t < a.t)).count(),
        }
    }
}
