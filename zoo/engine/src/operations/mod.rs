//! What a network computes, counted where it is computed: layer by layer, step by step, in real numbers of spikes.
//!
//! While a session counts, every value that an op makes must be accounted for by that op; one that is not ends the batch
//! with an error, so that nothing is left out without a word. Of a layer of weights with input `x` and output `y`:
//!
//! ```text
//! dense MACs = len(y) * fan_in                          as if every input were a number; padding counts, as papers count it
//! MACs       = dense MACs    where x is no spike, else 0
//! ACs        = sum over spikes of x of how many outputs read that input        where x is spikes, else 0
//! ```
//!
//! The fan-out of a spike is exact: at a border fewer windows hold it, and a stride skips some.

mod reach;
mod tally;

pub(crate) use reach::{binned, windows};
pub(crate) use tally::Tally;

use std::fmt;

use crate::error::Result;
use crate::neuron::{Neuron, Reset};
use crate::param::Param;
use crate::pass::{Pass, Session};
use crate::value::Value;

/// What kind of work a row counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Weights of a convolution.
    Convolution,
    /// Weights of a linear map.
    Linear,
    /// Products of activations: attention.
    Product,
    /// Neurons.
    Neuron,
    /// Rectified units.
    Rectifier,
    /// A norm with given statistics: one factor and one shift a value.
    Norm,
    /// Means and maxima over windows.
    Pool,
    /// Sums of activations: shortcuts and feedback.
    Sum,
    /// Factors on activations.
    Scale,
    /// A value carried to the next step.
    Carry,
    /// Presynaptic traces.
    Trace,
    /// An optimiser's work on a parameter.
    Optimiser,
}

impl Kind {
    /// Its name in records.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Convolution => "convolution",
            Self::Linear => "linear",
            Self::Product => "product",
            Self::Neuron => "neuron",
            Self::Rectifier => "rectifier",
            Self::Norm => "norm",
            Self::Pool => "pool",
            Self::Sum => "sum",
            Self::Scale => "scale",
            Self::Carry => "carry",
            Self::Trace => "trace",
            Self::Optimiser => "optimiser",
        }
    }
}

/// What a layer reads: why it multiplies, or that it need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reads {
    /// Images or frames of the data set.
    Images,
    /// Spikes, with one factor for all of them or none: weights are added, not multiplied.
    Spikes,
    /// Sums of spikes: the whole numbers 0, 1, 2, ...
    SpikeCounts,
    /// Means of spikes over space.
    SpikeMeans,
    /// What weights made, with no neuron behind them.
    Weighted,
    /// What a norm made, with no neuron behind it.
    Normalised,
    /// Sums of numbers.
    Summed,
    /// Products of activations.
    Products,
    /// What rectified units made.
    Rectified,
    /// Numbers of another origin.
    Numbers,
}

impl Reads {
    /// Its name in records.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Spikes => "spikes",
            Self::SpikeCounts => "spike-counts",
            Self::SpikeMeans => "spike-means",
            Self::Weighted => "weighted",
            Self::Normalised => "normalised",
            Self::Summed => "summed",
            Self::Products => "products",
            Self::Rectified => "rectified",
            Self::Numbers => "numbers",
        }
    }
}

impl fmt::Display for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// When something is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum During {
    /// Evaluation.
    Evaluation,
    /// The forward pass of a training step.
    Forward,
    /// Forward work that is done once more on the way back.
    Recompute,
    /// The way back.
    Backward,
    /// The update of parameters.
    Update,
}

impl During {
    /// Its name in records.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Evaluation => "evaluation",
            Self::Forward => "forward",
            Self::Recompute => "recompute",
            Self::Backward => "backward",
            Self::Update => "update",
        }
    }
}

/// Operations of one layer in one step, summed over all counted samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Operations {
    /// Multiply-accumulates with every input a number.
    pub dense_macs: u64,
    /// Multiply-accumulates where the input is no spike.
    pub macs: u64,
    /// Accumulates caused by a spike.
    pub acs: u64,
    /// Accumulates by the papers' convention for weights whose input is made of spikes by weights, norms or means
    /// alone: dense MACs times the rate of those spikes. 0 elsewhere; `macs` holds the same layer counted strictly.
    pub chained_acs: f64,
    /// Multiplications beside those.
    pub multiplies: u64,
    /// Additions and subtractions beside those.
    pub adds: u64,
    /// Comparisons.
    pub compares: u64,
    /// Values read.
    pub inputs: u64,
    /// Spikes among them.
    pub input_spikes: u64,
    /// Values made.
    pub outputs: u64,
    /// Spikes among them.
    pub spikes: u64,
}

