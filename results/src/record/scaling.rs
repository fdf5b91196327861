//! One row a point of a sweep: what one training step held and how long it took, at one T and one depth.

use super::{Row, Status};
use serde::{Deserialize, Serialize};

/// One row of `scaling.csv`: a training step of one method on one network at one T and number of blocks.
///
/// Everything but the times and the workspace is the same on every run and for any number of threads. A number is
/// `None` when it was not measured; `note` says why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScalingRow {
    /// Version of the record format; the store writes it.
    pub schema: u32,
    /// Name of the campaign folder; the store writes it.
    pub campaign: String,
    /// Key of the point: `<suite>/<sweep>/<method>/t<T>`, `/b<blocks>` where the network has stages, and `/n<samples>` on
    /// a line along batches, away from the sweep's own batch.
    pub point: String,
    /// Which attempt at this point the row is, counted from 1; the store writes it.
    pub attempt: u32,
    /// Suite id.
    pub suite: String,
    /// Sweep id inside the suite.
    pub sweep: String,
    /// Revision of the sweep; rows of different revisions are never put side by side.
    pub sweep_rev: u32,
    /// Method id.
    pub method: String,
    /// Model id.
    pub model: String,
    /// How the point ended.
    pub status: Status,
    /// Why the status is not `ok`, or why a cell is empty.
    pub note: String,
    /// Number of time steps T.
    pub steps_t: u32,
    /// Blocks in every stage; `None` where the sweep leaves the model's own.
    pub blocks: Option<u32>,
    /// Samples in the batch.
    pub batch: u32,
    /// Shape of an image or frame, `<channels>x<height>x<width>`.
    pub image: String,
    /// Number of classes.
    pub classes: u32,
    /// Factor on the published channel counts.
    pub width: f64,
    /// Type of the numbers.
    pub dtype: String,
    /// Recipe id.
    pub recipe: String,
    /// Number of trainable scalars.
    pub parameters: Option<u64>,
    /// Largest sum of the categories that live inside a step, in bytes: what the memory laws are stated on.
    pub law_bytes: Option<u64>,
    /// Largest sum of all categories but the workspace, in bytes.
    pub whole_bytes: Option<u64>,
    /// Trainable scalars and running statistics: the most that was held at any moment of the step, in bytes.
    pub parameters_most_bytes: Option<u64>,
    /// Accumulators of parameter gradients: the most that was held at any moment of the step, in bytes.
    pub gradients_most_bytes: Option<u64>,
    /// State of the optimiser: the most that was held at any moment of the step, in bytes.
    pub optimiser_most_bytes: Option<u64>,
    /// Moving average of parameters and running statistics: the most that was held at any moment of the step, in bytes.
    pub average_most_bytes: Option<u64>,
    /// Saved activations: the most that was held at any moment of the step, in bytes.
    pub saved_most_bytes: Option<u64>,
    /// Membranes and carried values: the most that was held at any moment of the step, in bytes.
    pub state_most_bytes: Option<u64>,
    /// Presynaptic traces: the most that was held at any moment of the step, in bytes.
    pub traces_most_bytes: Option<u64>,
    /// The batch: the most that was held at any moment of the step, in bytes.
    pub input_most_bytes: Option<u64>,
    /// Values on their way from one op to the next: the most that was held at any moment of the step, in bytes.
    pub passing_most_bytes: Option<u64>,
    /// Gradients of activations: the most that was held at any moment of the step, in bytes.
    pub activation_gradients_most_bytes: Option<u64>,
    /// Trainable scalars and running statistics: what was held when `whole_bytes` was, in bytes.
    pub parameters_at_peak_bytes: Option<u64>,
    /// Accumulators of parameter gradients: what was held when `whole_bytes` was, in bytes.
    pub gradients_at_peak_bytes: Option<u64>,
    /// State of the optimiser: what was held when `whole_bytes` was, in bytes.
    pub optimiser_at_peak_bytes: Option<u64>,
    /// Moving average of parameters and running statistics: what was held when `whole_bytes` was, in bytes.
    pub average_at_peak_bytes: Option<u64>,
    /// Saved activations: what was held when `whole_bytes` was, in bytes.
    pub saved_at_peak_bytes: Option<u64>,
    /// Membranes and carried values: what was held when `whole_bytes` was, in bytes.
    pub state_at_peak_bytes: Option<u64>,
    /// Presynaptic traces: what was held when `whole_bytes` was, in bytes.
    pub traces_at_peak_bytes: Option<u64>,
    /// The batch: what was held when `whole_bytes` was, in bytes.
    pub input_at_peak_bytes: Option<u64>,
    /// Values on their way from one op to the next: what was held when `whole_bytes` was, in bytes.
    pub passing_at_peak_bytes: Option<u64>,
    /// Gradients of activations: what was held when `whole_bytes` was, in bytes.
    pub activation_gradients_at_peak_bytes: Option<u64>,
    /// Most scratch that the kernels ask for at once on `threads` threads, in bytes.
    pub workspace_bytes: Option<u64>,
    /// Peak of the heap on one thread above what was live before the step, in bytes.
    pub heap_peak_bytes: Option<u64>,
    /// What a plan of the step predicts for `law_bytes`.
    pub planned_law_bytes: Option<u64>,
    /// What a plan of the step predicts for `whole_bytes`.
    pub planned_whole_bytes: Option<u64>,
    /// Median wall time of a timed training step, in seconds.
    pub step_seconds_median: Option<f64>,
    /// Median absolute deviation of the timed steps, in seconds.
    pub step_seconds_mad: Option<f64>,
    /// Fastest timed step, in seconds.
    pub step_seconds_min: Option<f64>,
    /// Number of timed steps.
    pub timed_steps: Option<u64>,
    /// Device id.
    pub device: String,
    /// Number of worker threads of the timed steps.
    pub threads: u32,
    /// Hash of the resolved configuration.
    pub config_hash: String,
    /// Revision of the program's source.
    pub git_rev: String,
    /// Whether the source had changes that the revision does not hold.
    pub dirty: bool,
    /// When the point started, in UTC, as RFC 3339.
    pub started_utc: String,
    /// Wall time of the whole point, in seconds.
    pub wall_seconds: Option<f64>,
}

