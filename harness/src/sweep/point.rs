//! All that decides a point's numbers, its hash, and what a process finds out about it.

use std::rc::Rc;

use engine::loss::Loss;
use engine::method::Method;
use engine::model::{ModelEntry, ModelSpec, Network};
use engine::optim::{AverageSpec, Clip, OptimSpec};
use engine::param::Params;
use engine::pass::{NormUpdates, Session, Tiles};
use keys::Key;
use results::MeterRow;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::forecast::Forecast;
use crate::gauge::Accelerator;
use crate::precision::Precision;
use crate::setup::Setup;
use crate::spread::Spread;
use crate::suggest::Unknown;
use crate::suite::MethodSettings;

/// A point, resolved: nothing is looked up any more. Threads and limits are not in it: they do not decide the bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Version of the record format.
    pub schema: u32,
    /// Suite id.
    pub suite: String,
    /// Sweep id.
    pub sweep: String,
    /// Revision of the sweep.
    pub sweep_rev: u32,
    /// Model id.
    pub model: String,
    /// What to build; its `steps` is T, its `depth` the blocks of a stage.
    pub network: ModelSpec,
    /// The loss over time.
    pub loss: Loss,
    /// Samples in the batch.
    pub batch: usize,
    /// Whether the batch is part of the key: a point of a line along batches, away from the sweep's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub batch_in_key: bool,
    /// Steps or evaluations before the timed ones.
    pub warm_up: usize,
    /// Timed steps or evaluations.
    pub timed: usize,
    /// Device id.
    pub device: String,
    /// Number type.
    #[serde(default, skip_serializing_if = "Precision::is_usual")]
    pub dtype: Precision,
    /// What is measured.
    pub task: Task,
}

/// What is measured of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// A training step.
    Train(Training),
    /// An evaluation.
    Infer(Inference),
}

/// How a point is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Method id.
    pub method: String,
    /// The method's settings.
    pub settings: MethodSettings,
    /// Whether a rebuilt forward moves the running statistics of norms once more.
    pub rebuilt_norms: NormUpdates,
    /// Tiles of outputs that input gradients of 3x3 convolutions are computed by.
    #[serde(default, skip_serializing_if = "crate::choices::is_default")]
    pub gradient_tiles: Tiles,
    /// The optimiser's constants.
    pub optimizer: OptimSpec,
    /// How gradients are kept short before each update.
    pub clip: Option<Clip>,
    /// The average of the parameters.
    pub average: Option<AverageSpec>,
}

/// What an inference point is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inference {
    /// T of the paper's network.
    pub published_steps: usize,
}

/// What a process found out about a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PointFound {
    /// Of a training step.
    Train(StepFound),
    /// Of an evaluation.
    Infer(InferenceFound),
}

/// Categories of the ledger without the workspace, which has a number of its own.
pub(super) const CATEGORIES: usize = engine::ledger::Category::ALL.len() - 1;

/// What one training step held, and how long it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepFound {
    /// Largest sum of the categories that the laws are stated on, in bytes.
    pub law_bytes: u64,
    /// Largest sum of all categories but the workspace, in bytes.
    pub whole_bytes: u64,
    /// The most of each category, in the order of the ledger.
    pub most_bytes: [u64; CATEGORIES],
    /// What each category held when the whole did, in the same order.
    pub at_peak_bytes: [u64; CATEGORIES],
    /// Most scratch of the kernels on the threads of the timed steps, in bytes.
    pub workspace_bytes: u64,
    /// Peak of the heap on one thread, or of an accelerator's pool, above what was live before, in bytes; `None` where it is
    /// not counted.
    pub heap_peak_bytes: Option<u64>,
    /// What an accelerator held in all.
    #[serde(default)]
    pub accelerator: Option<Accelerator>,
    /// What an accelerator's energy meter counted in the timed steps, and in those that follow where they are short.
    #[serde(default)]
    pub energy: Option<Box<MeterRow>>,
    /// What a plan says of `law_bytes` and of `whole_bytes`; `None` where the method can't be planned.
    pub planned_bytes: Option<[u64; 2]>,
    /// Seconds of a timed step.
    pub seconds: Spread,
}