/// A row: what one layer computes in one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// When.
    pub during: During,
    /// Name of the site, or of the block for what stands between sites.
    pub layer: String,
    /// Which work.
    pub kind: Kind,
    /// What the layer reads.
    pub reads: Reads,
    /// Time step, from 1; 0 for work that is done once for all steps.
    pub step: usize,
    /// Scalars of its weights and biases.
    pub weights: u64,
    /// Neurons of one sample, where neurons stand.
    pub neurons: u64,
    /// Sums over the counted samples.
    pub sums: Operations,
}

/// What a session has counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// Samples.
    pub samples: u64,
    /// Rows, in the order in which their layers were first met.
    pub rows: Vec<Counted>,
}

impl Counts {
    /// The sum over all rows.
    #[must_use]
    pub fn total(&self, of: impl Fn(&Operations) -> u64) -> u64 {
        self.rows.iter().map(|row| of(&row.sums)).sum()
    }
}

/// How many accumulates each spike of an input causes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reach<'a> {
    /// As many for every spike.
    Each(u64),
    /// One number for each place of a plane.
    Plane(&'a [u64]),
}

/// What an op did, over all steps and samples of its output.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    place: &'a str,
    kind: Kind,
    inputs: &'a [&'a Value],
    output: &'a Value,
    makes: Reads,
    /// Inputs whose spikes drive accumulates, with the reach of a spike.
    driven: &'a [&'a Value],
    reach: Reach<'a>,
    dense: u64,
    multiplies: u64,
    adds: u64,
    compares: u64,
    weights: u64,
    /// Set for layers of neurons that give spikes.
    neuron: Option<&'a Neuron>,
}

impl<'a> Work<'a> {
    /// Work of this kind at a place, so far without an operation.
    pub(crate) fn at(
        place: &'a str,
        kind: Kind,
        inputs: &'a [&'a Value],
        output: &'a Value,
        makes: Reads,
    ) -> Self {
        Self {
            place,
            kind,
            inputs,
            output,
            makes,
            driven: &[],
            reach: Reach::Each(0),
            dense: 0,
            multiplies: 0,
            adds: 0,
            compares: 0,
            weights: 0,
            neuron: None,
        }
    }

    /// Products: `dense` of them for numbers; where all of `driven` are spikes, `reach` accumulates a spike.
    pub(crate) fn products(self, dense: u64, driven: &'a [&'a Value], reach: Reach<'a>) -> Self {
        Self { dense, driven, reach, ..self }
    }

    /// Scalars of its weights; with a bias, an addition an output.
    pub(crate) fn weights(self, scalars: usize, bias: bool) -> Self {
        let adds = if bias { self.output.len() as u64 } else { 0 };
        Self { weights: scalars as u64, adds: self.adds + adds, ..self }
    }

    /// Multiplications beside the products.
    pub(crate) fn multiplies(self, count: usize) -> Self {
        Self { multiplies: count as u64, ..self }
    }

    /// Additions beside the products.
    pub(crate) fn adds(self, count: usize) -> Self {
        Self { adds: count as u64, ..self }
    }

    /// Comparisons.
    pub(crate) fn compares(self, count: usize) -> Self {
        Self { compares: count as u64, ..self }
    }

    /// An update of every neuron in every step, `u = decay * v + gain * I`, a comparison and a reset.
    ///
    /// A decay of 0 or 1 and a gain of 1 are no multiplications, a zeroing is no addition, and a subtraction is one
    /// where a neuron fired.
    pub(crate) fn neurons(self, neuron: &'a Neuron) -> Self {
        let updates = self.output.len() as u64;
        let Neuron::Lif { decay, .. } = *neuron else {
            return Self { compares: updates, neuron: Some(neuron), ..self };
        };
        let leaks = u64::from(decay != 0.0 && decay != 1.0);
        let gains = u64::from(neuron.input_gain() != 1.0);
        let adds = u64::from(decay != 0.0);
        Self {
            multiplies: updates * (leaks + gains),
            adds: updates * adds,
            compares: updates,
            neuron: Some(neuron),
            ..self
        }
    }

    fn subtracts(&self) -> bool {
        matches!(self.neuron, Some(Neuron::Lif { reset: Reset::Soft, .. }))
    }
}

