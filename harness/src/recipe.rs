//! A recipe: every choice that a paper or its code makes, each parsed by the crate that owns it.

use engine::loss::Loss;
use engine::model::ModelSpec;
use engine::neuron::Neuron;
use engine::norm::NormOver;
use engine::optim::{AverageSpec, Clip, OptimSpec, Schedule};
use engine::region::Grid;
use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::error::{Error, Result};

/// How a network is built and trained, whatever the data set, T and budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recipe {
    /// One sentence: whose recipe it is and where it differs.
    pub title: String,
    /// What the zoo leaves open.
    pub model: ModelChoices,
    /// The loss over time.
    pub loss: Loss,
    /// The optimiser's constants.
    pub optimizer: OptimSpec,
    /// How gradients are kept short before each update; not at all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<Clip>,
    /// The average of the parameters that is judged beside them; none where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average: Option<AverageSpec>,
    /// The learning rate over the run.
    pub schedule: Schedule,
    /// How images become a batch.
    pub data: datasets::Protocol,
    /// What the paper or its code trains with this recipe, for a reader: the suite decides on model, T and budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paper: Option<Paper>,
}

/// What a paper or its code trains with a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Paper {
    /// The network, in the paper's words.
    pub network: String,
    /// The data set, in the paper's words.
    pub dataset: String,
    /// T.
    pub steps: usize,
    /// Passes over the training set, cool-down included.
    pub epochs: usize,
    /// Samples in a batch, over all devices.
    pub batch: usize,
}

impl Paper {
    fn check(&self) -> engine::Result<()> {
        for (field, count) in [("steps", self.steps), ("epochs", self.epochs), ("batch", self.batch)] {
            if count == 0 {
                return Err(engine::Error::setting(format!("paper.{field}"), "at least 1", count));
            }
        }
        Ok(())
    }
}

/// What the zoo leaves open: a [`ModelSpec`] without what data set and T decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModelChoices {
    /// Multiplies every channel count of the published model.
    pub width: f64,
    /// Blocks per stage, where the family has stages that can be deepened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// Which axes a norm's statistics span.
    pub norm: NormOver,
    /// The neuron of stateful sites.
    pub neuron: Neuron,
    /// The grid of reversible streams; plain floating point where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<Grid>,
}

/// Largest factor on a published model's channels, and the most blocks of a stage: beyond them, parameters are
/// counted in trillions.
const MOST: f64 = 1024.0;

impl ModelChoices {
    fn check(&self) -> engine::Result<()> {
        let rule = format!("above 0 and at most {MOST}");
        if !(self.width > 0.0 && self.width <= MOST) {
            return Err(engine::Error::setting("model.width", rule, self.width));
        }
        match self.depth {
            Some(depth) if depth == 0 || depth as f64 > MOST => {
                Err(engine::Error::setting("model.depth", rule, depth))
            }
            _ => self.neuron.check(),
        }
    }

    /// The whole specification for images `[C, H, W]` of so many classes at T = `steps`.
    #[must_use]
    pub fn spec(&self, image: [usize; 3], classes: usize, steps: usize) -> ModelSpec {
        ModelSpec {
            image,
            classes,
            steps,
            width: self.width,
            depth: self.depth,
            neuron: self.neuron,
            norm: self.norm,
            grid: self.grid,
        }
    }
}

impl Recipe {
    pub(crate) fn parse(document: &Document) -> Result<Self> {
        let recipe: Self = document.parse()?;
        recipe.check().map_err(|source| Error::Setting { place: document.name.clone(), source })?;
        Ok(recipe)
    }

    fn check(&self) -> engine::Result<()> {
        self.loss.check()?;
        self.optimizer.check()?;
        self.clip.as_ref().map_or(Ok(()), Clip::check)?;
        self.average.as_ref().map_or(Ok(()), AverageSpec::check)?;
        self.schedule.check()?;
        self.paper.as_ref().map_or(Ok(()), Paper::check)?;
        self.model.check()
    }

    /// The recipe as the TOML it could have been read from.
    ///
    /// # Errors
    /// When a number has no TOML form.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self)
            .map_err(|error| Error::Text { what: "a recipe", message: error.to_string() })
    }
}
