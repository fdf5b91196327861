//! The book of operations while a session counts.

use std::collections::BTreeMap;
use std::rc::Rc;

use kernels::bits::Bits;

use super::reach::reached;
use super::{Counted, Counts, During, Each, Kind, Operations, Reach, Reads, Work};
use crate::error::{Error, Result};
use crate::ledger::Phase;
use crate::value::{Value, rows_and_plane};

/// What is known of a value from how it was made.
#[derive(Clone)]
struct Origin {
    reads: Reads,
    /// Rates of the spikes that it is made of by weights, norms or means alone, one a step.
    fed: Option<Rc<[f64]>>,
}

/// Rows so far, and where the values of the current batch come from.
#[derive(Default)]
pub(crate) struct Tally {
    counts: Counts,
    places: BTreeMap<(During, String, Kind, Reads, usize), usize>,
    origins: BTreeMap<u64, Origin>,
    /// Values that no op has accounted for yet, with their shapes.
    open: BTreeMap<u64, Vec<usize>>,
}

impl std::fmt::Debug for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tally").field("counts", &self.counts).finish_non_exhaustive()
    }
}

/// Spikes of an input, one number a step: how many there are, and how many accumulates they cause.
struct Events {
    spikes: Vec<u64>,
    acs: Vec<u64>,
}

impl Tally {
    pub(super) fn made(&mut self, value: &Value) {
        self.open.insert(value.id(), value.shape().to_vec());
    }

    pub(super) fn moved(&mut self, from: &Value, to: &Value) {
        let origin = self.origin(from);
        self.settle(to, origin);
    }

    pub(super) fn prepared(&mut self, value: &Value) {
        self.settle(value, Origin { reads: Reads::Numbers, fed: None });
    }

    fn settle(&mut self, value: &Value, origin: Origin) {
        self.open.remove(&value.id());
        self.origins.insert(value.id(), origin);
    }

    fn origin(&self, value: &Value) -> Origin {
        let plain = |reads| Origin { reads, fed: None };
        match self.origins.get(&value.id()) {
            _ if value.is_input() => plain(Reads::Images),
            Some(origin) if !value.is_spikes() && value.scaled().is_none() => origin.clone(),
            _ if value.is_spikes() || value.scaled().is_some() => plain(Reads::Spikes),
            _ => plain(Reads::Numbers),
        }
    }

    /// Adds what an op did, and settles its output.
    pub(super) fn add(&mut self, at: (Option<usize>, usize), phase: Phase, work: &Work<'_>) -> Result<()> {
        let steps = work.output.steps();
        let first = work.inputs.first();
        let origin = first.map_or(Origin { reads: Reads::Numbers, fed: None }, |input| self.origin(input));
        let on_spikes = !work.driven.is_empty()
            && work.driven.iter().all(|input| self.origin(input).reads == Reads::Spikes);
        let driven = match on_spikes {
            true => work.driven.iter().map(|input| events(input, work.reach)).collect::<Result<Vec<_>>>()?,
            false => Vec::new(),
        };
        let fired = match work.output.bits() {
            Some(bits) if work.kind == Kind::Neuron => {
                Some(reached(bits, work.output.len(), steps, Reach::Each(1))?)
            }
            _ => None,
        };
        let during = match phase {
            Phase::Evaluation => During::Evaluation,
            Phase::Backward => During::Recompute,
            Phase::Idle | Phase::Forward | Phase::Update => During::Forward,
        };
        let share = |count: u64| count / steps.max(1) as u64;
        let inputs: u64 = work.inputs.iter().map(|input| (input.len() / input.steps().max(1)) as u64).sum();
        for step in 0..steps {
            let place = (during, work.place, work.kind, origin.reads, step_of(at, step, steps));
            let row = self.row(place, work);
            let sums = &mut row.sums;
            sums.dense_macs += share(work.dense);
            let mut spikes_read = 0;
            if on_spikes {
                for events in driven.iter().flatten() {
                    sums.acs += at_step(&events.acs, step);
                    spikes_read += at_step(&events.spikes, step);
                }
            } else {
                sums.macs += share(work.dense);
                if let Some(rate) = origin.fed.as_deref().and_then(|fed| rate_of(fed, at.0, step)) {
                    sums.chained_acs += share(work.dense) as f64 * rate;
                }
            }
            sums.multiplies += share(work.multiplies);
            sums.adds += share(work.adds);
            sums.compares += share(work.compares);
            sums.inputs += inputs;
            sums.input_spikes += spikes_read;
            sums.outputs += share(work.output.len() as u64);
            if let Some(fired) = &fired {
                sums.spikes += fired[step];
                // A soft reset is a subtraction where a neuron fired.
                sums.adds += if work.subtracts() { fired[step] } else { 0 };
            }
        }
        let fed = match (work.kind, on_spikes) {
            (Kind::Convolution | Kind::Linear, true) => {
                work.driven.first().and_then(|input| driven.first()?.as_ref().map(|found| found.rates(input)))
            }
            (Kind::Convolution | Kind::Linear | Kind::Norm, false) => origin.fed.clone(),
            (Kind::Pool, _) => match first {
                Some(input) if origin.reads == Reads::Spikes => {
                    events(input, Reach::Each(1))?.map(|found| found.rates(input))
                }
                _ => origin.fed.clone(),
            },
            _ => None,
        };
        let reads = self.becomes(work, origin.reads);
        self.settle(work.output, Origin { reads, fed });
        Ok(())
    }

