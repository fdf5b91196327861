//! One row a trial: what was run, how it ended, what was measured.

use super::{Row, SCHEMA, Status};
use serde::{Deserialize, Serialize};

/// One row of `trials.csv`: a case trained by one method with one seed.
///
/// A metric is `None` when it was not measured. `Default` gives an unmeasured row whose status is `failed`, so
/// that a forgotten status can never read as a success.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Version of the record format; the store writes it.
    pub schema: u32,
    /// Name of the campaign folder; the store writes it.
    pub campaign: String,
    /// Key of the trial: `<suite>/<case>/<method>/t<T>/s<seed>`.
    pub trial: String,
    /// Which attempt at this trial the row is, counted from 1; the store writes it.
    pub attempt: u32,
    /// Suite id.
    pub suite: String,
    /// Case id inside the suite.
    pub case: String,
    /// Revision of the case; rows of different revisions are never put side by side.
    pub case_rev: u32,
    /// Method id.
    pub method: String,
    /// Model id.
    pub model: String,
    /// Dataset id.
    pub dataset: String,
    /// Whether the data set stands for another: then no accuracy of the row compares with a published one. `None` in rows
    /// that were carried over from a version that did not say.
    pub stand_in: Option<bool>,
    /// Id of the protocol that made batches of the data set, with its version.
    pub protocol: String,
    /// How the trial ended.
    pub status: Status,
    /// Why the status is not `ok`, or why a cell is empty.
    pub note: String,
    /// Whether this row is what the case's other methods are compared with.
    pub baseline: bool,
    /// Seed of all randomness.
    pub seed: u64,
    /// Number of time steps T.
    pub steps_t: u32,
    /// Number of passes over the training set.
    pub epochs: u32,
    /// Samples in one training batch.
    pub batch: u32,
    /// Samples in the training set.
    pub train_samples: u64,
    /// Samples in the test set.
    pub test_samples: u64,
    /// Number of trainable scalars.
    pub parameters: Option<u64>,
    /// Test top-1 accuracy after the last epoch, as a fraction in [0, 1].
    pub top1_last: Option<f64>,
    /// Best test top-1 accuracy of any epoch, as a fraction in [0, 1]; chosen on the test set, so optimistic.
    pub top1_best: Option<f64>,
    /// Mean training loss of the last epoch.
    pub train_loss_last: Option<f64>,
    /// Median wall time of a timed training step, in seconds.
    pub train_step_seconds_median: Option<f64>,
    /// Median absolute deviation of the timed training steps, in seconds.
    pub train_step_seconds_mad: Option<f64>,
    /// Fastest timed training step, in seconds.
    pub train_step_seconds_min: Option<f64>,
    /// Number of timed training steps.
    pub timed_steps: Option<u64>,
    /// Training samples per second at the median step.
    pub train_samples_per_second: Option<f64>,
    /// Wall time of all training steps, in seconds.
    pub train_seconds_total: Option<f64>,
    /// Wall time of all evaluations, in seconds.
    pub eval_seconds_total: Option<f64>,
    /// Highest number of live heap bytes of the process while it trained.
    pub peak_host_bytes: Option<u64>,
    /// Highest number of bytes of one training step above what lives between steps.
    pub peak_step_bytes: Option<u64>,
    /// Highest number of bytes of saved activations.
    pub saved_bytes_peak: Option<u64>,
    /// What the planner predicted for `peak_step_bytes` before anything ran.
    pub planned_step_bytes: Option<u64>,
    /// Highest number of bytes in use on the accelerator.
    pub peak_device_bytes: Option<u64>,
    /// Spikes of all neurons over all T steps for one sample, mean over the counted samples.
    pub spikes_per_sample: Option<f64>,
    /// Spikes per neuron and step, as a fraction in [0, 1].
    pub firing_rate: Option<f64>,
    /// Cosine of the angle between the method's parameter gradient and that of exact backpropagation through time.
    pub gradient_cosine: Option<f64>,
    /// Length of the method's parameter gradient divided by that of exact backpropagation through time.
    pub gradient_norm_ratio: Option<f64>,
    /// Device id the trial ran on.
    pub device: String,
    /// Number of worker threads.
    pub threads: u32,
    /// Hash of the resolved configuration.
    pub config_hash: String,
    /// Recipe id.
    pub recipe: String,
    /// Beginning of the SHA-256 of the weights file that the trial began with; empty where it began with the seed's values.
    pub weights: String,
    /// Hash of the dataset's manifest.
    pub dataset_manifest: String,
    /// Hash of all choices of the protocol.
    pub protocol_hash: String,
    /// Revision of the program's source.
    pub git_rev: String,
    /// Whether the source had changes that the revision does not hold.
    pub dirty: bool,
    /// When the trial started, in UTC, as RFC 3339.
    pub started_utc: String,
    /// Wall time of the whole trial, in seconds.
    pub wall_seconds: Option<f64>,
}

