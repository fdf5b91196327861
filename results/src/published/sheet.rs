//! One paper's file, as it is written and checked.

use super::complexity::Complexity;
use super::figure::{Bound, Figure, Quantity, Tag};
use crate::error::Error;
use serde::Deserialize;
use std::collections::BTreeSet;

/// A paper's values.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Sheet {
    /// Short name and where it can be read.
    pub(crate) paper: String,
    /// The suite that measures what a training step of its networks holds and takes.
    pub(crate) suite: String,
    /// Its tables, in the order in which they are shown.
    #[serde(default)]
    pub(crate) table: Vec<PaperTable>,
    /// Ratios of memory.
    #[serde(default)]
    pub(crate) memory: Vec<Ratio>,
    /// Ratios of training time.
    #[serde(default)]
    pub(crate) time: Vec<Ratio>,
    /// Ratios of the energy of one inference.
    #[serde(default)]
    pub(crate) energy: Vec<Ratio>,
    /// Classes of growth.
    #[serde(default)]
    pub(crate) complexity: Vec<Complexity>,
}

/// A table of a paper: rows of values, and ratios that name it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PaperTable {
    /// Id; a table's file is `paper-<paper>-<id>`.
    pub(crate) id: String,
    pub(crate) title: String,
    /// What the reader must know of it, in a sentence or two.
    pub(crate) about: String,
    /// The rows, in the order in which they are shown.
    #[serde(default)]
    pub(crate) row: Vec<PaperRow>,
}

/// A network trained in one way, with what is reported of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PaperRow {
    /// Id in its table.
    pub(crate) id: String,
    /// What it is called.
    pub(crate) name: String,
    /// The method of this project that trains the same; where absent nothing here does.
    #[serde(default)]
    pub(crate) method: Option<String>,
    /// The same network of this project's zoo; where absent it has none.
    #[serde(default)]
    pub(crate) model: Option<String>,
    /// T; where absent the source does not tell.
    #[serde(default)]
    pub(crate) steps_t: Option<u32>,
    /// Data set id.
    pub(crate) dataset: String,
    /// Shape of an image or frame, `<channels>x<height>x<width>`.
    pub(crate) image: String,
    /// Number of classes.
    pub(crate) classes: u32,
    /// Samples in a batch on one device; where absent the source does not tell.
    #[serde(default)]
    pub(crate) batch: Option<u32>,
    /// Passes over the training set; where absent the source does not tell.
    #[serde(default)]
    pub(crate) epochs: Option<u32>,
    /// Recipe id of this project that makes the same choices.
    #[serde(default)]
    pub(crate) recipe: Option<String>,
    /// Type of the numbers; where absent the source does not tell.
    #[serde(default)]
    pub(crate) precision: Option<Precision>,
    /// What it was measured on; where absent the source does not tell.
    #[serde(default)]
    pub(crate) hardware: Option<String>,
    /// The suite that measures what its training step holds and takes, in place of the sheet's.
    #[serde(default)]
    pub(crate) suite: Option<String>,
    /// The case of a suite that trains it, where cases of one network and method differ in what the row is about.
    #[serde(default)]
    pub(crate) case: Option<String>,
    /// What follows `harness --suite` in the command that trains it; where absent no suite does.
    #[serde(default)]
    pub(crate) training: Option<String>,
    /// What is reported.
    #[serde(default)]
    pub(crate) value: Vec<PaperValue>,
    /// What the paper reports too, in sources that nobody here could read.
    #[serde(default)]
    pub(crate) unread: Vec<Quantity>,
}

/// A reported number.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PaperValue {
    pub(crate) quantity: Quantity,
    /// The number.
    pub(crate) value: Figure,
    #[serde(default)]
    pub(crate) bound: Bound,
    pub(crate) tag: Tag,
    /// Where it stands.
    pub(crate) source: String,
    /// In place of the row's.
    #[serde(default)]
    pub(crate) precision: Option<Precision>,
    /// In place of the row's.
    #[serde(default)]
    pub(crate) hardware: Option<String>,
}

/// Type of the numbers of a published run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Precision {
    /// 32 bits throughout.
    F32,
    /// 16 bits where autocast puts them, 32 elsewhere.
    F16,
}

impl Precision {
    /// The word that stands in the `dtype` column of a record of the same precision.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
        }
    }
}

/// A ratio of two numbers of the same kind.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Ratio {
    pub(crate) id: String,
    /// The table that it is shown in.
    pub(crate) table: String,
    /// What is divided.
    pub(crate) of: Side,
    /// What it is divided by.
    pub(crate) to: Side,
    pub(crate) ratio: Figure,
    #[serde(default)]
    pub(crate) bound: Bound,
    /// The paper's network, where the sides name none.
    #[serde(default)]
    pub(crate) model: Option<String>,
    /// T of the paper's networks.
    pub(crate) steps_t: u32,
    /// Shape of the paper's images, `<channels>x<height>x<width>`.
    pub(crate) image: String,
    pub(crate) tag: Tag,
    /// Where it stands.
    pub(crate) source: String,
    /// What is not the same there.
    pub(crate) differs: String,
}

