//! The classes that papers claim for memory and inference, beside straight lines through what was measured.
//!
//! ```text
//! y(x) = a + b x      least squares; against T from 2 on, where there is time to carry anything through
//! flat                the line rises or falls by less than FLAT of its first point over all points
//! linear              it rises by more, and no point is farther from it than STRAIGHT of the largest
//! ```

use super::{Cell, Column, Grid, Group, Table};
use crate::error::Error;
use crate::fit::Fit;
use crate::published::{Complexity, Growth, PAPERS, Paper};
use crate::quantity::{kib, signed, three_digits};
use crate::read::Records;
use crate::sweep::{Along, inferences, sweeps};

pub(super) const TABLE: Table = Table { id: "complexity", grid: all };

/// What a flat line may still rise or fall by, over all its points, as a share of the first.
const FLAT: f64 = 0.05;
/// How far a point may be from a line that is straight, as a share of the largest point.
const STRAIGHT: f64 = 0.05;

fn all(records: &Records) -> Grid {
    // A test reads every file, so that none is left out here.
    let claims = PAPERS.iter().filter_map(|paper| Some((paper.name().ok()?, paper.claims().ok()?)));
    table(TABLE.id, &claims.collect::<Vec<_>>(), records)
}

/// The claims of one paper.
pub(crate) fn of_paper(paper: &Paper, records: &Records) -> Result<Grid, Error> {
    let id = format!("paper-{}-complexity", paper.id);
    Ok(table(&id, &[(paper.name()?, paper.claims()?)], records))
}

fn table(id: &str, claims: &[(String, Vec<Complexity>)], records: &Records) -> Grid {
    let groups = claims.iter().map(|(paper, claims)| {
        let rows = claims.iter().flat_map(|claim| match &claim.method {
            Some(method) => memory(claim, method, records),
            None => inference(claim, records),
        });
        Group { title: paper.clone(), rows: rows.collect() }
    });
    Grid {
        id: id.to_owned(),
        title: "Claimed classes of memory and inference, fitted".to_owned(),
        caption: format!(
            "L is layers, T time steps. Least-squares lines through the bytes of the memory laws, and through the \
             multiply-accumulates of one image with every input dense. Flat: the line moves by less than {} % of its first \
             point; linear: no point is farther from it than {} % of the largest. The recipe levels-exact keeps the remainders of \
             every step, without which reversal in time is not exact; papers keep none.",
            100.0 * FLAT,
            100.0 * STRAIGHT
        ),
        columns: columns(),
        groups: groups.filter(|group| !group.rows.is_empty()).collect(),
    }
}

fn columns() -> Vec<Column> {
    vec![
        Column::words("claim", "claim", "The method whose training memory it is of, or inference."),
        Column::words("class", "class", "As the paper writes it."),
        Column::prose("source", "source", "Where the claim stands."),
        Column::prose("network", "measured on", "The network, its input, batch and recipe."),
        Column::prose("along", "along", "What changes from point to point, and what does not."),
        Column::numbers("points", "points", "Measured points of the line."),
        Column::words("slope", "each", "What one more step or block adds to the fitted line."),
        Column::numbers(
            "rise_share",
            "rise, %",
            "By how much the fitted line moves over all points, as a share of the first.",
        ),
        Column::numbers(
            "residual_share",
            "off by, %",
            "Largest distance of a point from the line, of the largest point.",
        ),
        Column::words("found", "found", "flat, linear or neither."),
        Column::words("verdict", "verdict", "match: as claimed; off: not; or why nothing was measured."),
    ]
}

fn memory(claim: &Complexity, method: &str, records: &Records) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for sweep in sweeps(records, Along::Steps) {
        let axes = [(Along::Steps, Some(claim.along_t)), (Along::Blocks, claim.along_blocks)];
        for (along, growth) in axes.into_iter().filter_map(|(along, growth)| Some((along, growth?))) {
            for line in sweep.lines(along).iter().filter(|line| line.method() == method) {
                let points = line.in_law(|row| row.law_bytes.map(|bytes| bytes as f64));
                // A method that refuses the network has a reason in other tables, and no class here.
                let Some(fitted) = Fitted::of(&points) else { continue };
                let fixed = line.fixed().map(|fixed| format!(", {fixed}")).unwrap_or_default();
                let place = match along {
                    Along::Steps => format!("T{fixed}"),
                    _ => format!("blocks{fixed}"),
                };
                rows.push(row(
                    claim,
                    sweep.title(),
                    place,
                    &fitted,
                    format!("{} KiB", kib(fitted.slope)),
                    growth,
                ));
            }
        }
    }
    rows
}

