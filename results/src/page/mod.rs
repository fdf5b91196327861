//! The page: one file with everything in it, for people. No scripts and nothing from elsewhere, so that it can be
//! mailed, archived and opened in ten years.

use crate::chart::Figure;
use crate::contest::verdict;
use crate::quantity::MIB;
use crate::read::Records;
use crate::record::{Status, Trial};
use crate::render::{self, Ink, escape};
use crate::table::Grid;
use std::collections::BTreeSet;
use std::fmt::Write;

/// A figure and its drawing.
pub(crate) struct Picture {
    pub(crate) figure: Figure,
    pub(crate) svg: String,
}

/// Renders the page.
pub(crate) fn page(records: &Records, grids: &[Grid], pictures: &[Picture], command: &str) -> String {
    let mut body = head(records);
    // The first table opens the page, the rest follows the charts that it explains.
    let (first, rest) = grids.split_at(grids.len().min(1));
    first.iter().for_each(|grid| body.push_str(&table(grid)));
    pictures.iter().for_each(|picture| body.push_str(&chart(picture)));
    rest.iter().for_each(|grid| body.push_str(&table(grid)));
    body.push_str(&notes(records));
    body.push_str(&settings(records));
    body.push_str(&environment(records));
    body.push_str(&columns(grids));
    let command = escape(command);
    let _ = write!(
        body,
        "<section>\n<h2>How to make this page again</h2>\n<p>Every number above comes from the campaign's \
         records; nothing was typed in.</p>\n<pre><code>{command}</code></pre>\n</section>\n"
    );
    let title = escape(&title(records));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <!-- Generated; do not edit. -->\n<style>\n{}{}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         </body>\n</html>\n",
        include_str!("style.css"),
        dark()
    )
}

fn title(records: &Records) -> String {
    match records.trials.first() {
        Some(trial) => format!("Training spiking neural networks: suite {}", trial.suite),
        None => "Training spiking neural networks: no records".to_owned(),
    }
}

/// The dark sheet: the page's own colours, and the charts' inks by the colour they were drawn with.
fn dark() -> String {
    let mut rules = String::from("@media screen and (prefers-color-scheme: dark) {\n  :root {");
    for (ink, name) in
        [(Ink::Paper, "paper"), (Ink::Letter, "letter"), (Ink::Muted, "muted"), (Ink::Grid, "line")]
    {
        if let Some((_, colour)) = Ink::SWAPPED_IN_THE_DARK.iter().find(|(swapped, _)| *swapped == ink) {
            let _ = write!(rules, " --{name}: {colour};");
        }
    }
    rules.push_str(" --shade: #1b2027; --link: #56b4e9; }\n");
    for (ink, colour) in Ink::SWAPPED_IN_THE_DARK {
        let light = ink.hex();
        let _ = writeln!(
            rules,
            "  svg [fill=\"{light}\"] {{ fill: {colour}; }} svg [stroke=\"{light}\"] {{ stroke: {colour}; }}"
        );
    }
    rules.push_str("}\n");
    rules
}

fn head(records: &Records) -> String {
    let trials = &records.trials;
    let count = |status: Status| trials.iter().filter(|trial| trial.status == status).count();
    let ends: Vec<String> = Status::ALL
        .into_iter()
        .filter(|status| count(*status) > 0)
        .map(|status| format!("{} {status}", count(status)))
        .collect();
    let mut parts = vec![format!("{} trials: {}", trials.len(), ends.join(", "))];
    if let Some(first) =
        trials.iter().map(|trial| trial.started_utc.as_str()).filter(|at| !at.is_empty()).min()
    {
        parts.push(format!("begun {first}"));
    }
    if let Some(campaign) = trials.first().map(|trial| &trial.campaign) {
        parts.push(format!("campaign {campaign}"));
    }
    let (title, lead) = (escape(&title(records)), escape(&parts.join(" · ")));
    format!("<header>\n<h1>{title}</h1>\n<p class=\"lead\">{lead}</p>\n</header>\n")
}

fn table(grid: &Grid) -> String {
    let title = escape(&grid.title);
    format!(
        "<section>\n<h2>{title}</h2>\n<div class=\"scroll\" role=\"region\" tabindex=\"0\" \
         aria-label=\"{title}\">\n{}</div>\n</section>\n",
        render::html(grid)
    )
}

fn chart(picture: &Picture) -> String {
    let id = escape(&picture.figure.id);
    format!("<figure id=\"{id}\">\n{}</figure>\n", picture.svg)
}

