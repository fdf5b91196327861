//! A suite: which cases are run, by which methods, with which budget.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use engine::method::{Setting, Settings};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::document::Document;
use crate::error::{Error, Result};
use crate::shelf;
use crate::source::{self, Entry};
use crate::suggest::Unknown;

/// Largest T: a plan of it is made in seconds, and no paper goes as far.
pub(crate) const MOST_STEPS: usize = 1024;

/// Largest number of epochs or samples: what a cell of a record holds.
pub(crate) const MOST_COUNTED: usize = u32::MAX as usize;

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
    /// Data set that needs no files and takes its place where no folder of files is given.
    #[serde(default)]
    pub stand_in: Option<String>,
    /// Samples to train and to test on, of each split's first ones balanced over the classes; all where absent.
    #[serde(default)]
    pub samples: Option<[usize; 2]>,
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
#[serde(
    untagged,
    expecting = "a setting must be true, false, a number, a text, or a list of whole numbers or texts"
)]
pub enum Scalar {
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A real number.
    Real(f64),
    /// A named choice.
    Text(String),
    /// Several whole numbers.
    Integers(Vec<i64>),
    /// Several names.
    Texts(Vec<String>),
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
                Scalar::Integers(numbers) => Setting::Integers(numbers.clone()),
                Scalar::Texts(texts) => Setting::Texts(texts.clone()),
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
    // Read by `Sweeps`, where the file has sweeps too.
    warm_up: Option<IgnoredAny>,
    timed: Option<IgnoredAny>,
    #[serde(rename = "sweep")]
    _sweep: Option<IgnoredAny>,
    #[serde(rename = "inference")]
    _inference: Option<IgnoredAny>,
}

impl Suite {
    /// Whether a document has cases.
    pub(crate) fn is(document: &Document) -> bool {
        document.has("case")
    }

    /// Reads a document's cases, `beside_sweeps` or alone.
    pub(crate) fn parse(id: &str, document: Document, beside_sweeps: bool) -> Result<Self> {
        let sheet: Sheet = document.parse()?;
        let of_sweeps = [("warm-up", &sheet.warm_up), ("timed", &sheet.timed)];
        if let Some((field, _)) = of_sweeps.iter().find(|(_, given)| given.is_some() && !beside_sweeps) {
            let place = format!("{}: {field}", document.name);
            return Err(Error::value(place, "left out without [[sweep]] or [[inference]]", "given"));
        }
        check_id(id, || format!("{}: the file's name, which is the suite's id,", document.name))?;
        let mut ids = BTreeSet::new();
        for case in &sheet.case {
            let (from, case) = (case.span().start, case.get_ref());
            case.check(&document, from)?;
            if !ids.insert(&case.id) {
                let place = format!("{}: case id", document.place_of(&case.id, from));
                return Err(Error::value(place, "one that no other case has", &case.id));
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
        check_id(&self.id, || format!("{}: case id", document.place_of(&self.id, from)))?;
        known("dataset", &self.dataset, source::ids().collect())?;
        if let Some(stand_in) = &self.stand_in {
            let stands = |id: &&str| Entry::find(id).is_ok_and(Entry::is_stand_in);
            known("stand-in", stand_in, source::ids().filter(stands).collect())?;
        }
        known("model", &self.model, models::all().map(|entry| entry.id).collect())?;
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
        let probes = self.memory_probe.iter().map(|&steps| ("memory-probe", steps, MOST_STEPS));
        let counts = [
            ("rev", self.rev as usize, MOST_COUNTED),
            ("steps (T)", self.steps, MOST_STEPS),
            ("budget.epochs", self.budget.epochs, MOST_COUNTED),
            ("budget.batch", self.budget.batch, MOST_COUNTED),
            ("number of methods", self.methods.len(), MOST_COUNTED),
            ("number of seeds", self.seeds.len(), MOST_COUNTED),
        ];
        let samples = self.samples.iter().flatten().map(|&count| ("samples", count, MOST_COUNTED));
        for (field, count, most) in counts.into_iter().chain(probes).chain(samples) {
            if count == 0 {
                return Err(Error::value(place(field), "at least 1", 0));
            }
            if count > most {
                return Err(Error::value(place(field), format!("at most {most}"), count));
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

    /// The data set that is used: the stand-in, if the case has one and no folder of files is given.
    #[must_use]
    pub fn dataset_from(&self, folder: Option<&Path>) -> &str {
        self.stand_in.as_ref().filter(|_| folder.is_none()).unwrap_or(&self.dataset)
    }

    /// The recipe that a method is trained with.
    #[must_use]
    pub fn recipe_of(&self, method: &str) -> &str {
        self.recipes.get(method).unwrap_or(&self.recipe)
    }
}

/// Refuses an id that would break the keys in records: `<suite>/<case>/<method>/t<T>/s<seed>`.
pub(crate) fn check_id(id: &str, place: impl Fn() -> String) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !id.is_empty() && id.chars().all(fits) {
        return Ok(());
    }
    Err(Error::value(place(), "one or more of a-z, A-Z, 0-9, '-', '_' and '.'", format!("{id:?}")))
}

pub(crate) fn repeated<T: Ord>(items: &[T]) -> Option<&T> {
    let mut seen = BTreeSet::new();
    items.iter().find(|item| !seen.insert(*item))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::path::Path;

    use crate::shelf::suite;

    #[test]
    fn a_stand_in_takes_the_place_of_a_set_without_files() {
        let cases = |name| suite(name).unwrap().cases.unwrap().cases;
        for case in cases("cifar") {
            assert_eq!(case.dataset_from(None), "synth-10");
            assert_eq!(case.dataset_from(Some(Path::new("folder"))), "cifar10");
        }
        assert!(cases("fashion").iter().all(|case| case.dataset_from(None) == "fashion-mnist"));
    }
}
