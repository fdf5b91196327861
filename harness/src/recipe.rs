//! A recipe: every choice that a paper or its code makes, each parsed by the crate that owns it.

use engine::loss::Loss;
use engine::optim::{AverageSpec, Clip, OptimSpec, Schedule};
use serde::{Deserialize, Serialize};

use crate::choices::ModelChoices;
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
