//! Points of sweeps put in lines: one method along T at one depth, along blocks at one T, or along batches at both.

use crate::contest::noted;
use crate::read::Records;
use crate::record::{InferenceRow, ScalingRow, Status};
use std::collections::BTreeMap;

/// The points of one network on one input.
#[derive(Clone, Debug)]
pub(crate) struct Sweep<'a> {
    pub(crate) points: Vec<&'a ScalingRow>,
}

/// What changes from point to point of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Along {
    /// The number of time steps T.
    Steps,
    /// The number of blocks in every stage.
    Blocks,
    /// The number of samples in the batch.
    Batch,
}

/// A point's T and blocks, 0 where lines run along them.
type Elsewhere = (u32, u32);

/// The points of one method along one axis, by rising place, whatever became of them; there is at least one.
#[derive(Clone, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) along: Along,
    pub(crate) points: Vec<&'a ScalingRow>,
}

/// The sweeps of a campaign in the order of the records; points of another image, width or number type are of another sweep,
/// and so are those of another batch, unless batches are what lines run along.
pub(crate) fn sweeps(records: &Records, along: Along) -> Vec<Sweep<'_>> {
    // The width by its bits, because it is a name here.
    let told = |row: &ScalingRow| {
        let name = (row.suite.clone(), row.sweep.clone(), row.sweep_rev);
        let batch = (along != Along::Batch).then_some(row.batch);
        (name, batch, row.image.clone(), row.width.to_bits(), row.dtype.clone())
    };
    let mut sweeps: Vec<Sweep<'_>> = Vec::new();
    for row in &records.scaling {
        match sweeps.iter_mut().find(|sweep| told(sweep.points[0]) == told(row)) {
            Some(sweep) => sweep.points.push(row),
            None => sweeps.push(Sweep { points: vec![row] }),
        }
    }
    sweeps
}

impl<'a> Sweep<'a> {
    /// The network and its input, in a few words.
    pub(crate) fn title(&self) -> String {
        let Some(first) = self.points.first() else { return String::new() };
        let image = first.image.replace('x', "×");
        let one = self.points.iter().all(|row| row.batch == first.batch);
        let batch = if one { format!(", batch {}", first.batch) } else { String::new() };
        format!("{}, {image}{batch}{}", first.sweep, numbers(&first.dtype))
    }

    /// A line for each method, in the order of the records; none where no method has two places along the axis.
    ///
    /// Of a method that was measured along the axis at several places of the others, the line with most points
    /// counts, and of equally long ones that at the place with most points of all methods.
    pub(crate) fn lines(&self, along: Along) -> Vec<Line<'a>> {
        let mut by_method: Vec<(&str, BTreeMap<Elsewhere, Vec<&'a ScalingRow>>)> = Vec::new();
        for &row in self.points.iter().filter(|row| along.place(row).is_some()) {
            let place = by_method.iter().position(|(method, _)| *method == row.method).unwrap_or_else(|| {
                by_method.push((&row.method, BTreeMap::new()));
                by_method.len() - 1
            });
            by_method[place].1.entry(along.other(row)).or_default().push(row);
        }
        let mut of_all: BTreeMap<Elsewhere, usize> = BTreeMap::new();
        for (other, points) in by_method.iter().flat_map(|(_, lines)| lines) {
            *of_all.entry(*other).or_default() += points.len();
        }
        let lines: Vec<Line<'a>> = by_method
            .into_iter()
            .filter_map(|(_, lines)| {
                lines.into_iter().max_by_key(|(other, points)| (points.len(), of_all.get(other).copied()))
            })
            .map(|(_, mut points)| {
                points.sort_by_key(|row| along.place(row));
                Line { along, points }
            })
            .collect();
        if lines.iter().any(|line| line.points.len() > 1) { lines } else { Vec::new() }
    }
}

impl Along {
    /// Where a point stands along the axis; nothing where the sweep leaves the model's own number of blocks.
    pub(crate) fn place(self, row: &ScalingRow) -> Option<u32> {
        match self {
            Along::Steps => Some(row.steps_t),
            Along::Blocks => row.blocks,
            Along::Batch => Some(row.batch),
        }
    }

