//! The page: one file with everything in it, for people. Nothing from elsewhere, so that it can be mailed, archived and opened
//! in ten years; its one script sorts tables, and without it the page is whole.

mod outcome;
mod settings;

use crate::chart::Figure;
use crate::origin::Origin;
use crate::quantity::MIB;
use crate::read::Records;
use crate::record::Status;
use crate::render::{self, Ink, escape};
use crate::table::Grid;
use outcome::outcomes;
use std::collections::BTreeSet;
use std::fmt::Write;

/// A figure and its drawing.
pub(crate) struct Picture {
    pub(crate) figure: Figure,
    pub(crate) svg: String,
}

/// Renders the page; without a title of its own it has that of the records' suite.
pub(crate) fn page(
    records: &Records,
    title: Option<&str>,
    grids: &[Grid],
    pictures: &[Picture],
    origin: &Origin,
) -> String {
    let own_title = title.is_some();
    let title = title.map_or_else(|| suite_title(records), str::to_owned);
    let mut body = head(records, &title);
    // The first table opens the page, the rest follows the charts that it explains; on a page with a title of its own the
    // tables are what it is about.
    let opening = if own_title { grids.len() } else { grids.len().min(1) };
    let (first, rest) = grids.split_at(opening);
    first.iter().for_each(|grid| body.push_str(&table(grid)));
    pictures.iter().for_each(|picture| body.push_str(&chart(picture)));
    rest.iter().for_each(|grid| body.push_str(&table(grid)));
    body.push_str(&notes(records));
    body.push_str(&facts("Settings", &settings::settings(records)));
    body.push_str(&environment(records));
    body.push_str(&columns(grids));
    let (command, set) = (escape(&origin.command), escape(&origin.records));
    let _ = write!(
        body,
        "<section>\n<h2>How to make this page again</h2>\n<p>Every measured number above comes from the records \
         {set}; nothing was typed in.</p>\n<pre><code>{command}</code></pre>\n</section>\n"
    );
    let title = escape(&title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <!-- Generated; do not edit. -->\n<style>\n{}{}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         <script>\n{}</script>\n</body>\n</html>\n",
        include_str!("style.css"),
        dark(),
        include_str!("sort.js")
    )
}

fn suite_title(records: &Records) -> String {
    match outcomes(records).first() {
        Some(first) => format!("Training spiking neural networks: suite {}", first.suite),
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

fn head(records: &Records, title: &str) -> String {
    let outcomes = outcomes(records);
    let count = |status: Status| outcomes.iter().filter(|outcome| outcome.status == status).count();
    let ends: Vec<String> = Status::ALL
        .into_iter()
        .filter(|status| count(*status) > 0)
        .map(|status| format!("{} {status}", count(status)))
        .collect();
    let (trials, points) = (records.trials.len(), records.scaling.len() + records.inference.len());
    let counts = [(trials, "trials"), (points, "points")];
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, noun)| format!("{count} {noun}"));
    let counts = counts.collect::<Vec<_>>().join(" and ");
    let mut parts = vec![format!("{counts}: {}", ends.join(", "))];
    if let Some(first) = outcomes.iter().map(|outcome| outcome.started_utc).filter(|at| !at.is_empty()).min()
    {
        parts.push(format!("begun {first}"));
    }
    if let Some(campaign) = outcomes.first().map(|outcome| outcome.campaign) {
        parts.push(format!("campaign {campaign}"));
    }
    let (title, lead) = (escape(title), escape(&parts.join(" · ")));
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
    let outcomes = outcomes(records);
    let mut items: Vec<String> = Vec::new();
    // Points of one line share a key, and mostly a reason.
    let mut told: Vec<(String, usize)> = Vec::new();
    for outcome in &outcomes {
        if outcome.status != Status::Ok || !outcome.note.trim().is_empty() {
            let line = format!("<code>{}</code> {}", escape(&outcome.key), escape(&outcome.verdict()));
            match told.iter_mut().find(|(other, _)| *other == line) {
                Some((_, times)) => *times += 1,
                None => told.push((line, 1)),
            }
        }
    }
    items.extend(told.into_iter().map(|(line, times)| match times {
        1 => line,
        _ => format!("{line} ({times} points)"),
    }));
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
    if outcomes.iter().any(|outcome| outcome.dirty) {
        let warning = "The program was built from a source tree with uncommitted changes: its revision does not say all.";
        items.push(warning.to_owned());
    }
    let list: String = items.iter().map(|item| format!("<li>{item}</li>\n")).collect();
    if list.is_empty() {
        return String::new();
    }
    format!("<section>\n<h2>What to know</h2>\n<ul>\n{list}</ul>\n</section>\n")
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
