//! One row a point of an inference sweep: what one image costs a network at one T.

use super::{Row, Status};
use serde::{Deserialize, Serialize};

/// One row of `inference.csv`: an evaluation of one network, whose widths depend on T in one way, at one T.
///
/// Everything but the times is the same on every run and for any number of threads. A number is `None` when it was
/// not measured; `note` says why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InferenceRow {
    /// Version of the record format; the store writes it.
    pub schema: u32,
    /// Name of the campaign folder; the store writes it.
    pub campaign: String,
    /// Key of the point: `<suite>/<sweep>/<step_width>/t<T>`.
    pub point: String,
    /// Which attempt at this point the row is, counted from 1; the store writes it.
    pub attempt: u32,
    /// Suite id.
    pub suite: String,
    /// Sweep id inside the suite.
    pub sweep: String,
    /// Revision of the sweep; rows of different revisions are never put side by side.
    pub sweep_rev: u32,
    /// How the stage widths depend on T: `per-step` or `divided`.
    pub step_width: String,
    /// Model id.
    pub model: String,
    /// How the point ended.
    pub status: Status,
    /// Why the status is not `ok`, or why a cell is empty.
    pub note: String,
    /// Number of time steps T.
    pub steps_t: u32,
    /// T of the paper's network, at which both kinds of width are the same.
    pub published_steps_t: u32,
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
    /// Number of scalars that a trained network reads.
    pub parameters: Option<u64>,
    /// Multiply-accumulates of one image with every input dense.
    pub dense_macs_per_sample: Option<f64>,
    /// Multiply-accumulates of one image where the input is no spike.
    pub macs_per_sample: Option<f64>,
    /// Accumulates caused by a spike, of one image.
    pub acs_per_sample: Option<f64>,
    /// Spikes per neuron and step, as a fraction in [0, 1].
    pub firing_rate: Option<f64>,
    /// Largest sum of the categories that live inside an evaluation, in bytes, for the whole batch.
    pub law_bytes: Option<u64>,
    /// The same, for one image.
    pub law_bytes_per_sample: Option<f64>,
    /// Largest sum of all categories but the workspace, in bytes: with parameters and the batch.
    pub whole_bytes: Option<u64>,
    /// Peak of the heap on one thread above what was live before the evaluation, in bytes.
    pub heap_peak_bytes: Option<u64>,
    /// Median wall time of a timed evaluation divided by the batch, in seconds.
    pub seconds_per_sample_median: Option<f64>,
    /// Median absolute deviation of the timed evaluations divided by the batch, in seconds.
    pub seconds_per_sample_mad: Option<f64>,
    /// Number of timed evaluations.
    pub timed_evaluations: Option<u64>,
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

impl Row for InferenceRow {
    const FILE: &'static str = "inference.csv";
    const COLUMNS: &'static [&'static str] = &[
        "schema",
        "campaign",
        "point",
        "attempt",
        "suite",
        "sweep",
        "sweep_rev",
        "step_width",
        "model",
        "status",
        "note",
        "steps_t",
        "published_steps_t",
        "batch",
        "image",
        "classes",
        "width",
        "dtype",
        "recipe",
        "parameters",
        "dense_macs_per_sample",
        "macs_per_sample",
        "acs_per_sample",
        "firing_rate",
        "law_bytes",
        "law_bytes_per_sample",
        "whole_bytes",
        "heap_peak_bytes",
        "seconds_per_sample_median",
        "seconds_per_sample_mad",
        "timed_evaluations",
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