impl Row for ScalingRow {
    const FILE: &'static str = "scaling.csv";
    const COLUMNS: &'static [&'static str] = &[
        "schema",
        "campaign",
        "point",
        "attempt",
        "suite",
        "sweep",
        "sweep_rev",
        "method",
        "model",
        "status",
        "note",
        "steps_t",
        "blocks",
        "batch",
        "image",
        "classes",
        "width",
        "dtype",
        "recipe",
        "parameters",
        "law_bytes",
        "whole_bytes",
        "parameters_most_bytes",
        "gradients_most_bytes",
        "optimiser_most_bytes",
        "average_most_bytes",
        "saved_most_bytes",
        "state_most_bytes",
        "traces_most_bytes",
        "input_most_bytes",
        "passing_most_bytes",
        "activation_gradients_most_bytes",
        "parameters_at_peak_bytes",
        "gradients_at_peak_bytes",
        "optimiser_at_peak_bytes",
        "average_at_peak_bytes",
        "saved_at_peak_bytes",
        "state_at_peak_bytes",
        "traces_at_peak_bytes",
        "input_at_peak_bytes",
        "passing_at_peak_bytes",
        "activation_gradients_at_peak_bytes",
        "workspace_bytes",
        "heap_peak_bytes",
        "planned_law_bytes",
        "planned_whole_bytes",
        "step_seconds_median",
        "step_seconds_mad",
        "step_seconds_min",
        "timed_steps",
        "device",
        "threads",
        "config_hash",
        "git_rev",
        "dirty",
        "started_utc",
        "wall_seconds",
    ];

    fn trial(&self) -> &str {
        &self.point
    }

    fn attempt(&self) -> u32 {
        self.attempt
    }

    fn set_key(&mut self, point: &str, attempt: u32) {
        self.point = point.to_owned();
        self.attempt = attempt;
    }
}

impl ScalingRow {
    /// The categories as they stood when the whole peaked, in the order of the ledger; they add up to `whole_bytes`.
    #[must_use]
    pub fn at_peak(&self) -> [(&'static str, Option<u64>); 10] {
        [
            ("parameters", self.parameters_at_peak_bytes),
            ("gradients", self.gradients_at_peak_bytes),
            ("optimiser", self.optimiser_at_peak_bytes),
            ("average", self.average_at_peak_bytes),
            ("saved", self.saved_at_peak_bytes),
            ("state", self.state_at_peak_bytes),
            ("traces", self.traces_at_peak_bytes),
            ("input", self.input_at_peak_bytes),
            ("passing", self.passing_at_peak_bytes),
            ("activation gradients", self.activation_gradients_at_peak_bytes),
        ]
    }
}