    /// What a value is called that this work made.
    fn becomes(&self, work: &Work<'_>, reads: Reads) -> Reads {
        let counts = |input: &&Value| matches!(self.origin(input).reads, Reads::Spikes | Reads::SpikeCounts);
        match (work.kind, reads) {
            (Kind::Sum, _) if work.inputs.iter().all(counts) => Reads::SpikeCounts,
            (Kind::Pool, Reads::Spikes | Reads::SpikeCounts) => Reads::SpikeMeans,
            // A factor a channel: no longer spikes of one height.
            (Kind::Scale, Reads::Spikes) => Reads::Numbers,
            (Kind::Pool | Kind::Scale, other) => other,
            _ => work.makes,
        }
    }

    /// Adds products on the way back.
    pub(super) fn back(
        &mut self,
        at: (Option<usize>, usize),
        (place, kind, reads): (&str, Kind, Reads),
        dense: u64,
        steps: usize,
    ) {
        for step in 0..steps {
            let key = (During::Backward, place.to_string(), kind, reads, step_of(at, step, steps));
            let sums = &mut self.found(key).sums;
            sums.dense_macs += dense / steps as u64;
            sums.macs += dense / steps as u64;
        }
    }

    /// Adds work on what changes in place: no value is made.
    pub(super) fn in_place(
        &mut self,
        (during, place, kind, step): (During, &str, Kind, usize),
        scalars: u64,
        each: Each,
    ) {
        let row = self.found((during, place.to_string(), kind, Reads::Numbers, step));
        if kind == Kind::Optimiser {
            row.weights = scalars;
        }
        let sums = &mut row.sums;
        sums.multiplies += scalars * each.multiplies;
        sums.adds += scalars * each.adds;
        sums.outputs += scalars;
    }

    fn row(&mut self, place: (During, &str, Kind, Reads, usize), work: &Work<'_>) -> &mut Counted {
        let (during, layer, kind, reads, step) = place;
        let row = self.found((during, layer.to_string(), kind, reads, step));
        let (steps, batch) = (work.output.steps().max(1), work.output.batch().max(1));
        row.weights = work.weights;
        row.neurons = match kind {
            Kind::Neuron | Kind::Rectifier => (work.output.len() / (steps * batch)) as u64,
            _ => 0,
        };
        row
    }

    fn found(&mut self, key: (During, String, Kind, Reads, usize)) -> &mut Counted {
        let rows = &mut self.counts.rows;
        let index = match self.places.get(&key) {
            Some(index) => *index,
            None => {
                let (during, layer, kind, reads, step) = key.clone();
                let sums = Operations::default();
                rows.push(Counted { during, layer, kind, reads, step, weights: 0, neurons: 0, sums });
                self.places.insert(key, rows.len() - 1);
                rows.len() - 1
            }
        };
        &mut rows[index]
    }

    pub(super) fn end_batch(&mut self, samples: usize) -> Result<()> {
        self.origins.clear();
        if let Some((_, shape)) = self.open.pop_first() {
            return Err(Error::Uncounted { shape, others: std::mem::take(&mut self.open).len() });
        }
        self.counts.samples += samples as u64;
        Ok(())
    }

    pub(super) fn into_counts(mut self) -> Result<Counts> {
        self.end_batch(0)?;
        Ok(self.counts)
    }
}

impl Events {
    /// Spikes a value of the input, one number a step.
    fn rates(&self, input: &Value) -> Rc<[f64]> {
        let each = (input.len() / input.steps().max(1)).max(1) as f64;
        self.spikes.iter().map(|spikes| *spikes as f64 / each).collect()
    }
}

/// The events of an input that is spikes, as bits or written out; nothing in a plan.
fn events(input: &Value, reach: Reach<'_>) -> Result<Option<Events>> {
    let spikes = input.scaled().map_or(input, |scaled| &scaled.spikes);
    let (len, steps) = (spikes.len(), spikes.steps());
    let (rows, plane) = rows_and_plane(spikes.shape());
    let packed = match (spikes.bits(), spikes.tensor()) {
        (Some(bits), _) => bits.clone(),
        (None, Ok(dense)) => Bits::pack(dense, rows, plane)?,
        (None, Err(_)) => return Ok(None),
    };
    Ok(Some(Events {
        spikes: reached(&packed, len, steps, Reach::Each(1))?,
        acs: reached(&packed, len, steps, reach)?,
    }))
}

/// The number of a step; of an input that is constant in time, that of its only one.
fn at_step(counts: &[u64], step: usize) -> u64 {
    counts.get(step).or(counts.first()).copied().unwrap_or(0)
}

/// The rate at a step: of the output's own time axis, or of the step that the pass is at.
fn rate_of(fed: &[f64], at: Option<usize>, step: usize) -> Option<f64> {
    match fed {
        [only] => Some(*only),
        all => all.get(at.unwrap_or(step)).copied(),
    }
}

/// The step of a row, from 1; 0 for a value that is constant in time.
fn step_of((at, all): (Option<usize>, usize), step: usize, steps: usize) -> usize {
    match at {
        Some(at) => at + 1,
        None if steps == 1 && all > 1 => 0,
        None => step + 1,
    }
}
