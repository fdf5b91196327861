//! `list`: what can be named on the command line.

use std::io::Write;

use clap::ValueEnum;

use crate::error::Result;
use crate::select::Selection;
use crate::shelf::{self, RECIPES, SUITES};
use crate::sweep;

/// A kind of thing that has names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// What can be run.
    Suites,
    /// Ways of training.
    Methods,
    /// Networks.
    Models,
    /// Pictures.
    Datasets,
    /// Choices that a paper or its code makes.
    Recipes,
}

pub(crate) fn list(kind: Option<Kind>, output: &mut dyn Write) -> Result<()> {
    let kinds = kind.map_or_else(|| Kind::value_variants().to_vec(), |kind| vec![kind]);
    for (place, kind) in kinds.iter().enumerate() {
        if kinds.len() > 1 {
            let gap = if place > 0 { "\n" } else { "" };
            let heading =
                kind.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
            writeln!(output, "{gap}{heading}")?;
        }
        let rows = rows(*kind)?;
        let width = rows.iter().map(|(id, _)| id.chars().count()).max().unwrap_or(0);
        for (id, about) in rows {
            writeln!(output, "  {id:<width$}  {about}")?;
        }
    }
    Ok(())
}

fn rows(kind: Kind) -> Result<Vec<(String, String)>> {
    // What has no paper says so: "none: a reference row".
    let with_paper =
        |summary: &str, paper: &str| format!("{summary} ({})", paper.strip_prefix("none: ").unwrap_or(paper));
    Ok(match kind {
        Kind::Suites => SUITES
            .iter()
            .map(|file| {
                let suite = shelf::suite(file.id)?;
                let mut counts = Vec::new();
                if let Some(cases) = &suite.cases {
                    let trials: usize =
                        cases.cases.iter().map(|case| case.methods.len() * case.seeds.len()).sum();
                    counts.push(format!("{trials} trials"));
                }
                if let Some(sweeps) = &suite.sweeps {
                    counts.push(format!("{} points", sweep::plan(sweeps, &Selection::default())?.len()));
                }
                Ok((suite.id().to_owned(), format!("{} ({})", suite.title(), counts.join(", "))))
            })
            .collect::<Result<_>>()?,
        Kind::Recipes => RECIPES
            .iter()
            .map(|file| Ok((file.id.to_owned(), shelf::recipe(file.id, None)?.title)))
            .collect::<Result<_>>()?,
        Kind::Methods => registry::all()
            .map(|entry| (entry.id.to_owned(), with_paper(entry.summary, entry.paper)))
            .collect(),
        Kind::Models => {
            let entries = models::all();
            entries.map(|entry| (entry.id.to_owned(), with_paper(entry.summary, entry.paper))).collect()
        }
        Kind::Datasets => {
            let images = datasets::DATASETS.iter().map(|entry| {
                let card = entry.card;
                (entry.id, card.title, card.counts, card.classes, card.needs_data_dir, card.licence)
            });
            let frames = datasets::FRAME_SETS.iter().map(|entry| {
                (entry.id, entry.title, entry.counts, entry.classes, entry.needs_data_dir, entry.licence)
            });
            images
                .chain(frames)
                .map(|(id, title, [train, test], classes, needs_files, licence)| {
                    let place = if needs_files { "needs --data DIR" } else { "ships" };
                    let about = format!("{title}: {train} + {test}, {classes} classes, {place}");
                    (id.to_owned(), format!("{about}; licence: {licence}"))
                })
                .collect()
        }
    })
}
