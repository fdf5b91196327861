//! Trials put side by side: which rows compare with which.
//!
//! A contest is one model on one dataset; its entries are the methods, each with its seeds. Numbers of different
//! models are never put into one contest: a method that needs another architecture is compared on that one.

use crate::read::Records;
use crate::record::{LedgerRow, Status, Trial};
use crate::statistics::Interval;
use std::collections::{BTreeMap, BTreeSet};

/// One model on one dataset in one suite.
#[derive(Clone, Debug)]
pub(crate) struct Contest<'a> {
    pub(crate) suite: &'a str,
    pub(crate) dataset: &'a str,
    pub(crate) model: &'a str,
    /// Whether the dataset stands for another; `None` where nobody wrote it down.
    pub(crate) stand_in: Option<bool>,
    pub(crate) entries: Vec<Entry<'a>>,
}

/// One method at one T in one case; its trials differ in the seed alone.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) case: &'a str,
    pub(crate) case_rev: u32,
    pub(crate) method: &'a str,
    pub(crate) steps_t: u32,
    pub(crate) trials: Vec<&'a Trial>,
}

/// The contests of a campaign, and the entries of each, in the order of the records.
pub(crate) fn contests(records: &Records) -> Vec<Contest<'_>> {
    let mut contests: Vec<Contest<'_>> = Vec::new();
    for trial in &records.trials {
        let same =
            |c: &Contest<'_>| c.suite == trial.suite && c.dataset == trial.dataset && c.model == trial.model;
        let place = contests.iter().position(same).unwrap_or_else(|| {
            contests.push(Contest {
                suite: &trial.suite,
                dataset: &trial.dataset,
                model: &trial.model,
                stand_in: trial.stand_in,
                entries: Vec::new(),
            });
            contests.len() - 1
        });
        contests[place].admit(trial);
    }
    contests
}

/// Every method of a campaign, by name: the order behind colours, so that a method looks the same everywhere.
pub(crate) fn methods(records: &Records) -> Vec<&str> {
    let of_trials = records.trials.iter().map(|trial| trial.method.as_str());
    let names: BTreeSet<&str> =
        of_trials.chain(records.scaling.iter().map(|row| row.method.as_str())).collect();
    names.into_iter().collect()
}

