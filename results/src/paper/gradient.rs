//! How near a gradient is to the exact one, in the case that a row names.

use super::line::Finding;
use super::value::{Commands, Counterpart};
use super::verdict::Measured;
use crate::contest::contests;
use crate::read::Records;
use crate::record::{Status, Trial};
use crate::statistics::Interval;

/// The cosine to exact backpropagation through time, of several seeds the mean.
///
/// Images that stand in for others do here: the number tells of a network and its method, and is no accuracy.
pub(super) fn cosine(records: &Records, own: &Counterpart<'_>, commands: &Commands) -> Finding {
    let contests = contests(records);
    let mut entries = contests.iter().filter(|contest| contest.model == own.model).flat_map(|contest| {
        contest.entries.iter().filter(|entry| {
            entry.method == own.method
                && own.is_at(entry.steps_t)
                && own.row.case.as_ref().is_none_or(|case| case == entry.case)
        })
    });
    let Some(entry) = entries.next() else {
        return Finding::missing("no gradient was compared in this case", commands.training.clone());
    };
    let measured: Vec<(&Trial, f64)> = entry
        .trials
        .iter()
        .filter(|trial| trial.status == Status::Ok)
        .filter_map(|trial| Some((*trial, trial.gradient_cosine?)))
        .collect();
    let Some((first, _)) = measured.first() else {
        return Finding::missing(entry.reason(), commands.training.clone());
    };
    let cosines: Vec<f64> = measured.iter().map(|(_, cosine)| *cosine).collect();
    let interval = Interval::of_mean(&cosines).map(|interval| (interval.low, interval.high));
    let value = cosines.iter().sum::<f64>() / cosines.len() as f64;
    let stands = if first.stand_in == Some(false) { "" } else { " in its place" };
    let note = if first.note.is_empty() { String::new() } else { format!(": {}", first.note) };
    Finding {
        measured: Some(Measured { value, interval }),
        spread: interval.map(|_| format!("95 % of {} seeds, t", cosines.len())).unwrap_or_default(),
        how: format!(
            "{} on {}, {}{stands}, {}, batch {}, {} epochs of {} images{note}",
            entry.method,
            own.model,
            first.dataset,
            first.device,
            first.batch,
            first.epochs,
            first.train_samples,
        ),
        obstacle: None,
    }
}
