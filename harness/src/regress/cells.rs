//! Which training steps the gate measures: networks, the methods on them, and the law that each must keep.

use std::collections::BTreeSet;
use std::path::Path;

use engine::method::MethodEntry;
use engine::model::{ModelEntry, ModelSpec};
use engine::norm::NormOver;
use engine::region::Grid;
use serde::Deserialize;
use toml::Spanned;

use super::law::Law;
use crate::document::Document;
use crate::error::{Error, Result};
use crate::suggest::Unknown;
use crate::suite::{MOST_COUNTED, MOST_STEPS, MethodSettings};

/// Where methods are looked up: the table of the program, or a test's own.
pub type Find<'f> = &'f dyn Fn(&str) -> Option<&'static MethodEntry>;

/// The list that ships with the program.
const SHIPPED: &str = include_str!("../../regress/memory.toml");

/// The lists, read from one TOML file.
pub struct Cells {
    /// On so many threads each cell is measured.
    pub threads: Vec<usize>,
    /// The cells of one law each, in order.
    pub groups: Vec<Group>,
}

/// The cells along which one law holds: a network, a method, and every T and depth asked for.
pub struct Group {
    /// Id of the network.
    pub network: String,
    /// What is built, but for T and blocks.
    pub spec: ModelSpec,
    /// The model.
    pub model: &'static ModelEntry,
    /// Whether the batch has a frame for every step instead of one image.
    pub frames: bool,
    /// Samples of the batch.
    pub batch: usize,
    /// The method.
    pub method: &'static MethodEntry,
    /// Its settings.
    pub settings: MethodSettings,
    /// The law.
    pub law: Law,
    /// Every T, ascending.
    pub steps: Vec<usize>,
    /// Every number of blocks a stage, ascending; `None` is the model's own.
    pub blocks: Vec<Option<usize>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sheet {
    batch: usize,
    threads: Vec<usize>,
    network: Vec<Spanned<NetworkSheet>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct NetworkSheet {
    id: String,
    model: String,
    image: [usize; 3],
    classes: usize,
    width: f64,
    norm: NormOver,
    grid: Option<Grid>,
    #[serde(default)]
    frames: bool,
    run: Vec<RunSheet>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RunSheet {
    methods: Vec<String>,
    law: Law,
    steps: Vec<usize>,
    #[serde(default)]
    blocks: Vec<usize>,
    #[serde(default)]
    settings: MethodSettings,
}

impl Cells {
    /// The list that ships with the program.
    ///
    /// # Errors
    /// When it names what this build does not have.
    pub fn shipped(find: Find<'_>) -> Result<Self> {
        Self::parse("harness/regress/memory.toml", SHIPPED, find)
    }

    /// A list from a file.
    ///
    /// # Errors
    /// When it can't be read or understood.
    pub fn read(path: &Path, find: Find<'_>) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::parse(&path.display().to_string(), &text, find)
    }

    /// A list from a text that messages call `name`.
    ///
    /// # Errors
    /// Names line, rule and value.
    pub fn parse(name: &str, text: &str, find: Find<'_>) -> Result<Self> {
        let document = Document { name: name.to_owned(), text: text.to_owned() };
        let sheet: Sheet = document.parse()?;
        let at_start = |field: &str| format!("{}: {field}", document.place(0));
        ascending(&sheet.threads, (1, 1024), 1, || at_start("threads"))?;
        ascending(&[sheet.batch], (1, MOST_COUNTED), 1, || at_start("batch"))?;
        let (mut groups, mut seen) = (Vec::new(), BTreeSet::new());
        for network in sheet.network {
            let from = network.span().start;
            let network = network.into_inner();
            let place = |field: &str| format!("{}: network {}: {field}", document.place(from), network.id);
            let unknown = |kind: &str, name: &str, known: Vec<&str>| Error::Unknown {
                place: document.place_of(name, from),
                unknown: Unknown::new(kind, name, known),
            };
            let model = models::find(&network.model).ok_or_else(|| {
                unknown("model", &network.model, models::all().map(|entry| entry.id).collect())
            })?;
            for run in &network.run {
                let (steps, blocks) = run.law.fewest();
                ascending(&run.steps, (2, MOST_STEPS), steps, || place("steps (T)"))?;
                ascending(&run.blocks, (1, MOST_STEPS), blocks, || place("blocks"))?;
                for method in &run.methods {
                    if !seen.insert((network.id.clone(), method.clone())) {
                        let rule = "one that has each method once";
                        return Err(Error::value(place("id"), rule, format!("{method} twice")));
                    }
                    let method = find(method).ok_or_else(|| {
                        unknown("method", method, registry::all().map(|entry| entry.id).collect())
                    })?;
                    let own = if run.blocks.is_empty() { vec![None] } else { Vec::new() };
                    groups.push(Group {
                        network: network.id.clone(),
                        spec: network.spec(model),
                        model,
                        frames: network.frames,
                        batch: sheet.batch,
                        method,
                        settings: run.settings.clone(),
                        law: run.law,
                        steps: run.steps.clone(),
                        blocks: own.into_iter().chain(run.blocks.iter().copied().map(Some)).collect(),
                    });
                }
            }
        }
        Ok(Self { threads: sheet.threads, groups })
    }
}

impl NetworkSheet {
    /// The published set-up with what the sheet says.
    fn spec(&self, model: &ModelEntry) -> ModelSpec {
        ModelSpec {
            image: self.image,
            classes: self.classes,
            width: self.width,
            norm: self.norm,
            grid: self.grid,
            dropout: 0.0,
            drop_path: 0.0,
            ..(model.published)()
        }
    }
}

/// Refuses a list that is too short, not ascending, or out of range.
pub(crate) fn ascending(
    list: &[usize],
    (least, most): (usize, usize),
    fewest: usize,
    place: impl Fn() -> String,
) -> Result<()> {
    let in_range = list.iter().all(|size| (least..=most).contains(size));
    if list.len() >= fewest && in_range && list.is_sorted_by(|a, b| a < b) {
        return Ok(());
    }
    let rule = format!("at least {fewest} numbers in {least}..={most}, each larger than the one before");
    Err(Error::value(place(), rule, format!("{list:?}")))
}
