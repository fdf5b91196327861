//! A suite of sweeps, read from one TOML file.

use std::collections::{BTreeMap, BTreeSet};

use engine::model::StepWidth;
use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use crate::document::Document;
use crate::error::{Error, Result};
use crate::regress::ascending;
use crate::shelf;
use crate::suggest::Unknown;
use crate::suite::{MOST_COUNTED, MOST_STEPS, MethodSettings, check_id, repeated};

/// A suite of sweeps, read from one TOML file.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweeps {
    /// Id: the file's name without its ending.
    pub id: String,
    /// What it is, for a list.
    pub title: String,
    /// The question it answers.
    pub analysis: String,
    /// Steps or evaluations before the timed ones.
    pub warm_up: usize,
    /// Timed steps or evaluations of a point.
    pub timed: usize,
    /// Training, in order.
    pub sweeps: Vec<Sweep>,
    /// Inference, in order.
    pub inference: Vec<InferenceSweep>,
    pub(crate) document: Document,
}

/// One network with the T, the blocks and the methods that its training step is measured at.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sweep {
    /// Id inside the suite.
    pub id: String,
    /// Grows whenever the meaning of the sweep's numbers changes; rows of different revisions are never compared.
    pub rev: u32,
    /// Model id.
    pub model: String,
    /// Recipe id, or the path of a recipe beside the suite's file: model choices, loss and optimiser count.
    pub recipe: String,
    /// Image or frame shape `[C, H, W]`; two channels are event frames, one a step.
    pub image: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Factor on the published channel counts, in place of the recipe's.
    pub width: f64,
    /// Samples in the batch.
    pub batch: usize,
    /// The methods, one by one; every method there is where absent.
    #[serde(default)]
    pub methods: Option<Vec<String>>,
    /// Settings of methods.
    #[serde(default)]
    pub settings: BTreeMap<String, MethodSettings>,
    /// Every T of the line along T, ascending.
    pub steps: Vec<usize>,
    /// Every number of blocks a stage of the line along blocks, ascending; absent where the model has no stages.
    #[serde(default)]
    pub blocks: Option<Vec<usize>>,
    /// Where the two lines meet; given with `blocks`.
    #[serde(default)]
    pub crossing: Option<Crossing>,
    /// The line along batches, if there is one.
    #[serde(default)]
    pub batches: Option<Batches>,
}

/// Where the line along T and the line along blocks meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Crossing {
    /// T of the line along blocks.
    pub steps: usize,
    /// Blocks a stage of the line along T.
    pub blocks: usize,
}

/// The line along batches; its blocks a stage are those of the line along T.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Batches {
    /// T of the line.
    pub steps: usize,
    /// Every number of samples, ascending.
    pub samples: Vec<usize>,
}

/// One network with the kinds of width and the T at which one image's cost is measured.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InferenceSweep {
    /// Id inside the suite.
    pub id: String,
    /// Grows whenever the meaning of the sweep's numbers changes; rows of different revisions are never compared.
    pub rev: u32,
    /// Model id.
    pub model: String,
    /// Recipe id, or the path of a recipe beside the suite's file: model choices and loss count.
    pub recipe: String,
    /// Image or frame shape `[C, H, W]`; two channels are event frames, one a step.
    pub image: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Factor on the published channel counts, in place of the recipe's.
    pub width: f64,
    /// Samples in the batch.
    pub batch: usize,
    /// How the stage widths depend on T, each in turn.
    pub step_widths: Vec<StepWidth>,
    /// Every T, ascending.
    pub steps: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sheet {
    title: String,
    analysis: String,
    warm_up: usize,
    timed: usize,
    #[serde(default)]
    sweep: Vec<Spanned<Sweep>>,
    #[serde(default)]
    inference: Vec<Spanned<InferenceSweep>>,
    // Read by `Suite`, where the file has cases too.
    #[serde(rename = "case")]
    _case: Option<IgnoredAny>,
}

/// Largest factor on the published channels.
const MOST_WIDTH: f64 = 1024.0;

/// Most blocks of a stage.
const MOST_BLOCKS: usize = 1024;

impl Sweeps {
    /// Whether a document has sweeps.
    pub(crate) fn is(document: &Document) -> bool {
        document.has("sweep") || document.has("inference")
    }

    /// Whether a sweep has this id.
    pub(crate) fn has(&self, id: &str) -> bool {
        let inference = self.inference.iter().map(|sweep| &sweep.id);
        self.sweeps.iter().map(|sweep| &sweep.id).chain(inference).any(|own| own == id)
    }

    pub(crate) fn parse(id: &str, document: Document) -> Result<Self> {
        let sheet: Sheet = document.parse()?;
        check_id(id, || format!("{}: the file's name, which is the suite's id,", document.name))?;
        let at_start = |field: &str| format!("{}: {field}", document.name);
        for (field, count) in [("warm-up", sheet.warm_up), ("timed", sheet.timed)] {
            counted(count, MOST_COUNTED, || at_start(field))?;
        }
        let mut ids = BTreeSet::new();
        let mut is_new = |id: &str, from: usize| {
            if ids.insert(id.to_owned()) {
                return Ok(());
            }
            let place = format!("{}: sweep id", document.place_of(id, from));
            Err(Error::value(place, "one that no other sweep has", id))
        };
        for sweep in &sheet.sweep {
            let from = sweep.span().start;
            sweep.get_ref().check(&document, from)?;
            is_new(&sweep.get_ref().id, from)?;
        }
        for sweep in &sheet.inference {
            let from = sweep.span().start;
            sweep.get_ref().check(&document, from)?;
            is_new(&sweep.get_ref().id, from)?;
        }
        if ids.is_empty() {
            let place = at_start("[[sweep]] or [[inference]]");
            return Err(Error::value(place, "given at least once", "none"));
        }
        Ok(Self {
            id: id.to_owned(),
            title: sheet.title,
            analysis: sheet.analysis,
            warm_up: sheet.warm_up,
            timed: sheet.timed,
            sweeps: sheet.sweep.into_iter().map(Spanned::into_inner).collect(),
            inference: sheet.inference.into_iter().map(Spanned::into_inner).collect(),
            document,
        })
    }
}

