//! A look at every recording of a set: what `verify` compares with the known totals.

use super::{EventSet, Statistics};
use crate::{DataError, Split};

/// Totals of one split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Samples of each class.
    pub per_class: Vec<usize>,
    /// Events of each class.
    pub events_per_class: Vec<usize>,
    /// Totals over all events.
    pub totals: Statistics,
    /// Records that are no event, such as overflow markers.
    pub dropped: usize,
    /// Events of the shortest and of the longest recording.
    pub shortest_longest: [usize; 2],
}

/// Reads every recording of a split; each must be whole, and its events on the sensor.
///
/// # Errors
/// Of the first recording that is not.
pub fn survey(set: &dyn EventSet, split: Split) -> Result<Survey, DataError> {
    let classes = set.card().classes;
    let mut survey = Survey {
        per_class: vec![0; classes],
        events_per_class: vec![0; classes],
        totals: Statistics::of(&[]),
        dropped: 0,
        shortest_longest: [usize::MAX, 0],
    };
    for index in 0..set.len(split) {
        let decoded = set.decoded(split, index)?;
        let dropped = decoded.dropped;
        let recording = super::Recording::new(&set.place(split, index), set.card().size, decoded.events)?;
        let found = recording.statistics();
        let label = set.label(split, index) as usize;
        if let (Some(samples), Some(events)) =
            (survey.per_class.get_mut(label), survey.events_per_class.get_mut(label))
        {
            *samples += 1;
            *events += found.events;
        }
        let totals = &mut survey.totals;
        totals.events += found.events;
        totals.on += found.on;
        totals.sum_x += found.sum_x;
        totals.sum_y += found.sum_y;
        totals.sum_t += found.sum_t;
        totals.backward += found.backward;
        survey.dropped += dropped;
        let [shortest, longest] = survey.shortest_longest;
        survey.shortest_longest = [shortest.min(found.events), longest.max(found.events)];
    }
    if set.is_empty(split) {
        survey.shortest_longest = [0, 0];
    }
    Ok(survey)
}
