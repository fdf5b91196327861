//! A suite: which cases are run, by which methods, with which budget.

use std::collections::{BTreeMap, BTreeSet};

use engine::method::{Setting, Settings};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::document::Document;
use crate::error::{Error, Result};
use crate::shelf;
use crate::suggest::Unknown;

/// A suite of cases, read from one TOML file.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite {
    /// Id: the file's name without its ending.
    pub id: String,
    /// What it is, for a list.
    pub title: String,
    /// The question it answers.
    pub analysis: String,
    /// Its cases, in order.
    pub cases: Vec<Case>,
    pub(crate) document: Document,
}

/// A data set, a model and a budget, with the methods that compete on them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Case {
    /// Id inside the suite.
    pub id: String,
    /// Grows whenever the meaning of the case's numbers changes; rows of different revisions are never compared.
    pub rev: u32,
    /// Data set id.
    pub dataset: String,
    /// Model id.
    pub model: String,
    /// Recipe id, or the path of a recipe beside the suite's file.
    pub recipe: String,
    /// T.
    pub steps: usize,
    /// How long it is trained.
    pub budget: Budget,
    /// The methods, one by one.
    pub methods: Vec<String>,
    /// The method that the others are compared with.
    pub baseline: Option<String>,
    /// One trial a method for each.
    pub seeds: Vec<u64>,
    /// The T at which the memory of one training step is measured, beside the case's own.
    #[serde(default)]
    pub memory_probe: Vec<usize>,
    /// Methods with another recipe than the case's.
    #[serde(default)]
    pub recipes: BTreeMap<String, String>,
    /// Settings of methods.
    #[serde(default)]
    pub settings: BTreeMap<String, MethodSettings>,
}

/// How long a network is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Budget {
    /// Passes over the training set.
    pub epochs: usize,
    /// Samples in a training batch.
    pub batch: usize,
}

/// A method's settings, by key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MethodSettings(pub BTreeMap<String, Scalar>);

/// A setting's value as it stands in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A real number.
    Real(f64),
    /// A named choice.
    Text(String),
}

impl MethodSettings {
    /// The settings as a method reads them.
    #[must_use]
    pub fn to_engine(&self) -> Settings {
        Settings::new(self.0.iter().map(|(key, value)| {
            let value = match value {
                Scalar::Flag(flag) => Setting::Flag(*flag),
                Scalar::Integer(n) => Setting::Integer(*n),
                Scalar::Real(x) => Setting::Real(*x),
                Scalar::Text(text) => Setting::Text(text.clone()),
            };
            (key.clone(), value)
        }))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sheet {
    title: String,
    analysis: String,
    case: Vec<Spanned<Case>>,
}

impl Suite {
    pub(crate) fn parse(id: &str, document: Document) -> Result<Self> {
        let sheet: Sheet = document.parse()?;
        let mut ids = BTreeSet::new();
        for case in &sheet.case {
            let (from, case) = (case.span().start, case.get_ref());
            case.check(&document, from)?;
            if !ids.insert(&case.id) {
                return Err(Error::value(document.place_of(&case.id, from), "an id of its own", &case.id));
            }
        }
        let cases: Vec<Case> = sheet.case.into_iter().map(Spanned::into_inner).collect();
        if cases.is_empty() {
            return Err(Error::value(format!("{}: [[case]]", document.name), "given at least once", "none"));
        }
        Ok(Self { id: id.to_owned(), title: sheet.title, analysis: sheet.analysis, cases, document })
    }
}

impl Case {
    /// Checks names and ranges; `from` is where the case begins in its document.
    fn check(&self, document: &Document, from: usize) -> Result<()> {
        let known = |kind: &str, name: &str, known: Vec<&str>| {
            if known.contains(&name) {
                return Ok(());
            }
            let place = document.place_of(name, from);
            Err(Error::Unknown { place, unknown: Unknown::new(kind, name, known) })
        };
        let place = |field: &str| format!("{}: case {}: {field}", document.place(from), self.id);
        known("dataset", &self.dataset, datasets::DATASETS.iter().map(|entry| entry.id).collect())?;
        known("model", &self.model, models::MODELS.iter().map(|entry| entry.id).collect())?;
        let methods: Vec<&str> = registry::all().map(|entry| entry.id).collect();
        for method in &self.methods {
            known("method", method, methods.clone())?;
        }
        for recipe in self.recipes.values().chain([&self.recipe]).filter(|recipe| !shelf::is_path(recipe)) {
            known("recipe", recipe, shelf::RECIPES.iter().map(|file| file.id).collect())?;
        }
        let listed: Vec<&str> = self.methods.iter().map(String::as_str).collect();
        if let Some(baseline) = &self.baseline {
            known("baseline (one of the case's methods)", baseline, listed)?;
        }
        for method in self.recipes.keys().chain(self.settings.keys()) {
            // Not only listed methods: `--method` may add one.
            known("method", method, methods.clone())?;
        }
        for (field, count) in [
            ("steps (T)", self.steps),
            ("budget.epochs", self.budget.epochs),
            ("budget.batch", self.budget.batch),
            ("memory-probe", self.memory_probe.iter().copied().min().unwrap_or(1)),
            ("number of methods", self.methods.len()),
            ("number of seeds", self.seeds.len()),
        ] {
            if count == 0 {
                return Err(Error::value(place(field), "at least 1", 0));
            }
        }
        if let Some(twice) = repeated(&self.methods) {
            return Err(Error::value(place("methods"), "listed once each", format!("{twice} twice")));
        }
        if let Some(twice) = repeated(&self.seeds) {
            return Err(Error::value(place("seeds"), "listed once each", format!("{twice} twice")));
        }
        Ok(())
    }

    /// The recipe that a method is trained with.
    #[must_use]
    pub fn recipe_of(&self, method: &str) -> &str {
        self.recipes.get(method).unwrap_or(&self.recipe)
    }
}

fn repeated<T: Ord>(items: &[T]) -> Option<&T> {
    let mut seen = BTreeSet::new();
    items.iter().find(|item| !seen.insert(*item))
}