/// One of the two that are compared.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Side {
    pub(crate) method: String,
    /// The network; where absent both sides are any network, and the same one.
    #[serde(default)]
    pub(crate) model: Option<String>,
    /// Its own T, where it is not that of the ratio.
    #[serde(default)]
    pub(crate) steps_t: Option<u32>,
}

impl Sheet {
    /// Reads a paper's file; `file` is its name.
    ///
    /// # Errors
    /// Names the file, the entry and the rule.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Sheet, Error> {
        let refused = |entry: &str, rule: &str| Error::Published {
            file: file.to_owned(),
            entry: entry.to_owned(),
            rule: rule.to_owned(),
        };
        let sheet: Sheet = toml::from_str(text).map_err(|error| {
            let before = text.bytes().take(error.span().map_or(0, |span| span.start));
            let line = 1 + before.filter(|byte| *byte == b'\n').count();
            refused(&format!("line {line}"), error.message())
        })?;
        let mut ids = BTreeSet::new();
        let mut once = |id: String| match ids.insert(id.clone()) {
            true => Ok(()),
            false => Err(refused(&id, "an id may be given once")),
        };
        for table in &sheet.table {
            once(table.id.clone())?;
            for row in &table.row {
                let entry = format!("{}/{}", table.id, row.id);
                row.check().map_err(|rule| refused(&entry, &rule))?;
                once(entry.clone())?;
                for value in &row.value {
                    let entry = format!("{entry}/{}", value.quantity.title());
                    value.check().map_err(|rule| refused(&entry, &rule))?;
                    // Two sources may report one quantity; then the words tell them apart.
                    once(format!("{entry} ({})", value.source))?;
                }
            }
        }
        for ratio in sheet.memory.iter().chain(&sheet.time).chain(&sheet.energy) {
            once(ratio.id.clone())?;
            if !sheet.table.iter().any(|table| table.id == ratio.table) {
                return Err(refused(&ratio.id, "`table` must be the id of a table of the file"));
            }
            ratio.check().map_err(|rule| refused(&ratio.id, &rule))?;
        }
        for claim in &sheet.complexity {
            once(format!("complexity of {}", claim.subject()))?;
            claim.check().map_err(|rule| refused(&format!("complexity of {}", claim.subject()), &rule))?;
        }
        Ok(sheet)
    }
}

impl Ratio {
    /// The network of a side in the paper.
    pub(crate) fn model_of<'s>(&'s self, side: &'s Side) -> &'s str {
        side.model.as_deref().or(self.model.as_deref()).unwrap_or_default()
    }

    /// T of a side in the paper.
    pub(crate) fn steps_of(&self, side: &Side) -> u32 {
        side.steps_t.unwrap_or(self.steps_t)
    }
}

impl PaperRow {
    fn check(&self) -> Result<(), String> {
        is_shape(&self.image)?;
        let counts = [Some(self.classes), self.steps_t, self.batch, self.epochs];
        if counts.contains(&Some(0)) {
            return Err("`classes`, `steps-t`, `batch` and `epochs` must be at least 1".to_owned());
        }
        match (&self.method, &self.model, self.value.is_empty() && self.unread.is_empty()) {
            (.., true) => Err("a row must have a value, or say what is `unread`".to_owned()),
            (Some(_), None, _) => Err("a `method` must have a `model`".to_owned()),
            _ => Ok(()),
        }
    }
}

impl PaperValue {
    fn check(&self) -> Result<(), String> {
        if self.quantity == Quantity::Top1Percent && self.value.value > 100.0 {
            return Err(format!("an accuracy must be at most 100 %, got {}", self.value.text));
        }
        is_sound(&self.value, &self.source)
    }
}

impl Ratio {
    fn check(&self) -> Result<(), String> {
        is_shape(&self.image)?;
        if [Some(self.steps_t), self.of.steps_t, self.to.steps_t].contains(&Some(0)) {
            return Err("`steps-t` must be at least 1".to_owned());
        }
        if [&self.of, &self.to].into_iter().any(|side| side.model.is_some() == self.model.is_some()) {
            return Err("`model` must stand in both sides, or in the ratio".to_owned());
        }
        is_sound(&self.ratio, &self.source)
    }
}

fn is_sound(value: &Figure, source: &str) -> Result<(), String> {
    match (value.value > 0.0, source.trim().is_empty()) {
        (false, _) => Err(format!("a published number must be above 0, got {}", value.text)),
        (_, true) => Err("`source` must say where it stands".to_owned()),
        _ => Ok(()),
    }
}

fn is_shape(image: &str) -> Result<(), String> {
    let sides: Vec<Option<u32>> = image.split('x').map(|side| side.parse().ok()).collect();
    match sides.as_slice() {
        [Some(1..), Some(1..), Some(1..)] => Ok(()),
        _ => Err(format!("`image` must be a shape such as \"3x224x224\", got \"{image}\"")),
    }
}