/// What a reader must know before believing a number.
fn notes(records: &Records) -> String {
    let mut items: Vec<String> = Vec::new();
    for trial in &records.trials {
        if trial.status != Status::Ok || !trial.note.trim().is_empty() {
            items.push(format!("<code>{}</code> {}", escape(&trial.trial), escape(&verdict(trial))));
        }
    }
    let seeds: BTreeSet<u64> = records.trials.iter().map(|trial| trial.seed).collect();
    if seeds.len() == 1 {
        let warning =
            "One seed: a difference in accuracy may be chance, and no spread between seeds is known.";
        items.push(warning.to_owned());
    }
    if records.trials.iter().any(|trial| trial.top1_best.is_some()) {
        let warning = "The best epoch was chosen on the test set, so it flatters every method.";
        items.push(warning.to_owned());
    }
    if records.trials.iter().any(|trial| trial.dirty) {
        let warning = "The program was built from a source tree with uncommitted changes: its revision does not say all.";
        items.push(warning.to_owned());
    }
    let list: String = items.iter().map(|item| format!("<li>{item}</li>\n")).collect();
    if list.is_empty() {
        return String::new();
    }
    format!("<section>\n<h2>What to know</h2>\n<ul>\n{list}</ul>\n</section>\n")
}

/// What the trials share, and where they differ.
fn settings(records: &Records) -> String {
    type Read = fn(&Trial) -> String;
    let settings: [(&str, Read); 13] = [
        ("datasets", |trial| trial.dataset.clone()),
        ("dataset manifests", |trial| trial.dataset_manifest.clone()),
        ("training samples", |trial| trial.train_samples.to_string()),
        ("test samples", |trial| trial.test_samples.to_string()),
        ("time steps T", |trial| trial.steps_t.to_string()),
        ("epochs", |trial| trial.epochs.to_string()),
        ("batch size", |trial| trial.batch.to_string()),
        ("seeds", |trial| trial.seed.to_string()),
        ("recipes", |trial| trial.recipe.clone()),
        ("weights files", |trial| trial.weights.clone()),
        ("device", |trial| trial.device.clone()),
        ("threads", |trial| trial.threads.to_string()),
        ("source revisions", |trial| trial.git_rev.clone()),
    ];
    let mut pairs = Vec::new();
    for (name, read) in settings {
        let mut values: Vec<String> = Vec::new();
        for value in records.trials.iter().map(read).filter(|value| !value.is_empty()) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        pairs.push((name, values.join(", ")));
    }
    facts("Settings", &pairs)
}

fn environment(records: &Records) -> String {
    let Some(machine) = &records.environment else { return String::new() };
    let pairs = [
        ("processor", machine.cpu.clone()),
        ("cores", format!("{} used of {}", machine.cores_used, machine.cores)),
        ("memory", format!("{:.1} GiB", machine.memory_bytes as f64 / MIB / 1024.0)),
        ("system", machine.os.clone()),
        ("accelerator", machine.gpu.clone()),
        ("driver", machine.gpu_driver.clone()),
        ("compiler", machine.rustc.clone()),
        ("candle", machine.candle.clone()),
        ("program", machine.version.clone()),
        ("features", machine.features.join(", ")),
        ("build", machine.build.clone()),
        ("revision", format!("{}{}", machine.git_rev, if machine.dirty { ", with changes" } else { "" })),
    ];
    facts("Environment", &pairs)
}

fn facts(title: &str, pairs: &[(&str, String)]) -> String {
    let mut text = format!("<section>\n<h2>{title}</h2>\n<dl>\n");
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(text, "<dt>{name}</dt><dd>{}</dd>", escape(value));
    }
    text.push_str("</dl>\n</section>\n");
    text
}

fn columns(grids: &[Grid]) -> String {
    let mut text = String::from("<section>\n<h2>What the columns mean</h2>\n<dl>\n");
    let mut told = BTreeSet::new();
    for column in grids.iter().flat_map(|grid| &grid.columns) {
        if told.insert((&column.title, &column.about)) {
            let _ = writeln!(text, "<dt>{}</dt><dd>{}</dd>", escape(&column.title), escape(&column.about));
        }
    }
    text.push_str("</dl>\n<p class=\"muted\">1 MiB = 1,048,576 bytes. A dash is a missing measurement, never a zero; the status says why.</p>\n</section>\n");
    text
}