/// What one evaluation computed and held, and how long it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InferenceFound {
    /// Multiply-accumulates of one image with every input dense.
    pub dense_macs_per_sample: f64,
    /// Multiply-accumulates of one image where the input is no spike.
    pub macs_per_sample: f64,
    /// Accumulates caused by a spike, of one image.
    pub acs_per_sample: f64,
    /// Spikes per neuron and step; `None` where nothing spikes.
    pub firing_rate: Option<f64>,
    /// Largest sum of the categories that the laws are stated on, in bytes, for the batch.
    pub law_bytes: u64,
    /// Largest sum of all categories but the workspace, in bytes.
    pub whole_bytes: u64,
    /// Peak of the heap on one thread, or of an accelerator's pool, above what was live before, in bytes; `None` where it is
    /// not counted.
    pub heap_peak_bytes: Option<u64>,
    /// What an accelerator held in all.
    #[serde(default)]
    pub accelerator: Option<Accelerator>,
    /// Seconds of a timed evaluation of the batch.
    pub seconds: Spread,
}

impl Point {
    /// The point's key in records: `<suite>/<sweep>/<method or kind of width>/t<T>`, `/b<blocks>` where they are chosen,
    /// `/n<samples>` on a line along batches, and behind it a number type that is not `f32`.
    #[must_use]
    pub fn key(&self) -> String {
        let blocks = self.network.depth.map(|blocks| format!("/b{blocks}")).unwrap_or_default();
        let batch = if self.batch_in_key { format!("/n{}", self.batch) } else { String::new() };
        let (steps, dtype) = (self.network.steps, self.dtype.behind('/'));
        format!("{}/{}/{}/t{steps}{blocks}{batch}{dtype}", self.suite, self.sweep, self.line())
    }

    /// The method that trains it, or the kind of width it is evaluated with.
    #[must_use]
    pub fn line(&self) -> &str {
        match &self.task {
            Task::Train(training) => &training.method,
            Task::Infer(_) => match self.network.levels.width {
                engine::model::StepWidth::PerStep => "per-step",
                engine::model::StepWidth::Divided => "divided",
            },
        }
    }

    /// SHA-256 in hex over the whole point.
    ///
    /// # Errors
    /// When a number has no JSON form.
    pub fn hash(&self) -> Result<String> {
        let text = serde_json::to_vec(self)
            .map_err(|error| Error::Text { what: "a point", message: error.to_string() })?;
        Ok(Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The network in a session, at the initial values of a fixed seed.
    ///
    /// # Errors
    /// When there is no such model, or it refuses its specification.
    pub(crate) fn network(&self, session: Session) -> Result<Network> {
        let params = Params::new(Rc::new(session), Key::new(1).fork("init"));
        let built = entry(&self.model)?.network(&self.network, params);
        built.map_err(|source| Error::Setting { place: self.key(), source })
    }

    /// The random key of one purpose. One seed for all: bytes do not depend on it.
    pub(crate) fn key_for(&self, purpose: &str) -> Key {
        Key::new(1).fork(purpose)
    }
}

impl Training {
    /// The method with its settings.
    ///
    /// # Errors
    /// When there is none of this name, or a setting is out of range.
    pub(crate) fn method(&self, place: &str) -> Result<Box<dyn Method>> {
        let entry = registry::find(&self.method).ok_or_else(|| {
            Error::unknown(Unknown::new("method", &self.method, registry::all().map(|entry| entry.id)))
        })?;
        (entry.build)(&self.settings.to_engine())
            .map_err(|source| Error::Setting { place: place.to_owned(), source })
    }

    /// What a plan says of a step of the point, on the current pool.
    ///
    /// # Errors
    /// When there is no such model or method, or it can't train the network.
    pub(crate) fn forecast(&self, point: &Point) -> Result<Forecast> {
        let method = self.method(&point.key())?;
        let planned = self.setup(point)?.forecast(&*method, point.network.steps, point.batch);
        planned.map_err(|source| Error::Setting { place: point.key(), source })
    }

    /// All that decides the bytes of a step, but for method, T and batch.
    ///
    /// # Errors
    /// When there is no such model.
    pub(crate) fn setup(&self, point: &Point) -> Result<Setup> {
        Ok(Setup {
            entry: entry(&point.model)?,
            network: point.network.clone(),
            dtype: point.dtype.dtype(),
            loss: point.loss,
            optimizer: self.optimizer,
            clip: self.clip,
            average: self.average,
            rebuilt_norms: self.rebuilt_norms,
            gradient_tiles: self.gradient_tiles,
            memory_budget: None,
        })
    }
}

/// A line of the model table.
///
/// # Errors
/// When there is none of this name.
pub(super) fn entry(model: &str) -> Result<&'static ModelEntry> {
    models::find(model)
        .ok_or_else(|| Error::unknown(Unknown::new("model", model, models::all().map(|entry| entry.id))))
}
