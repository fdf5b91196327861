//! A recipe: every choice that a paper or its code makes, each parsed by the crate that owns it.

use engine::loss::Loss;
use engine::model::ModelSpec;
use engine::neuron::Neuron;
use engine::norm::NormOver;
use engine::optim::{OptimSpec, Schedule};
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
    /// The learning rate over the run.
    pub schedule: Schedule,
    /// How images become a batch.
    pub data: datasets::Protocol,
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
        self.schedule.check()?;
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