    /// Where it stands along the other axes.
    fn other(self, row: &ScalingRow) -> Elsewhere {
        let blocks = row.blocks.unwrap_or(0);
        match self {
            Along::Steps => (0, blocks),
            Along::Blocks => (row.steps_t, 0),
            Along::Batch => (row.steps_t, blocks),
        }
    }

    /// What does not change along the axis, in a few words; nothing where the model's own number of blocks stands.
    fn fixed(self, row: &ScalingRow) -> Option<String> {
        let blocks = row.blocks.map(|blocks| {
            let noun = if blocks == 1 { "block" } else { "blocks" };
            format!("{blocks} {noun} a stage")
        });
        let steps = format!("T = {}", row.steps_t);
        match self {
            Along::Steps => blocks,
            Along::Blocks => Some(steps),
            Along::Batch => Some(blocks.map_or(steps.clone(), |blocks| format!("{steps}, {blocks}"))),
        }
    }

    /// The axis, for a chart.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Along::Steps => "time steps T",
            Along::Blocks => "blocks of a stage",
            Along::Batch => "samples in the batch",
        }
    }
}

impl<'a> Line<'a> {
    pub(crate) fn method(&self) -> &'a str {
        self.points.first().map_or("", |row| &row.method)
    }

    /// What does not change along the line.
    pub(crate) fn fixed(&self) -> Option<String> {
        self.points.first().and_then(|row| self.along.fixed(row))
    }

    /// Places with what was measured there.
    pub(crate) fn measured(&self, value: impl Fn(&ScalingRow) -> Option<f64>) -> Vec<(f64, f64)> {
        let measured = self.points.iter().filter(|row| row.status == Status::Ok);
        measured.filter_map(|row| Some((f64::from(self.along.place(row)?), value(row)?))).collect()
    }

    /// The same without T = 1, where there is no time to carry anything through: the laws begin at 2.
    pub(crate) fn in_law(&self, value: impl Fn(&ScalingRow) -> Option<f64>) -> Vec<(f64, f64)> {
        let first = if self.along == Along::Steps { 2.0 } else { 1.0 };
        self.measured(value).into_iter().filter(|(place, _)| *place >= first).collect()
    }

    /// The farthest point that was measured.
    pub(crate) fn farthest(&self) -> Option<&'a ScalingRow> {
        self.points.iter().copied().rfind(|row| row.status == Status::Ok)
    }

    /// How the line's points ended, for a reader: `ok`, or what the first one that did not says.
    pub(crate) fn status(&self) -> String {
        let bad: Vec<_> = self.points.iter().filter(|row| row.status != Status::Ok).collect();
        match bad.first() {
            None => "ok".to_owned(),
            Some(first) if bad.len() == self.points.len() => verdict(first.status, &first.note),
            Some(first) => {
                let (bad, all) = (bad.len(), self.points.len());
                format!("{bad} of {all} points: {}", verdict(first.status, &first.note))
            }
        }
    }
}

/// What most lines leave as it is, if they leave anything.
pub(crate) fn usual(lines: &[&Line<'_>]) -> Option<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for fixed in lines.iter().filter_map(|line| line.fixed()) {
        *counts.entry(fixed).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(fixed, _)| fixed)
}

/// The inference points of each network and kind of width: ascending T within.
pub(crate) fn inferences(records: &Records) -> Vec<Vec<&InferenceRow>> {
    let told = |row: &InferenceRow| {
        let name = (row.suite.clone(), row.sweep.clone(), row.sweep_rev);
        (name, row.step_width.clone(), row.batch, row.image.clone(), row.width.to_bits(), row.dtype.clone())
    };
    let mut lines: Vec<Vec<&InferenceRow>> = Vec::new();
    for row in &records.inference {
        match lines.iter_mut().find(|line| told(line[0]) == told(row)) {
            Some(line) => line.push(row),
            None => lines.push(vec![row]),
        }
    }
    for line in &mut lines {
        line.sort_by_key(|row| row.steps_t);
    }
    lines
}

/// What a title says of the number type, where it is told and not the usual one.
pub(crate) fn numbers(dtype: &str) -> String {
    match dtype {
        "" | "f32" => String::new(),
        told => format!(", {told}"),
    }
}

/// A status with its note.
pub(crate) fn verdict(status: Status, note: &str) -> String {
    format!("{status}{}", noted(note))
}
