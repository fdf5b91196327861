//! All that decides a trial's numbers, and its hash.

use std::rc::Rc;

use engine::loss::Loss;
use engine::method::{Method, RunSpec};
use engine::model::{ModelEntry, ModelSpec, Network};
use engine::optim::{AverageSpec, Clip, OptimSpec, Schedule};
use engine::param::Params;
use engine::pass::Session;
use engine::pass::{NormUpdates, Tiles};
use keys::Key;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::precision::Precision;
use crate::suggest::Unknown;
use crate::suite::{Budget, GradientWeights, MethodSettings};

/// A trial, resolved: nothing is looked up any more.
///
/// Threads, folders and time limits are not in it: they do not decide the numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Version of the record format.
    pub schema: u32,
    /// Suite id.
    pub suite: String,
    /// Case id.
    pub case: String,
    /// Revision of the case.
    pub case_rev: u32,
    /// Data set id.
    pub dataset: String,
    /// Hash of what the data set holds.
    pub dataset_manifest: String,
    /// Id of the protocol that makes batches of it, with its version.
    pub protocol: String,
    /// SHA-256 in hex over all choices of the protocol.
    pub protocol_hash: String,
    /// Model id.
    pub model: String,
    /// What to build; its `steps` is T.
    pub network: ModelSpec,
    /// Whether a rebuilt forward moves the running statistics of norms once more.
    pub rebuilt_norms: NormUpdates,
    /// Tiles of outputs that input gradients of 3x3 convolutions are computed by.
    #[serde(default, skip_serializing_if = "crate::choices::is_default")]
    pub gradient_tiles: Tiles,
    /// Method id.
    pub method: String,
    /// The method's settings.
    pub settings: MethodSettings,
    /// The loss over time.
    pub loss: Loss,
    /// The optimiser's constants.
    pub optimizer: OptimSpec,
    /// How gradients are kept short before each update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<Clip>,
    /// The average of the parameters that is judged beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<AverageSpec>,
    /// SHA-256 of the weights file that it begins with, in hex; absent where it begins with the seed's own values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// The learning rate over the run.
    pub schedule: Schedule,
    /// How images become a batch.
    pub data: datasets::Protocol,
    /// How long it is trained.
    pub budget: Budget,
    /// Seed of all randomness.
    pub seed: u64,
    /// The T at which memory is measured, beside the trial's own.
    pub memory_probe: Vec<usize>,
    /// The weights at which the method's gradient is compared with the exact one.
    #[serde(default, skip_serializing_if = "crate::choices::is_default")]
    pub gradient_weights: GradientWeights,
    /// Device id.
    pub device: String,
    /// Number type.
    #[serde(default, skip_serializing_if = "Precision::is_usual")]
    pub dtype: Precision,
    /// Bytes that a training step may hold in all; no bound where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_budget: Option<usize>,
}

impl Configuration {
    /// The trial's key in records: `<suite>/<case>/<method>/t<T>/s<seed>`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}/{}/t{}/s{}", self.suite, self.case, self.method, self.network.steps, self.seed)
    }

    /// SHA-256 in hex over the whole configuration.
    ///
    /// # Errors
    /// When a number has no JSON form.
    pub fn hash(&self) -> Result<String> {
        let text = serde_json::to_vec(self)
            .map_err(|error| Error::Text { what: "a configuration", message: error.to_string() })?;
        Ok(Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The method with its settings.
    ///
    /// # Errors
    /// When there is none of this name, or a setting is out of range.
    pub fn method(&self) -> Result<Box<dyn Method>> {
        let entry = registry::find(&self.method).ok_or_else(|| {
            Error::unknown(Unknown::new("method", &self.method, registry::all().map(|entry| entry.id)))
        })?;
        (entry.build)(&self.settings.to_engine())
            .map_err(|source| Error::Setting { place: self.key(), source })
    }

    /// The model's line in the table.
    ///
    /// # Errors
    /// When there is none of this name.
    pub(crate) fn model(&self) -> Result<&'static ModelEntry> {
        models::find(&self.model).ok_or_else(|| {
            Error::unknown(Unknown::new("model", &self.model, models::all().map(|entry| entry.id)))
        })
    }

    /// The network at T = `steps`, freshly initialised from the seed.
    ///
    /// # Errors
    /// When there is no such model, or it refuses its specification.
    pub fn network(&self, session: Rc<Session>, steps: usize) -> Result<Network> {
        let entry = self.model()?;
        let params = Params::new(session, self.seed_for("init"));
        let spec = ModelSpec { steps, ..self.network.clone() };
        entry.network(&spec, params).map_err(|source| Error::Setting { place: self.key(), source })
    }

    /// How the method runs at T = `steps`. The memory budget is for the trial's own T.
    #[must_use]
    pub fn run_spec(&self, steps: usize) -> RunSpec {
        let (rebuilt_norms, gradient_tiles) = (self.rebuilt_norms, self.gradient_tiles);
        let memory_budget = self.memory_budget.filter(|_| steps == self.network.steps);
        RunSpec {
            rebuilt_norms,
            gradient_tiles,
            memory_budget,
            ..RunSpec::new(steps, self.loss, self.seed_for("run"))
        }
    }

    /// The random key of one purpose.
    #[must_use]
    pub fn seed_for(&self, purpose: &str) -> Key {
        Key::new(self.seed).fork(purpose)
    }
}
