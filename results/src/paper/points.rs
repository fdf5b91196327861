//! Measured training steps of one network, put together by batch.

use crate::read::Records;
use crate::record::{ScalingRow, Status};
use std::collections::BTreeMap;

/// A network and a way of training it, as a paper has them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'p> {
    pub(super) method: &'p str,
    pub(super) model: &'p str,
    pub(super) steps_t: Option<u32>,
    pub(super) image: &'p str,
}

/// Points that differ in the batch alone; there is at least one.
#[derive(Clone, Debug)]
pub(super) struct Batches<'r> {
    rows: BTreeMap<u32, &'r ScalingRow>,
}

impl<'r> Batches<'r> {
    /// The measured points of a method on a network, those first that are nearest to what is wanted.
    pub(super) fn of(records: &'r Records, wanted: &Wanted<'_>) -> Vec<Batches<'r>> {
        let mut all: Vec<Batches<'r>> = Vec::new();
        let fits = |row: &&ScalingRow| {
            row.status == Status::Ok && row.method == wanted.method && row.model == wanted.model
        };
        for row in records.scaling.iter().filter(fits) {
            let own = |batches: &&mut Batches<'_>| batches.place() == place(row);
            match all.iter_mut().find(own) {
                Some(batches) => {
                    batches.rows.insert(row.batch, row);
                }
                None => all.push(Batches { rows: BTreeMap::from([(row.batch, row)]) }),
            }
        }
        // The sort is stable: what is equally near stays in the order of the records.
        all.sort_by_key(|batches| {
            std::cmp::Reverse((batches.differences(wanted).is_empty(), batches.largest()))
        });
        all
    }

    /// Why a method has no measured point on a network, if the records say so.
    pub(super) fn refusal(records: &Records, wanted: &Wanted<'_>) -> Option<String> {
        let row = records.scaling.iter().find(|row| {
            row.status != Status::Ok && row.method == wanted.method && row.model == wanted.model
        })?;
        Some(crate::sweep::verdict(row.status, &row.note))
    }

    fn place(&self) -> Option<Place<'r>> {
        self.rows.values().next().and_then(|row| place(row))
    }

    /// Any of the points: what it says beside batch, bytes and times is the same for all.
    pub(super) fn any(&self) -> Option<&'r ScalingRow> {
        self.rows.values().next().copied()
    }

    fn largest(&self) -> u32 {
        self.rows.keys().next_back().copied().unwrap_or(0)
    }

    /// The point with the largest batch.
    pub(super) fn last(&self) -> Option<&'r ScalingRow> {
        self.rows.values().next_back().copied()
    }

    /// What is not as a paper has it.
    pub(super) fn differences(&self, wanted: &Wanted<'_>) -> Vec<String> {
        let Some(row) = self.any() else { return Vec::new() };
        let mut found = Vec::new();
        if let Some(steps) = wanted.steps_t.filter(|steps| *steps != row.steps_t) {
            found.push(format!("T = {} here, {steps} there", row.steps_t));
        }
        if row.image != wanted.image {
            found.push(format!("images of {} here, {} there", shown(&row.image), shown(wanted.image)));
        }
        if row.width != 1.0 {
            found.push(format!("{} of the published channels", row.width));
        }
        if let Some(blocks) = row.blocks {
            found.push(format!("{blocks} blocks in every stage"));
        }
        found
    }

    /// The same points of both, where the two were measured side by side; nothing where they were not.
    pub(super) fn beside(&self, other: &Batches<'r>) -> Option<(Batches<'r>, Batches<'r>)> {
        let common = |row: &ScalingRow| {
            (row.suite.clone(), row.image.clone(), row.width.to_bits(), row.threads, row.device.clone())
        };
        if self.any().map(common) != other.any().map(common) {
            return None;
        }
        let kept = |own: &Batches<'r>, with: &Batches<'r>| Batches {
            rows: own
                .rows
                .iter()
                .filter(|(batch, _)| with.rows.contains_key(batch))
                .map(|(batch, row)| (*batch, *row))
                .collect(),
        };
        let (own, with) = (kept(self, other), kept(other, self));
        (!own.rows.is_empty()).then_some((own, with))
    }

    /// Bytes that a step holds for one image, and how they were read.
    ///
    /// With several batches it is what one more image adds, between the smallest and the largest: what does not grow with the
    /// batch drops out, as it does in the large batches of papers. With one batch it is the part of an image. Parameters, their
    /// gradients, the optimiser, the average and workspace are in neither.
    pub(super) fn image_bytes(&self) -> Option<(f64, String)> {
        let held = |row: &ScalingRow| Some((row.law_bytes? + row.input_most_bytes?) as f64);
        let (first, last) = (self.any()?, self.last()?);
        if first.batch == last.batch {
            return Some((held(last)? / f64::from(last.batch), format!("batch {}", last.batch)));
        }
        let bytes = (held(last)? - held(first)?) / f64::from(last.batch - first.batch);
        Some((bytes, format!("one more image, batch {} to {}", first.batch, last.batch)))
    }

    /// Seconds of a step for one image at the largest batch: of the fastest timed step, and of the median plus its deviation.
    pub(super) fn image_seconds(&self) -> Option<(f64, f64)> {
        let row = self.last()?;
        let each = |seconds: f64| seconds / f64::from(row.batch);
        let fastest = row.step_seconds_min.filter(|seconds| *seconds > 0.0)?;
        let slow = row.step_seconds_median? + row.step_seconds_mad?;
        Some((each(fastest), each(slow)))
    }

    /// Method, network, device and type of the numbers.
    pub(super) fn words(&self) -> String {
        self.any().map_or_else(String::new, |row| {
            format!("{} on {}, {}, {}", row.method, row.model, row.device, row.dtype)
        })
    }
}

/// All that places a point, but its batch.
type Place<'r> = (&'r str, &'r str, u32, u32, Option<u32>, &'r str, u64, u32, &'r str, &'r str);

fn place(row: &ScalingRow) -> Option<Place<'_>> {
    Some((
        &row.suite,
        &row.sweep,
        row.sweep_rev,
        row.steps_t,
        row.blocks,
        &row.image,
        row.width.to_bits(),
        row.threads,
        &row.device,
        &row.dtype,
    ))
}

/// The batch and the worker threads of a point.
pub(super) fn told(row: &ScalingRow) -> String {
    let noun = if row.threads == 1 { "thread" } else { "threads" };
    format!("batch {}, {} {noun}", row.batch, row.threads)
}

/// A shape as people read it.
pub(super) fn shown(image: &str) -> String {
    image.replace('x', "×")
}
