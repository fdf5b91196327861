//! What an event set says of itself, and what it hands out.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Decoded, Recording};
use crate::{DataError, Mirror, Split};

/// Where the samples of a set come from. Records carry it, and a table must show anything that is not `Real`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The whole set, from a sensor.
    Real,
    /// A part of a set from a sensor.
    RealSubset,
    /// A simulated sensor that looks at real images.
    Simulated,
    /// Made by a formula, whole.
    Procedural,
}

impl Origin {
    /// The name as records write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::RealSubset => "real-subset",
            Self::Simulated => "simulated",
            Self::Procedural => "procedural",
        }
    }

    /// Whether accuracies on the set may never be compared with published ones.
    #[must_use]
    pub const fn is_stand_in(self) -> bool {
        matches!(self, Self::Simulated | Self::Procedural)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The facts of an event set.
#[derive(Clone, Debug)]
pub struct EventCard {
    /// Id on the command line and in records.
    pub id: &'static str,
    /// Name for people. A stand-in is never called by the bare name of what it stands for.
    pub title: String,
    /// Number of classes; labels are `0..classes`.
    pub classes: usize,
    /// Names of the classes in label order.
    pub class_names: Vec<String>,
    /// Rows and columns of the sensor, `[H, W]`.
    pub size: [usize; 2],
    /// Where the samples come from.
    pub origin: Origin,
    /// What a reader of a table has to know: of a stand-in, what it stands for and that it is not.
    pub note: String,
    /// What a mirror does to the classes.
    pub mirror: Mirror,
    /// Licence of the data, not of this code.
    pub licence: &'static str,
}

/// Labelled recordings.
///
/// Indices are those of the split: `0..len(split)`; recordings are read or made when they are asked for.
pub trait EventSet: Send + Sync {
    /// The facts of the set.
    fn card(&self) -> &EventCard;

    /// Samples in a split.
    fn len(&self, split: Split) -> usize;

    /// Whether a split holds nothing.
    fn is_empty(&self, split: Split) -> bool {
        self.len(split) == 0
    }

    /// One label, in `0..classes`; 0 beyond the end.
    fn label(&self, split: Split, index: usize) -> u32;

    /// The place of a sample for messages: its file, or what it was made from.
    fn place(&self, split: Split, index: usize) -> String;

    /// What tells the sample from others without reading its events: name and length of its file, or a piece of what it
    /// is made from.
    ///
    /// # Errors
    /// When its file is gone, or there is no such sample.
    fn stamp(&self, split: Split, index: usize) -> Result<Vec<u8>, DataError>;

    /// The events of one sample as its reader finds them, with the number of records that are none.
    ///
    /// # Errors
    /// When the file can't be read or breaks its format, or there is no such sample.
    fn decoded(&self, split: Split, index: usize) -> Result<Decoded, DataError>;

    /// One recording, each of its events on the sensor.
    ///
    /// # Errors
    /// As [`EventSet::decoded`], and when an event lies outside the sensor.
    fn recording(&self, split: Split, index: usize) -> Result<Recording, DataError> {
        let decoded = self.decoded(split, index)?;
        Recording::new(&self.place(split, index), self.card().size, decoded.events)
    }
}

impl fmt::Debug for dyn EventSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSet").field("id", &self.card().id).finish_non_exhaustive()
    }
}

/// The error of an index beyond a split.
pub(crate) fn no_sample(id: &str, split: Split, index: usize, len: usize) -> DataError {
    let rule = "a sample's index must be below the samples of its split";
    DataError::event_choice(format!("{id} {split}"), rule, format!("{index} of {len}"))
}