impl Default for Trial {
    fn default() -> Self {
        Trial {
            schema: SCHEMA,
            campaign: String::new(),
            trial: String::new(),
            attempt: 0,
            suite: String::new(),
            case: String::new(),
            case_rev: 1,
            method: String::new(),
            model: String::new(),
            dataset: String::new(),
            stand_in: None,
            protocol: String::new(),
            status: Status::Failed,
            note: String::new(),
            baseline: false,
            seed: 0,
            steps_t: 0,
            epochs: 0,
            batch: 0,
            train_samples: 0,
            test_samples: 0,
            parameters: None,
            top1_last: None,
            top1_best: None,
            train_loss_last: None,
            train_step_seconds_median: None,
            train_step_seconds_mad: None,
            train_step_seconds_min: None,
            timed_steps: None,
            train_samples_per_second: None,
            train_seconds_total: None,
            eval_seconds_total: None,
            peak_host_bytes: None,
            peak_step_bytes: None,
            saved_bytes_peak: None,
            planned_step_bytes: None,
            peak_device_bytes: None,
            spikes_per_sample: None,
            firing_rate: None,
            gradient_cosine: None,
            gradient_norm_ratio: None,
            device: String::new(),
            threads: 0,
            config_hash: String::new(),
            recipe: String::new(),
            weights: String::new(),
            dataset_manifest: String::new(),
            protocol_hash: String::new(),
            git_rev: String::new(),
            dirty: false,
            started_utc: String::new(),
            wall_seconds: None,
        }
    }
}

impl Row for Trial {
    const FILE: &'static str = "trials.csv";
    const COLUMNS: &'static [&'static str] = &[
        "schema",
        "campaign",
        "trial",
        "attempt",
        "suite",
        "case",
        "case_rev",
        "method",
        "model",
        "dataset",
        "stand_in",
        "protocol",
        "status",
        "note",
        "baseline",
        "seed",
        "steps_t",
        "epochs",
        "batch",
        "train_samples",
        "test_samples",
        "parameters",
        "top1_last",
        "top1_best",
        "train_loss_last",
        "train_step_seconds_median",
        "train_step_seconds_mad",
        "train_step_seconds_min",
        "timed_steps",
        "train_samples_per_second",
        "train_seconds_total",
        "eval_seconds_total",
        "peak_host_bytes",
        "peak_step_bytes",
        "saved_bytes_peak",
        "planned_step_bytes",
        "peak_device_bytes",
        "spikes_per_sample",
        "firing_rate",
        "gradient_cosine",
        "gradient_norm_ratio",
        "device",
        "threads",
        "config_hash",
        "recipe",
        "weights",
        "dataset_manifest",
        "protocol_hash",
        "git_rev",
        "dirty",
        "started_utc",
        "wall_seconds",
    ];

    fn trial(&self) -> &str {
        &self.trial
    }

    fn attempt(&self) -> u32 {
        self.attempt
    }

    fn set_key(&mut self, trial: &str, attempt: u32) {
        self.trial = trial.to_owned();
        self.attempt = attempt;
    }
}
