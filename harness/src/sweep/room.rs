//! The batch that fits: of a device's memory, by the plan of a step.

use super::point::{Point, Training};
use crate::device;
use crate::environment::available_bytes;
use crate::error::{Error, Result};
use crate::select::Selection;

/// What a batch may grow to.
pub(super) struct Room {
    /// The most samples, and the bytes they must fit into; nothing where batches are as the suite has them.
    limits: Option<(usize, usize)>,
}

impl Room {
    /// What the command line leaves.
    ///
    /// # Errors
    /// When the device can't say what is free on it and nobody else did.
    pub(super) fn of(selection: &Selection) -> Result<Self> {
        let Some(most) = selection.batch_up_to else { return Ok(Self { limits: None }) };
        let bytes = match selection.fits {
            Some(bytes) => bytes,
            None => free(selection)?,
        };
        Ok(Self { limits: Some((most, bytes)) })
    }

    /// The point with the largest power of two for which the plan of its step fits. One that doesn't fit with one sample
    /// keeps one, and one that can't be planned keeps its own: what comes of them is a row.
    pub(super) fn point(&self, point: Point, training: &Training) -> Point {
        let Some((most, bytes)) = self.limits else { return point };
        let mut batch = 1 << most.ilog2();
        loop {
            let tried = Point { batch, ..point.clone() };
            match training.forecast(&tried) {
                Err(_) => return point,
                Ok(forecast) if forecast.whole() <= bytes || batch == 1 => return tried,
                Ok(_) => batch /= 2,
            }
        }
    }
}

/// Four fifths of what is free: a plan knows neither the workspace of an accelerator's libraries nor an allocator's
/// fragments.
fn free(selection: &Selection) -> Result<usize> {
    let pool = device::pool(selection.device)?;
    let free = pool.map(|pool| pool.free).or_else(available_bytes);
    let missing = || Error::value("--fits", "given, as the device does not tell what is free", "nothing");
    Ok(free.ok_or_else(missing)? / 5 * 4)
}