impl Session {
    /// Begins to count operations, or begins anew.
    pub fn count_operations(&self) {
        *self.tally.borrow_mut() = Some(Tally::default());
    }

    /// Whether operations are counted.
    #[must_use]
    pub fn is_counting(&self) -> bool {
        self.tally.borrow().is_some()
    }

    /// Ends a batch of so many samples; nothing where nothing is counted.
    ///
    /// # Errors
    /// When an op made a value without saying what it computed.
    pub fn end_counted(&self, samples: usize) -> Result<()> {
        self.tally.borrow_mut().as_mut().map_or(Ok(()), |tally| tally.end_batch(samples))
    }

    /// Ends the count and gives it out; nothing where nothing was counted.
    ///
    /// # Errors
    /// As [`Session::end_counted`], for what was computed since.
    pub fn take_counts(&self) -> Result<Option<Counts>> {
        self.tally.borrow_mut().take().map(Tally::into_counts).transpose()
    }

    /// Accounts for an optimiser's work on a parameter: so many multiplications and additions for each of its scalars.
    pub(crate) fn count_update(&self, param: &Param, each: Each) {
        if let Some(tally) = self.tally.borrow_mut().as_mut() {
            tally.in_place(
                (During::Update, param.name(), Kind::Optimiser, 0),
                param.shape().iter().product::<usize>() as u64,
                each,
            );
        }
    }

    /// Notes that a value was made, which an op must account for.
    pub(crate) fn made_value(&self, value: &Value) {
        if let Some(tally) = self.tally.borrow_mut().as_mut() {
            tally.made(value);
        }
    }
}

impl Pass<'_> {
    /// Accounts for a value: what an op did to make it.
    pub(crate) fn count(&self, work: Work<'_>) -> Result<()> {
        let session = self.session();
        match session.tally.borrow_mut().as_mut() {
            Some(tally) => tally.add((self.step(), self.steps()), session.ledger().phase(), &work),
            None => Ok(()),
        }
    }

    /// Accounts for traces that follow their spikes in place: a factor and a sum for each, as a dense machine computes them.
    pub(crate) fn count_trace(&self, trace: &Value) {
        if let Some(tally) = self.session().tally.borrow_mut().as_mut() {
            let (during, step) = (During::Forward, self.step().map_or(0, |step| step + 1));
            let each = Each { multiplies: 1, adds: 1 };
            tally.in_place((during, "traces", Kind::Trace, step), trace.len() as u64, each);
        }
    }

    /// Accounts for a value that is another one moved, copied or written out: no arithmetic.
    pub(crate) fn moved(&self, from: &Value, to: &Value) {
        if let Some(tally) = self.session().tally.borrow_mut().as_mut() {
            tally.moved(from, to);
        }
    }

    /// Accounts for a value that does not depend on the sample: weights made ready, or a mark kept for backward.
    pub(crate) fn prepared(&self, value: &Value) {
        if let Some(tally) = self.session().tally.borrow_mut().as_mut() {
            tally.prepared(value);
        }
    }

    /// What backward will count: kept by its closure only while something counts, in one word otherwise.
    pub(crate) fn to_count(&self, place: &str, kind: Kind, dense: usize) -> Option<Box<Back>> {
        self.session()
            .is_counting()
            .then(|| Box::new(Back { place: place.to_string(), kind, dense: dense as u64 }))
    }

    /// Counts products on the way back; `steps` is the length of the output's time axis. Spikes make the gradient of
    /// weights a sum over events, whose number a plan does not know: dense products are counted.
    pub(crate) fn count_back(&self, back: Option<&Back>, reads: Reads, steps: usize) {
        if let (Some(Back { place, kind, dense }), Some(tally)) =
            (back, self.session().tally.borrow_mut().as_mut())
        {
            tally.back((self.step(), self.steps()), (place, *kind, reads), *dense, steps);
        }
    }
}

/// Operations for each scalar of something that changes in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Each {
    pub(crate) multiplies: u64,
    pub(crate) adds: u64,
}

/// Products that an op's backward will compute.
pub(crate) struct Back {
    place: String,
    kind: Kind,
    dense: u64,
}