/// What both kinds of sweep share, for their checks.
struct Common<'s> {
    id: &'s str,
    rev: u32,
    model: &'s str,
    recipe: &'s str,
    image: [usize; 3],
    classes: usize,
    width: f64,
    batch: usize,
    steps: &'s [usize],
}

impl Common<'_> {
    /// Checks names and ranges; `from` is where the sweep begins in its document.
    fn check(&self, document: &Document, from: usize) -> Result<()> {
        let place = |field: &str| format!("{}: sweep {}: {field}", document.place(from), self.id);
        check_id(self.id, || format!("{}: sweep id", document.place_of(self.id, from)))?;
        known(document, from, "model", self.model, models::all().map(|entry| entry.id).collect())?;
        if !shelf::is_path(self.recipe) {
            let recipes = shelf::RECIPES.iter().map(|file| file.id).collect();
            known(document, from, "recipe", self.recipe, recipes)?;
        }
        for (field, count, most) in [
            ("rev", self.rev as usize, MOST_COUNTED),
            ("classes", self.classes, MOST_COUNTED),
            ("batch", self.batch, MOST_COUNTED),
        ] {
            counted(count, most, || place(field))?;
        }
        for side in self.image {
            counted(side, MOST_COUNTED, || place("image"))?;
        }
        if !(self.width > 0.0 && self.width <= MOST_WIDTH) {
            let rule = format!("above 0 and at most {MOST_WIDTH}");
            return Err(Error::value(place("width"), rule, self.width));
        }
        ascending(self.steps, (1, MOST_STEPS), 1, || place("steps (T)"))
    }
}

impl Sweep {
    fn check(&self, document: &Document, from: usize) -> Result<()> {
        let place = |field: &str| format!("{}: sweep {}: {field}", document.place(from), self.id);
        let Self { id, rev, model, recipe, image, classes, width, batch, steps, .. } = self;
        let (rev, image, classes, width, batch) = (*rev, *image, *classes, *width, *batch);
        Common { id, rev, model, recipe, image, classes, width, batch, steps }.check(document, from)?;
        let methods: Vec<&str> = registry::all().map(|entry| entry.id).collect();
        let listed = self.methods.iter().flatten();
        for method in listed.chain(self.settings.keys()) {
            known(document, from, "method", method, methods.clone())?;
        }
        if let Some(listed) = &self.methods {
            counted(listed.len(), MOST_COUNTED, || place("number of methods"))?;
            if let Some(twice) = repeated(listed) {
                return Err(Error::value(place("methods"), "listed once each", format!("{twice} twice")));
            }
        }
        if let Some(batches) = &self.batches {
            counted(batches.steps, MOST_STEPS, || place("batches.steps (T)"))?;
            ascending(&batches.samples, (1, MOST_COUNTED), 1, || place("batches.samples"))?;
        }
        match (&self.blocks, self.crossing) {
            (None, None) => Ok(()),
            (Some(blocks), Some(crossing)) => {
                ascending(blocks, (1, MOST_BLOCKS), 1, || place("blocks"))?;
                counted(crossing.steps, MOST_STEPS, || place("crossing.steps (T)"))?;
                counted(crossing.blocks, MOST_BLOCKS, || place("crossing.blocks"))
            }
            (Some(_), None) => {
                let rule = "given with blocks, such as { steps = 4, blocks = 2 }";
                Err(Error::value(place("crossing"), rule, "nothing"))
            }
            (None, Some(_)) => Err(Error::value(place("crossing"), "left out without blocks", "one")),
        }
    }
}

impl InferenceSweep {
    fn check(&self, document: &Document, from: usize) -> Result<()> {
        let place = |field: &str| format!("{}: sweep {}: {field}", document.place(from), self.id);
        let Self { id, rev, model, recipe, image, classes, width, batch, steps, .. } = self;
        let (rev, image, classes, width, batch) = (*rev, *image, *classes, *width, *batch);
        Common { id, rev, model, recipe, image, classes, width, batch, steps }.check(document, from)?;
        counted(self.step_widths.len(), 2, || place("number of step-widths"))?;
        if self.step_widths.len() == 2 && self.step_widths[0] == self.step_widths[1] {
            return Err(Error::value(place("step-widths"), "listed once each", "one twice"));
        }
        Ok(())
    }
}

fn known(document: &Document, from: usize, kind: &str, name: &str, known: Vec<&str>) -> Result<()> {
    if known.contains(&name) {
        return Ok(());
    }
    let place = document.place_of(name, from);
    Err(Error::Unknown { place, unknown: Unknown::new(kind, name, known) })
}

fn counted(count: usize, most: usize, place: impl Fn() -> String) -> Result<()> {
    match count {
        0 => Err(Error::value(place(), "at least 1", 0)),
        _ if count > most => Err(Error::value(place(), format!("at most {most}"), count)),
        _ => Ok(()),
    }
}
