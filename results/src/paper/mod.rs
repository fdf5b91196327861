//! A paper's tables: every published number beside what a campaign's records have of the same, with a verdict.

mod energy;
mod gradient;
mod line;
mod points;
mod ratio;
mod value;
mod verdict;

use crate::error::Error;
use crate::published::{Paper, PaperRow, PaperTable, PaperValue, Quantity, Ratio, Sheet, Side};
use crate::read::Records;
use crate::table::{Grid, Group, complexity_of};
use line::{Finding, Line, columns};
use ratio::Of;
use value::{Commands, Counterpart, There};
use verdict::Published;

/// The tables of a paper, in the order of its file.
///
/// `folder` is where the records lie, as commands that fill empty cells name it.
///
/// # Errors
/// Where the paper's file breaks a rule.
pub fn grids(paper: &Paper, records: &Records, folder: &str) -> Result<Vec<Grid>, Error> {
    let sheet = paper.sheet()?;
    let asked = Asked { sheet: &sheet, records, folder };
    let tables = sheet.table.iter().map(|table| asked.grid(paper.id, table));
    Ok(tables.chain([complexity_of(paper, records)?]).collect())
}

/// Columns that say where numbers are from: files and the page have them, a terminal and a printed page have no room for them.
pub const BACKGROUND: &[&str] = &["source", "setup", "how"];

/// What a page of a paper's tables is called.
pub(crate) fn title(paper: &Paper) -> Result<String, Error> {
    Ok(format!("{}: published beside measured", paper.sheet()?.paper))
}

fn id(paper: &str, table: &PaperTable) -> String {
    format!("paper-{paper}-{}", table.id)
}

/// What the cells are made from.
struct Asked<'a> {
    sheet: &'a Sheet,
    records: &'a Records,
    folder: &'a str,
}

impl Asked<'_> {
    fn grid(&self, paper: &str, table: &PaperTable) -> Grid {
        let rows = table.row.iter().flat_map(|row| self.row(row)).map(|line| line.cells()).collect();
        let ratios = self.ratios(&table.id).iter().map(Line::cells).collect();
        let groups = [(self.sheet.paper.clone(), rows), (format!("{}: ratios", self.sheet.paper), ratios)];
        Grid {
            id: id(paper, table),
            title: table.title.clone(),
            caption: table.about.trim().to_owned(),
            columns: columns(),
            groups: groups
                .into_iter()
                .filter(|(_, rows): &(String, Vec<_>)| !rows.is_empty())
                .map(|(title, rows)| Group { title, rows })
                .collect(),
        }
    }

    fn row(&self, row: &PaperRow) -> Vec<Line> {
        let reported = row.value.iter().map(|value| self.line(row, value.quantity, Some(value)));
        let unread = row.unread.iter().map(|quantity| self.line(row, *quantity, None));
        reported.chain(unread).collect()
    }

    fn line(&self, row: &PaperRow, quantity: Quantity, value: Option<&PaperValue>) -> Line {
        let there = There {
            precision: value.and_then(|value| value.precision).or(row.precision),
            hardware: value.and_then(|value| value.hardware.as_deref()).or(row.hardware.as_deref()),
        };
        let finding = match (&row.model, &row.method) {
            (Some(model), Some(method)) => {
                let own = Counterpart { row, method, model };
                value::find(self.records, quantity, value, &own, there, &self.commands(row, model, method))
            }
            (Some(_), None) => Finding::missing("no method here trains it in that way", None),
            (None, _) => Finding::missing("no network here is known to be the same", None),
        };
        Line {
            row: row.name.clone(),
            quantity: quantity.title().to_owned(),
            decimals: quantity.decimals(),
            steps_t: row.steps_t,
            source: value.map(|value| format!("{}: {}", value.tag.word(), value.source)).unwrap_or_default(),
            setup: setup(row, there),
            published: value.map(|value| Published {
                figure: value.value.clone(),
                bound: value.bound,
                tag: value.tag,
                may_be_cut: quantity == Quantity::ParametersMillions,
            }),
            finding,
        }
    }

    fn ratios(&self, table: &str) -> Vec<Line> {
        let own = |ratio: &&Ratio| ratio.table == table;
        let step =
            |side: &Side, ratio: &Ratio| self.step(&self.sheet.suite, ratio.model_of(side), &side.method);
        let of = |kind: Of, ratios: &[Ratio]| -> Vec<Line> {
            let found = ratios.iter().filter(own).map(|ratio| {
                let finding = ratio::find(self.records, ratio, kind, |side| step(side, ratio));
                line_of(ratio, kind.title(), finding)
            });
            found.collect()
        };
        let mut lines = of(Of::Memory, &self.sheet.memory);
        lines.extend(of(Of::Time, &self.sheet.time));
        lines.extend(self.sheet.energy.iter().filter(own).map(|ratio| {
            let image = |side: &Side| self.image(ratio.model_of(side));
            line_of(ratio, "energy, ratio", energy::find_ratio(self.records, ratio, image))
        }));
        lines
    }

    fn commands(&self, row: &PaperRow, model: &str, method: &str) -> Commands {
        let suite = row.suite.as_ref().unwrap_or(&self.sheet.suite);
        Commands {
            step: self.step(suite, model, method),
            // A suite of other networks measures training steps alone.
            inference: row.suite.is_none().then(|| self.image(model)),
            training: row.training.as_ref().map(|suite| {
                format!("harness --suite {suite} --model {model} --method {method} --out {}", self.folder)
            }),
        }
    }

    /// Measures a training step.
    fn step(&self, suite: &str, model: &str, method: &str) -> String {
        format!("harness --suite {suite} --model {model} --method {method} --out {}", self.folder)
    }

    /// Measures what one image costs: inference has no method.
    fn image(&self, model: &str) -> String {
        format!("harness --suite {} --model {model} --out {}", self.sheet.suite, self.folder)
    }
}

fn line_of(ratio: &Ratio, quantity: &str, finding: Finding) -> Line {
    let name = |side: &Side| {
        let steps = side.steps_t.map(|steps| format!(", T = {steps}")).unwrap_or_default();
        format!("{} on {}{steps}", side.method, ratio.model_of(side))
    };
    Line {
        row: format!("{} / {}", name(&ratio.of), name(&ratio.to)),
        quantity: quantity.to_owned(),
        decimals: ratio.ratio.decimals,
        steps_t: Some(ratio.steps_t),
        source: format!("{}: {}", ratio.tag.word(), ratio.source),
        setup: ratio.differs.clone(),
        published: Some(Published {
            figure: ratio.ratio.clone(),
            bound: ratio.bound,
            tag: ratio.tag,
            may_be_cut: false,
        }),
        finding,
    }
}

/// What is known of a published run.
fn setup(row: &PaperRow, there: There<'_>) -> String {
    let parts = [
        Some(format!("{}, {}", row.dataset, points::shown(&row.image))),
        row.batch.map(|batch| format!("batch {batch}")),
        row.epochs.map(|epochs| format!("{epochs} epochs")),
        there.precision.map(|precision| precision.word().to_owned()),
        there.hardware.map(str::to_owned),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
