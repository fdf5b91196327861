//! A recipe: every choice that a paper or its code makes, each parsed by the crate that owns it.

use engine::loss::Loss;
use engine::optim::{OptimSpec, Schedule};
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
    /// The learning rate over the run.
    pub schedule: Schedule,
    /// How images become a batch.
    pub data: datasets::Protocol,
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