impl<'a> Contest<'a> {
    fn admit(&mut self, trial: &'a Trial) {
        let same = |e: &&mut Entry<'a>| {
            e.case == trial.case
                && e.case_rev == trial.case_rev
                && e.method == trial.method
                && e.steps_t == trial.steps_t
        };
        if let Some(entry) = self.entries.iter_mut().find(same) {
            entry.trials.push(trial);
            return;
        }
        self.entries.push(Entry {
            case: &trial.case,
            case_rev: trial.case_rev,
            method: &trial.method,
            steps_t: trial.steps_t,
            trials: vec![trial],
        });
    }

    /// What an entry is compared with: the baseline of its own case, else the contest's only one.
    pub(crate) fn baseline(&self, entry: &Entry<'a>) -> Option<&Entry<'a>> {
        let marked: Vec<&Entry<'a>> = self.entries.iter().filter(|e| e.is_baseline()).collect();
        let own = marked.iter().find(|e| e.case == entry.case && e.case_rev == entry.case_rev);
        match (own, marked.as_slice()) {
            (Some(own), _) => Some(own),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// How a chart names an entry: by method, and by T or case where the method alone is not enough.
    pub(crate) fn label(&self, entry: &Entry<'a>) -> String {
        let namesakes: Vec<&Entry<'a>> = self.entries.iter().filter(|e| e.method == entry.method).collect();
        let cases: BTreeSet<(&str, u32)> = namesakes.iter().map(|e| (e.case, e.case_rev)).collect();
        match (namesakes.len(), cases.len()) {
            (0 | 1, _) => entry.method.to_owned(),
            (_, 1) => format!("{}, T = {}", entry.method, entry.steps_t),
            _ => format!("{}, {}", entry.method, entry.case),
        }
    }

    /// What the contest is about, in a few words.
    pub(crate) fn title(&self) -> String {
        let mark = match self.stand_in {
            Some(true) => ", a stand-in",
            Some(false) => "",
            None => ", perhaps a stand-in",
        };
        format!("{} on {}{mark}", self.model, self.dataset)
    }
}

impl<'a> Entry<'a> {
    pub(crate) fn is_baseline(&self) -> bool {
        self.trials.iter().any(|trial| trial.baseline)
    }

    fn measured(&self) -> impl Iterator<Item = &'a Trial> {
        self.trials.iter().copied().filter(|trial| trial.status == Status::Ok)
    }

    /// Mean of a metric over the seeds that were measured.
    pub(crate) fn mean(&self, metric: impl Fn(&Trial) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self.measured().filter_map(metric).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// Sample standard deviation of a metric over the seeds; `None` for fewer than two.
    pub(crate) fn deviation(&self, metric: impl Fn(&Trial) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self.measured().filter_map(metric).collect();
        if values.len() < 2 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some((squares / (values.len() - 1) as f64).sqrt())
    }

    /// The 95 % interval of an accuracy: of the mean over seeds, or of the one seed's share of its test samples.
    pub(crate) fn interval(&self, accuracy: impl Fn(&Trial) -> Option<f64>) -> Option<Interval> {
        let values: Vec<(f64, u64)> =
            self.measured().filter_map(|trial| Some((accuracy(trial)?, trial.test_samples))).collect();
        match values.as_slice() {
            [(share, samples)] => Interval::of_share(*share, *samples),
            several => Interval::of_mean(&several.iter().map(|(value, _)| *value).collect::<Vec<_>>()),
        }
    }

    /// The mean difference of a metric to another entry's with its 95 % interval, over the seeds that both have; nothing
    /// for fewer than two.
    pub(crate) fn difference(
        &self,
        other: &Entry<'a>,
        metric: impl Fn(&Trial) -> Option<f64>,
    ) -> Option<Interval> {
        let pairs: Vec<(f64, f64)> = self
            .measured()
            .filter_map(|own| {
                let twin = other.measured().find(|trial| trial.seed == own.seed)?;
                metric(own).zip(metric(twin))
            })
            .collect();
        Interval::of_differences(&pairs)
    }

    /// Median of a metric over the seeds that were measured.
    pub(crate) fn median(&self, metric: impl Fn(&Trial) -> Option<f64>) -> Option<f64> {
        let mut values: Vec<f64> = self.measured().filter_map(metric).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(values[middle]),
            _ => Some((values[middle - 1] + values[middle]) / 2.0),
        }
    }

    /// Largest value of a metric over the seeds that were measured.
    pub(crate) fn highest(&self, metric: impl Fn(&Trial) -> Option<u64>) -> Option<u64> {
        self.measured().filter_map(metric).max()
    }

    /// Why a metric is missing: what the first unmeasured seed says, else what the first one noted.
    pub(crate) fn reason(&self) -> String {
        let unmeasured = self.trials.iter().find(|trial| trial.status != Status::Ok);
        match unmeasured.or(self.trials.first()) {
            Some(trial) => verdict(trial),
            None => String::new(),
        }
    }

    /// How the entry ended, for a reader: the status, its reason, and how many seeds it concerns.
    pub(crate) fn status(&self) -> String {
        let total = self.trials.len();
        let good = self.measured().count();
        match (good, total) {
            (good, total) if good == total => {
                let seeds = if total > 1 { format!(", {total} seeds") } else { String::new() };
                format!("ok{seeds}{}", self.trials.first().map(|t| noted(&t.note)).unwrap_or_default())
            }
            (0, _) => self.reason(),
            _ => format!("{good} of {total} seeds ok; {}", self.reason()),
        }
    }
}

/// A trial's status with its note.
pub(crate) fn verdict(trial: &Trial) -> String {
    format!("{}{}", trial.status, noted(&trial.note))
}

pub(crate) fn noted(note: &str) -> String {
    let note = note.trim();
    if note.is_empty() { String::new() } else { format!(": {note}") }
}

/// The memory of one training step of an entry, against the T at which it was probed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Growth {
    /// Peak bytes of a step above what lives between steps.
    pub(crate) peak: BTreeMap<u32, u64>,
    /// The part that the memory laws are about: without workspace. Empty if the ledger has no categories.
    pub(crate) kept: BTreeMap<u32, u64>,
}

impl Growth {
    /// Reads an entry's ledger; the largest of its seeds counts.
    pub(crate) fn of(entry: &Entry<'_>, ledger: &[LedgerRow]) -> Self {
        let mut growth = Growth::default();
        for trial in entry.measured() {
            let mut phases: BTreeMap<(u32, &str), Phase> = BTreeMap::new();
            for row in ledger.iter().filter(|row| row.trial == trial.trial) {
                phases.entry((row.probe_t, &row.phase)).or_default().add(row);
            }
            for ((steps, _), phase) in phases {
                let peak = growth.peak.entry(steps).or_default();
                *peak = phase.total.unwrap_or(phase.kept + phase.workspace).max(*peak);
                if phase.has_categories {
                    let kept = growth.kept.entry(steps).or_default();
                    *kept = phase.kept.max(*kept);
                }
            }
        }
        growth
    }

    /// Bytes per extra step between the smallest T of at least 2 and the largest T: at T = 1 there is no time to
    /// carry anything through, so the laws begin at 2.
    pub(crate) fn slope(bytes: &BTreeMap<u32, u64>) -> Option<f64> {
        let (first, low) = bytes.iter().find(|(steps, _)| **steps >= 2)?;
        let (last, high) = bytes.iter().next_back()?;
        (last > first).then(|| (*high as f64 - *low as f64) / f64::from(last - first))
    }
}

#[derive(Default)]
struct Phase {
    total: Option<u64>,
    kept: u64,
    workspace: u64,
    has_categories: bool,
}

impl Phase {
    fn add(&mut self, row: &LedgerRow) {
        match row.category.as_str() {
            LedgerRow::TOTAL => self.total = Some(row.bytes),
            LedgerRow::WORKSPACE => self.workspace += row.bytes,
            // A part of the total.
            LedgerRow::UNATTRIBUTED => {}
            between if LedgerRow::BETWEEN_STEPS.contains(&between) => {}
            _ => {
                self.kept += row.bytes;
                self.has_categories = true;
            }
        }
    }
}