fn inference(claim: &Complexity, records: &Records) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for line in inferences(records) {
        let Some(first) = line.first().filter(|row| claim.models.contains(&row.model)) else { continue };
        let carrying = line.iter().filter(|row| row.steps_t >= 2);
        let points = carrying.filter_map(|row| Some((f64::from(row.steps_t), row.dense_macs_per_sample?)));
        let Some(fitted) = Fitted::of(&points.collect::<Vec<_>>()) else { continue };
        let network =
            format!("{}, {} widths, {}", first.sweep, first.step_width, first.image.replace('x', "×"));
        let sign = if fitted.slope < 0.0 { "−" } else { "" };
        let slope = format!("{sign}{} M MACs", three_digits(fitted.slope.abs() / 1e6));
        rows.push(row(claim, network, "T".to_owned(), &fitted, slope, claim.along_t));
    }
    rows
}

fn row(
    claim: &Complexity,
    network: String,
    along: String,
    fitted: &Fitted,
    slope: String,
    growth: Growth,
) -> Vec<Cell> {
    let share = |share: f64| Cell::Number { text: signed(100.0 * share, 2), value: share };
    let found = match fitted.growth() {
        Some(Growth::Flat) => "flat",
        Some(Growth::Linear) => "linear",
        None => "neither",
    };
    let as_claimed = fitted.growth() == Some(growth);
    let verdict = match (as_claimed, claim.tag.is_gate()) {
        (true, _) => "match",
        (false, true) => "off",
        (false, false) => "off; a note, no gate",
    };
    let kind = if claim.method.is_some() { "memory of " } else { "" };
    vec![
        Cell::Text(format!("{kind}{}", claim.subject())),
        Cell::Text(claim.class.clone()),
        Cell::Text(format!("{}: {}", claim.tag.word(), claim.source)),
        Cell::Text(network),
        Cell::Text(along),
        Cell::Number { text: fitted.points.to_string(), value: fitted.points as f64 },
        Cell::Text(slope),
        share(fitted.rise),
        Cell::number(fitted.off, |off| format!("{:.2}", 100.0 * off), "any line meets two points"),
        Cell::Text(found.to_owned()),
        Cell::Text(verdict.to_owned()),
    ]
}

/// A line through points, and what it says.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fitted {
    points: usize,
    slope: f64,
    /// By how much the line moves over all points, as a share of the first.
    rise: f64,
    /// Largest distance of a point from it, as a share of the largest; nothing for two points, which any line meets.
    off: Option<f64>,
}

impl Fitted {
    /// Of points (place, number) by rising place; nothing for fewer than two, and where the first number is not above 0.
    fn of(points: &[(f64, f64)]) -> Option<Fitted> {
        let fit = Fit::of(points)?;
        let (first, last) = (points.first()?, points.last()?);
        let largest = points.iter().map(|(_, y)| *y).fold(0.0, f64::max);
        // Bytes and operations are whole: what is less than half of one is the rounding of the fit.
        (first.1 > 0.0).then(|| Fitted {
            points: points.len(),
            slope: fit.slope,
            rise: fit.slope * (last.0 - first.0) / first.1,
            off: fit.largest_residual.map(|residual| if residual < 0.5 { 0.0 } else { residual / largest }),
        })
    }

    /// How it grows; nothing where it is neither flat nor straight and rising.
    fn growth(&self) -> Option<Growth> {
        let straight = self.off.is_none_or(|off| off <= STRAIGHT);
        match (self.rise.abs() < FLAT, straight) {
            (true, true) => Some(Growth::Flat),
            (false, true) if self.rise > 0.0 => Some(Growth::Linear),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Fitted;
    use crate::published::Growth;

    fn growth(y: impl Fn(f64) -> f64) -> Option<Growth> {
        let points = [2.0, 4.0, 8.0, 16.0, 32.0].map(|x| (x, y(x)));
        Fitted::of(&points).and_then(|fitted| fitted.growth())
    }

    #[test]
    fn flat_linear_and_neither_are_told_apart() {
        assert_eq!(growth(|_| 100.0), Some(Growth::Flat));
        assert_eq!(growth(|x| 1000.0 + x), Some(Growth::Flat));
        assert_eq!(growth(|x| 1000.0 + 20.0 * x), Some(Growth::Linear));
        assert_eq!(growth(|x| 3.0 * x), Some(Growth::Linear));
        assert_eq!(growth(|x| x * x), None);
        assert_eq!(growth(|x| 100.0 - x), None);
        // A bump is not flat, though no line through it rises.
        assert_eq!(
            Fitted::of(&[(1.0, 1.0), (2.0, 2.0), (3.0, 1.0)]).and_then(|fitted| fitted.growth()),
            None
        );
    }

    #[test]
    fn one_point_says_nothing() {
        assert_eq!(Fitted::of(&[(2.0, 7.0)]), None);
        assert_eq!(Fitted::of(&[(2.0, 0.0), (4.0, 1.0)]), None);
    }
}
