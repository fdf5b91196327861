//! What a trial's process is told, and what it tells: one JSON object a line.

use std::path::PathBuf;

use results::{CurvePoint, FidelityRow, FrameRow, LedgerRow, MeterRow, OpsRow, Status};
use serde::{Deserialize, Serialize};

use crate::configuration::Configuration;
use crate::sweep::{Point, PointFound};

/// What a trial's process reads from standard input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// What to run.
    pub configuration: Configuration,
    /// Folder of data sets that do not ship.
    pub data: Option<PathBuf>,
    /// The file whose hash the configuration's `weights` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Folder that the trained weights are saved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_weights: Option<PathBuf>,
    /// Whether it tells what the network sees of a set that has a frame for every step.
    #[serde(default)]
    pub frames: bool,
    /// Threads to compute on.
    pub threads: usize,
    /// Bytes of heap that the process may hold.
    pub memory_limit: Option<usize>,
}

/// What a point's process reads from standard input: told from a trial's [`Assignment`] by its key `point`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointAssignment {
    /// What to measure.
    pub point: Point,
    /// Threads to compute on.
    pub threads: usize,
    /// Bytes of heap that the process may hold.
    pub memory_limit: Option<usize>,
}

/// What a trial's or a point's process writes to standard output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A training step was taken; not every step is told.
    Step {
        /// Epoch, counted from 1.
        epoch: usize,
        /// Step inside the epoch, counted from 1.
        step: usize,
        /// Loss of the step.
        loss: f64,
        /// Training samples per second in this epoch, data loading included.
        samples_per_second: f64,
        /// Most bytes of heap that were live at once since training began.
        peak_bytes: usize,
    },
    /// An epoch ended.
    Epoch {
        /// How it went.
        point: CurvePoint,
        /// Training samples per second in this epoch, data loading included.
        samples_per_second: f64,
        /// Most bytes of heap that were live at once since training began.
        peak_bytes: usize,
    },
    /// Training ended; the memory of a step is measured at this T.
    Probe {
        /// T.
        steps: usize,
    },
    /// The memory of a step is measured; its gradient is compared with the exact one.
    Fidelity,
    /// A step of a point is timed; not every step is told.
    Clock {
        /// Step, counted from 1.
        step: usize,
        /// Steps that are timed.
        of: usize,
    },
    /// All is done: a trial's.
    Finished(Box<Measured>),
    /// All is done: a point's.
    Measured(Box<PointFound>),
    /// The trial came to an end of another kind, and knows why.
    Failed {
        /// Which kind.
        status: Status,
        /// Why.
        note: String,
    },
}

/// What a trial measured, beside its curve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Clock lane; nothing where nothing was trained.
    pub clock: Option<Clock>,
    /// Most bytes of heap that were live at once while training.
    pub peak_host_bytes: Option<u64>,
    /// Most bytes in use on an accelerator while training.
    #[serde(default)]
    pub peak_device_bytes: Option<u64>,
    /// Most bytes of one training step above what lives between steps.
    pub peak_step_bytes: Option<u64>,
    /// Most bytes of saved activations in one training step.
    pub saved_bytes_peak: Option<u64>,
    /// The ledger's peak of a planned training step.
    pub planned_step_bytes: Option<u64>,
    /// Spikes of all neurons over all T steps for one test sample.
    pub spikes_per_sample: Option<f64>,
    /// Spikes per neuron and step.
    pub firing_rate: Option<f64>,
    /// Where the bytes of a step went, at each probed T.
    pub ledger: Vec<LedgerRow>,
    /// What each layer computed, step by step.
    #[serde(default)]
    pub ops: Vec<OpsRow>,
    /// What the machine's energy meter counted.
    #[serde(default)]
    pub meter: Vec<MeterRow>,
    /// What the network saw.
    #[serde(default)]
    pub frames: Vec<FrameRow>,
    /// Cosine of the angle between the method's gradient and the exact one, all parameters as one vector.
    pub gradient_cosine: Option<f64>,
    /// Length of the method's gradient divided by that of the exact one.
    pub gradient_norm_ratio: Option<f64>,
    /// The same, layer by layer.
    pub fidelity: Vec<FidelityRow>,
    /// Why a cell is empty.
    pub note: String,
}

impl Measured {
    /// Adds a reason why cells are empty.
    pub fn add_note(&mut self, reason: &str) {
        if !self.note.is_empty() {
            self.note.push_str("; ");
        }
        self.note.push_str(reason);
    }
}

/// What the clock said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Median of the timed steps.
    pub step_seconds_median: Option<f64>,
    /// Median absolute deviation of the timed steps.
    pub step_seconds_mad: Option<f64>,
    /// Fastest timed step.
    pub step_seconds_min: Option<f64>,
    /// Number of timed steps.
    pub timed_steps: u64,
    /// Training, data loading included.
    pub train_seconds: f64,
    /// Evaluation, data loading included.
    pub eval_seconds: f64,
}
