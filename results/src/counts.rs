//! Operation counts as tables ask for them: of a trial, of an entry, of a layer.

use crate::contest::Entry;
use crate::energy::evaluation;
use crate::read::Records;
use crate::record::{OpsRow, Status, Trial};
use std::collections::BTreeMap;

/// The rows of each trial, by its key.
pub(crate) struct Counts<'r> {
    by_trial: BTreeMap<&'r str, Vec<&'r OpsRow>>,
}

impl<'r> Counts<'r> {
    pub(crate) fn of(records: &'r Records) -> Self {
        let mut by_trial: BTreeMap<&str, Vec<&OpsRow>> = BTreeMap::new();
        for row in &records.ops {
            by_trial.entry(&row.trial).or_default().push(row);
        }
        Self { by_trial }
    }

    /// All rows of a trial.
    pub(crate) fn rows(&self, trial: &Trial) -> &[&'r OpsRow] {
        self.by_trial.get(trial.trial.as_str()).map_or(&[], Vec::as_slice)
    }

    /// Rows of the evaluation of each measured seed of an entry that was counted.
    pub(crate) fn evaluations(&self, entry: &Entry<'_>) -> Vec<Vec<&'r OpsRow>> {
        let measured = entry.trials.iter().filter(|trial| trial.status == Status::Ok);
        measured.filter_map(|trial| evaluation(self.rows(trial))).collect()
    }
}

/// The sum of a count over rows; nothing where one of them lacks it.
pub(crate) fn total(rows: &[&OpsRow], count: impl Fn(&OpsRow) -> Option<f64>) -> Option<f64> {
    rows.iter().map(|row| count(row)).sum()
}

/// The mean of a number over the seeds of an entry; the first reason where one of them lacks it.
pub(crate) fn mean(found: impl Iterator<Item = Result<f64, String>>) -> Option<Result<f64, String>> {
    let found: Vec<f64> = match found.collect() {
        Ok(found) => found,
        Err(reason) => return Some(Err(reason)),
    };
    (!found.is_empty()).then(|| Ok(found.iter().sum::<f64>() / found.len() as f64))
}

/// One layer, its steps added up.
pub(crate) struct Layer<'r> {
    /// Name, kind of work, and what it reads.
    pub(crate) name: &'r str,
    pub(crate) kind: &'r str,
    pub(crate) reads: &'r str,
    pub(crate) rows: Vec<&'r OpsRow>,
}

impl Layer<'_> {
    /// Spikes a neuron and step; nothing for other layers.
    pub(crate) fn rate(&self) -> Option<f64> {
        let steps = self.rows.len() as f64;
        self.spikes_per_neuron().map(|spikes| spikes / steps)
    }

    /// Spikes a neuron fires for one sample; nothing for other layers.
    pub(crate) fn spikes_per_neuron(&self) -> Option<f64> {
        let neurons = self.rows.first().filter(|row| row.kind == "neuron")?.neurons;
        let spikes = total(&self.rows, |row| row.spikes_per_sample)?;
        (neurons > 0).then(|| spikes / neurons as f64)
    }
}

/// The layers of an evaluation, in the order in which they were met.
pub(crate) fn layers<'r>(rows: &[&'r OpsRow]) -> Vec<Layer<'r>> {
    let mut layers: Vec<Layer<'r>> = Vec::new();
    let mut places: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for &row in rows {
        let key = (row.layer.as_str(), row.kind.as_str(), row.reads.as_str());
        let place = *places.entry(key).or_insert_with(|| {
            let (name, kind, reads) = key;
            layers.push(Layer { name, kind, reads, rows: Vec::new() });
            layers.len() - 1
        });
        layers[place].rows.push(row);
    }
    layers
}

/// Spikes per neuron and step of a whole evaluation; nothing where nothing spikes.
pub(crate) fn firing_rate(rows: &[&OpsRow]) -> Option<f64> {
    let neurons: Vec<&OpsRow> = rows.iter().copied().filter(|row| row.kind == "neuron").collect();
    let places: f64 = neurons.iter().map(|row| row.neurons as f64).sum();
    let spikes = total(&neurons, |row| row.spikes_per_sample)?;
    (places > 0.0).then(|| spikes / places)
}
