//! SpikingJelly's caches: `.npz`, zip archives of `.npy` members.
//!
//! An event file holds `t`, `x`, `y`, `p`, one number an event each (mostly i64); a frame file holds `frames`,
//! `[T, 2, H, W]`, mostly f64, as counts. Channel 0 is polarity 0 (OFF), channel 1 polarity 1. Members are stored or
//! deflated. SpikingJelly, `datasets/utils.py` and `datasets/base.py`.

use std::io::Cursor;

use zip::ZipArchive;

use super::{
    npy::{self, Array},
    zip_member,
};
use crate::{
    DataError,
    events::{Decoded, Event},
};

/// Frames of a cache.
#[derive(Clone, Debug, PartialEq)]
pub struct Frames {
    /// `[T, C, H, W]`.
    pub shape: [usize; 4],
    /// The values, row-major.
    pub values: Vec<f32>,
}

/// The events of a cache; `file` is its name for messages.
///
/// # Errors
/// When the archive or a member is broken, a member is missing or of another length, or a number is out of range.
pub fn events(file: &str, bytes: &[u8]) -> Result<Decoded, DataError> {
    let mut archive = open(file, bytes)?;
    let [t, x, y, p] = ["t", "x", "y", "p"].map(|name| member(file, bytes, &mut archive, name));
    let (t, x, y, p) = (t?, x?, y?, p?);
    let [t, x, y, p] = [("t", &t), ("x", &x), ("y", &y), ("p", &p)].map(|(name, bytes)| {
        let place = format!("{file}/{name}.npy");
        npy::read(&place, bytes).and_then(|array| column(&place, &array))
    });
    let (t, x, y, p) = (t?, x?, y?, p?);
    if [x.len(), y.len(), p.len()] != [t.len(); 3] {
        let found = format!("t {} x {} y {} p {}", t.len(), x.len(), y.len(), p.len());
        return Err(DataError::event_format(file, 0, "t, x, y and p must be of one length", found));
    }
    let mut events = Vec::with_capacity(t.len());
    for (at, (((t, x), y), p)) in t.into_iter().zip(x).zip(y).zip(p).enumerate() {
        let (Ok(px), Ok(py), Ok(pp @ 0..=1)) = (u16::try_from(x), u16::try_from(y), u8::try_from(p)) else {
            let rule = "an event's x and y must have 16 bits and its p be 0 or 1";
            return Err(DataError::event_format(file, at, rule, format!("x {x} y {y} p {p}")));
        };
        events.push(Event { t, x: px, y: py, p: pp == 1 });
    }
    Ok(Decoded { events, dropped: 0 })
}

/// The frames of a cache; `file` is its name for messages.
///
/// # Errors
/// When the archive or its member is broken, there are not four dimensions, or a value is not finite.
pub fn frames(file: &str, bytes: &[u8]) -> Result<Frames, DataError> {
    let mut archive = open(file, bytes)?;
    let member = member(file, bytes, &mut archive, "frames")?;
    let place = format!("{file}/frames.npy");
    frame_array(&place, &npy::read(&place, &member)?)
}

/// Frames from an array `[T, C, H, W]`, such as a lone `.npy` file has; `file` is its name for messages.
///
/// # Errors
/// When there are not four dimensions, or a value is not finite.
pub fn frame_array(file: &str, array: &Array<'_>) -> Result<Frames, DataError> {
    let Ok(shape) = <[usize; 4]>::try_from(array.shape.as_slice()) else {
        let found = format!("{:?}", array.shape);
        return Err(DataError::event_format(file, 0, "frames must have the shape [T, C, H, W]", found));
    };
    let values: Vec<f32> = array.floats().map(|value| value as f32).collect();
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(Frames { shape, values }),
        Some(at) => {
            let offset = at * array.kind.bytes();
            Err(DataError::event_format(file, offset, "frame values must be finite", values[at]))
        }
    }
}

fn column(file: &str, array: &Array<'_>) -> Result<Vec<i64>, DataError> {
    if array.shape.len() != 1 {
        let found = format!("{:?}", array.shape);
        return Err(DataError::event_format(file, 0, "event columns must have one dimension", found));
    }
    let mut column = Vec::with_capacity(array.shape[0]);
    for (at, value) in array.integers().enumerate() {
        let Some(value) = value else {
            let rule = "event columns must be whole numbers of at most 63 bits";
            return Err(DataError::event_format(
                file,
                at * array.kind.bytes(),
                rule,
                format!("{:?}", array.kind),
            ));
        };
        column.push(value);
    }
    Ok(column)
}

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

fn open<'a>(file: &str, bytes: &'a [u8]) -> Result<Archive<'a>, DataError> {
    ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| DataError::event_format(file, 0, "an npz file must be a zip archive", error))
}

/// Unpacks one member. zip checks its CRC when the end is reached.
fn member(file: &str, bytes: &[u8], archive: &mut Archive<'_>, name: &str) -> Result<Vec<u8>, DataError> {
    let inner = format!("{name}.npy");
    let mut entry = archive.by_name(&inner).map_err(|error| {
        DataError::event_format(file, 0, "an npz file must hold its members", format!("{inner}: {error}"))
    })?;
    zip_member::unpack(file, &mut entry, bytes.len() as u64)
}
