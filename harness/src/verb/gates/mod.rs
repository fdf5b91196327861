//! `gates FILE DIR`: a sample's memory and time of the points that a file names, and whether they keep its bounds.

mod peers;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use results::{ScalingRow, Status};
use serde::Deserialize;

use peers::Peers;

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
    /// The fewest samples a second, as a part of those of the best peer that was measured beside it; shown only where absent.
    #[serde(default)]
    rate_of_peer: Option<f64>,
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

const HEAD: [&str; 10] = [
    "point",
    "device",
    "type",
    "batch",
    "MB a sample",
    "bound",
    "samples a second",
    "min an epoch",
    "of the best peer",
    "verdict",
];

/// Prints a line a gate and row; exit code 1 where a bound is broken.
pub(crate) fn gates(file: &Path, dir: &Path, output: &mut dyn Write) -> Result<ExitCode> {
    let text = shelf::read(file)?;
    let sheet: Sheet = text.parse()?;
    let records = results::read(dir).map_err(Error::Report)?;
    let peers = Peers::of(dir)?;
    let mut lines = vec![HEAD.iter().map(|&word| word.to_owned()).collect::<Vec<_>>()];
    let mut broken = false;
    for gate in &sheet.gate {
        let rows = records.scaling.iter().filter(|row| gate.is_of(row));
        let mut found = false;
        for row in rows {
            found = true;
            let judged = [memory(gate, row), rate(gate, row, &peers)];
            broken |= judged.contains(&Outcome::Broken);
            lines.push(line(gate, row, &peers, &judged));
        }
        if !found {
            let mut line = vec![format!("{}/{}", gate.sweep, gate.method)];
            line.extend(HEAD[1..HEAD.len() - 1].iter().map(|_| String::new()));
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

fn memory(gate: &Gate, row: &ScalingRow) -> Outcome {
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

fn rate(gate: &Gate, row: &ScalingRow, peers: &Peers) -> Outcome {
    let Some(bound) = gate.rate_of_peer else { return Outcome::NotJudged("shown only".to_owned()) };
    match peers.best(row) {
        Ok(best) if best.times >= bound => Outcome::Holds,
        Ok(_) => Outcome::Broken,
        Err(reason) => Outcome::NotJudged(reason),
    }
}

fn line(gate: &Gate, row: &ScalingRow, peers: &Peers, judged: &[Outcome; 2]) -> Vec<String> {
    let number = |value: Option<f64>| value.map(|value| format!("{value:.1}")).unwrap_or_default();
    let samples = row.step_seconds_median.map(|seconds| f64::from(row.batch) / seconds);
    let best = peers.best(row).ok();
    let verdict = if row.status == Status::Ok {
        let words = ["memory", "rate"].iter().zip(judged).map(|(what, outcome)| match outcome {
            Outcome::Holds => format!("{what} holds"),
            Outcome::Broken => format!("{what} BROKEN"),
            Outcome::NotJudged(reason) => format!("{what} not judged: {reason}"),
        });
        words.collect::<Vec<_>>().join("; ")
    } else {
        format!("{}: {}", row.status, row.note)
    };
    vec![
        row.point.clone(),
        row.device.clone(),
        row.dtype.clone(),
        row.batch.to_string(),
        number(megabytes(row)),
        number(gate.megabytes_a_sample),
        number(samples),
        number(samples.map(|rate| gate.epoch_samples as f64 / rate / 60.0)),
        best.map(|best| format!("{:.2}x {}", best.times, best.configuration)).unwrap_or_default(),
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
            rate_of_peer: Some(1.0),
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
        assert_eq!(memory(&gate(Some(10.0)), &row("bf16")), Outcome::Holds);
        assert_eq!(memory(&gate(Some(9.9)), &row("bf16")), Outcome::Broken);
        assert!(matches!(memory(&gate(Some(9.9)), &row("f32")), Outcome::NotJudged(_)));
        assert!(matches!(memory(&gate(None), &row("bf16")), Outcome::NotJudged(_)));
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
        let peers = Peers::default();
        let cells =
            |row: &ScalingRow| line(&gate, row, &peers, &[memory(&gate, row), rate(&gate, row, &peers)]);
        assert_eq!(cells(&missing).len(), HEAD.len());
        assert_eq!(cells(&missing)[4..], ["", "1.0", "", "", "", "failed: no driver library"]);
        let verdict = "memory BROKEN; rate not judged: no peer was measured beside it";
        assert_eq!(cells(&row("bf16"))[4..], ["10.0", "1.0", "100.0", "1.0", "", verdict]);
    }

    #[test]
    fn a_step_slower_than_the_best_peers_breaks_its_bound() {
        let peers = |seconds: f64| {
            let folder = tempfile::tempdir().unwrap();
            let head = "network,device,batch,dtype,image,configuration,step_seconds_median,step_seconds_min,\
                        used_bytes,reserved_bytes,note\n";
            let peer = format!(",,2,bf16,,nchw,{seconds},{seconds},,,\n");
            std::fs::write(folder.path().join("peers.csv"), format!("{head}{peer}")).unwrap();
            Peers::of(folder.path()).unwrap()
        };
        let (gate, row) = (gate(None), row("bf16"));
        assert_eq!(rate(&gate, &row, &peers(0.02)), Outcome::Holds);
        assert_eq!(rate(&gate, &row, &peers(0.019)), Outcome::Broken);
        let judged = [memory(&gate, &row), rate(&gate, &row, &peers(0.03))];
        let cells = line(&gate, &row, &peers(0.03), &judged);
        assert_eq!(cells[8..], ["1.50x nchw", "memory not judged: shown only; rate holds"]);
    }
}
