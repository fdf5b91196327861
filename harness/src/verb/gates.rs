//! `gates FILE DIR`: a sample's memory and time of the points that a file names, and whether they keep its bounds.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use results::{ScalingRow, Status};
use serde::Deserialize;

use super::step::table;
use crate::error::{Error, Result};
use crate::shelf;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sheet {
    gate: Vec<Gate>,
}

/// A point that is looked at.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Gate {
    /// Suite id: a sweep of another suite has other sizes.
    suite: String,
    /// Sweep id.
    sweep: String,
    /// Method id.
    method: String,
    /// Samples of an epoch of the network's data.
    epoch_samples: u64,
    /// The most that a step may hold for a sample; shown only where absent.
    #[serde(default)]
    megabytes_a_sample: Option<f64>,
    /// Number types that the bound is for.
    #[serde(default)]
    dtypes: Vec<String>,
}

impl Gate {
    fn is_of(&self, row: &ScalingRow) -> bool {
        row.suite == self.suite && row.sweep == self.sweep && row.method == self.method
    }
}

/// How a gate came out.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Holds,
    Broken,
    /// With the reason.
    NotJudged(String),
}

/// Prints a line a gate and row; exit code 1 where a bound is broken.
pub(crate) fn gates(file: &Path, dir: &Path, output: &mut dyn Write) -> Result<ExitCode> {
    let text = shelf::read(file)?;
    let sheet: Sheet = text.parse()?;
    let records = results::read(dir).map_err(Error::Report)?;
    let head =
        ["point", "device", "type", "batch", "MB a sample", "bound", "samples a second", "min an epoch"];
    let mut lines = vec![head.iter().chain(&["verdict"]).map(|&word| word.to_owned()).collect::<Vec<_>>()];
    let mut broken = false;
    for gate in &sheet.gate {
        let rows = records.scaling.iter().filter(|row| gate.is_of(row));
        let mut found = false;
        for row in rows {
            found = true;
            let outcome = outcome(gate, row);
            broken |= outcome == Outcome::Broken;
            lines.push(line(gate, row, &outcome));
        }
        if !found {
            let mut line = vec![format!("{}/{}", gate.sweep, gate.method)];
            line.extend(head[1..].iter().map(|_| String::new()));
            line.push("no row".to_owned());
            lines.push(line);
        }
    }
    table(&lines, output)?;
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Bytes of a step for a sample: what the device's allocator counted in it, and what lives between steps.
fn megabytes(row: &ScalingRow) -> Option<f64> {
    let between = [
        row.parameters_most_bytes,
        row.gradients_most_bytes,
        row.optimiser_most_bytes,
        row.average_most_bytes,
        row.input_most_bytes,
    ];
    let between: Option<u64> = between.into_iter().sum();
    Some((row.heap_peak_bytes? + between?) as f64 / f64::from(row.batch.max(1)) / 1e6)
}

fn outcome(gate: &Gate, row: &ScalingRow) -> Outcome {
    let Some(bound) = gate.megabytes_a_sample else { return Outcome::NotJudged("shown only".to_owned()) };
    if row.status != Status::Ok {
        return Outcome::NotJudged(format!("{}: {}", row.status, row.note));
    }
    if !gate.dtypes.contains(&row.dtype) {
        return Outcome::NotJudged(format!("the bound is for {}", gate.dtypes.join(" and ")));
    }
    match megabytes(row) {
        Some(found) if found <= bound => Outcome::Holds,
        Some(_) => Outcome::Broken,
        None => Outcome::NotJudged("no allocator counted".to_owned()),
    }
}

fn line(gate: &Gate, row: &ScalingRow, outcome: &Outcome) -> Vec<String> {
    let number = |value: Option<f64>| value.map(|value| format!("{value:.1}")).unwrap_or_default();
    let rate = row.step_seconds_median.map(|seconds| f64::from(row.batch) / seconds);
    let verdict = match outcome {
        Outcome::Holds => "holds".to_owned(),
        Outcome::Broken => "BROKEN".to_owned(),
        Outcome::NotJudged(reason) if row.status == Status::Ok => format!("not judged: {reason}"),
        Outcome::NotJudged(_) => format!("{}: {}", row.status, row.note),
    };
    vec![
        row.point.clone(),
        row.device.clone(),
        row.dtype.clone(),
        row.batch.to_string(),
        number(megabytes(row)),
        number(gate.megabytes_a_sample),
        number(rate),
        number(rate.map(|rate| gate.epoch_samples as f64 / rate / 60.0)),
        verdict,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(bound: Option<f64>) -> Gate {
        Gate {
            suite: "gpu".to_owned(),
            sweep: "net".to_owned(),
            method: "divided".to_owned(),
            epoch_samples: 6000,
            megabytes_a_sample: bound,
            dtypes: vec!["bf16".to_owned()],
        }
    }

    fn row(dtype: &str) -> ScalingRow {
        let bytes = Some(1_000_000);
        ScalingRow {
            status: Status::Ok,
            batch: 2,
            dtype: dtype.to_owned(),
            heap_peak_bytes: Some(15_000_000),
            parameters_most_bytes: bytes,
            gradients_most_bytes: bytes,
            optimiser_most_bytes: bytes,
            average_most_bytes: bytes,
            input_most_bytes: bytes,
            step_seconds_median: Some(0.02),
            ..ScalingRow::default()
        }
    }

    #[test]
    fn a_gate_is_of_one_suite_sweep_and_method() {
        let of = |suite: &str, sweep: &str, method: &str| ScalingRow {
            suite: suite.to_owned(),
            sweep: sweep.to_owned(),
            method: method.to_owned(),
            ..ScalingRow::default()
        };
        assert!(gate(None).is_of(&of("gpu", "net", "divided")));
        for other in
            [of("gpu-dry-run", "net", "divided"), of("gpu", "nets", "divided"), of("gpu", "net", "other")]
        {
            assert!(!gate(None).is_of(&other));
        }
    }

    #[test]
    fn a_bound_judges_its_own_number_types_alone() {
        assert_eq!(outcome(&gate(Some(10.0)), &row("bf16")), Outcome::Holds);
        assert_eq!(outcome(&gate(Some(9.9)), &row("bf16")), Outcome::Broken);
        assert!(matches!(outcome(&gate(Some(9.9)), &row("f32")), Outcome::NotJudged(_)));
        assert!(matches!(outcome(&gate(None), &row("bf16")), Outcome::NotJudged(_)));
    }

    #[test]
    fn what_was_not_measured_has_no_numbers_and_the_reason() {
        let missing = ScalingRow {
            batch: 512,
            status: Status::Failed,
            note: "no driver library".to_owned(),
            ..ScalingRow::default()
        };
        let gate = gate(Some(1.0));
        let cells = line(&gate, &missing, &outcome(&gate, &missing));
        assert_eq!(cells[4..], ["", "1.0", "", "", "failed: no driver library"]);
        let cells = line(&gate, &row("f32"), &outcome(&gate, &row("f32")));
        assert_eq!(cells[4..8], ["10.0", "1.0", "100.0", "1.0"]);
    }
}
