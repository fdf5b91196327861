//! What this program counts beside what the package syops counts, with the same weights and the same batch: layer by layer equal,
//! or different for a reason that has a name.
//!
//! `benches/peers/syops_counts.py` writes the other side; `benches/peers/README.md` has the table of reasons.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use results::OpsRow;
use serde::Deserialize;

/// A layer as the package counts it, over all steps, for one sample.
#[derive(Debug, Deserialize)]
struct Theirs {
    layer: String,
    total_per_sample: f64,
    acs_per_sample: f64,
    macs_per_sample: f64,
}

/// A layer as this program counts it, over all steps, for one sample.
#[derive(Debug, Default)]
struct Ours {
    kind: String,
    reads: String,
    steps: f64,
    dense: f64,
    macs: f64,
    acs: f64,
    multiplies: f64,
    adds: f64,
    compares: f64,
    inputs: f64,
    input_spikes: f64,
    outputs: f64,
}

const SAMPLES: f64 = 2.0;
const STEPS: f64 = 4.0;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn theirs(case: &str) -> BTreeMap<String, Theirs> {
    let path = repository("benches/peers/counts").join(format!("{case}.csv"));
    let rows = csv::Reader::from_path(path).unwrap().into_deserialize();
    rows.map(|row| row.unwrap()).map(|row: Theirs| (row.layer.clone(), row)).collect()
}

fn ours(folder: &str) -> BTreeMap<String, Ours> {
    let program = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["probe", "--operations"])
        .arg(repository(folder))
        .output()
        .unwrap();
    assert!(program.status.success(), "{}", String::from_utf8_lossy(&program.stderr));
    let mut layers: BTreeMap<String, Ours> = BTreeMap::new();
    for row in csv::Reader::from_reader(program.stdout.as_slice()).into_deserialize() {
        let row: OpsRow = row.unwrap();
        assert!(row.is_evaluation());
        let layer = layers.entry(row.layer).or_default();
        (layer.kind, layer.reads) = (row.kind, row.reads);
        layer.steps += 1.0;
        layer.dense += row.dense_macs_per_sample;
        for (sum, count) in [
            (&mut layer.macs, row.macs_per_sample),
            (&mut layer.acs, row.acs_per_sample),
            (&mut layer.multiplies, row.multiplies_per_sample),
            (&mut layer.adds, row.adds_per_sample),
            (&mut layer.compares, row.compares_per_sample),
            (&mut layer.inputs, row.inputs_per_sample),
            (&mut layer.input_spikes, row.input_spikes_per_sample),
            (&mut layer.outputs, row.outputs_per_sample),
        ] {
            *sum += count.unwrap();
        }
    }
    layers
}

/// Equal but for the rounding of the package's rates, which are of single precision.
fn is(found: f64, expected: f64, place: &str) {
    assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{place}: theirs {found}, ours {expected}");
}

/// Compares a layer and returns the name of what differs, empty where nothing does.
fn difference(layer: &str, ours: &Ours, theirs: Option<&Theirs>) -> &'static str {
    let Some(theirs) = theirs else {
        assert_eq!(ours.kind, "sum", "{layer}: only what has no module is not counted by the package");
        return "sums are no modules";
    };
    let &Theirs { total_per_sample: total, acs_per_sample: acs, macs_per_sample: macs, .. } = theirs;
    match (ours.kind.as_str(), ours.reads.as_str()) {
        ("convolution", "spikes") => {
            is(total, ours.dense, layer);
            // One rate for all inputs takes every spike for one in the middle of a map.
            is(acs, ours.dense * ours.input_spikes / ours.inputs, layer);
            assert_eq!((macs, ours.macs), (0.0, 0.0), "{layer}");
            if ours.acs == acs { "" } else { "borders and strides" }
        }
        ("convolution", _) => {
            is(total, ours.dense, layer);
            is(macs, ours.macs, layer);
            assert_eq!((acs, ours.acs), (0.0, 0.0), "{layer}");
            ""
        }
        ("norm", _) => {
            is(macs, ours.multiplies + ours.adds, layer);
            "a norm's two operations"
        }
        ("neuron", _) => {
            is(acs, ours.adds, layer);
            is(ours.compares, ours.adds, layer);
            "thresholds and leaks"
        }
        ("pool", reads) => {
            is(total, ours.inputs, layer);
            let own = ours.multiplies + ours.adds + ours.compares;
            assert!(own > 0.0, "{layer}");
            if reads == "spike-counts" && acs == 0.0 {
                is(macs, ours.inputs, layer)
            }
            "windows of pools"
        }
        ("linear", "spike-means") => {
            // Scores of the mean over time, against the mean of the scores of each step; and a bias a batch, not a sample.
            is(total, (ours.dense + ours.adds / SAMPLES) / STEPS, layer);
            assert_eq!((macs, ours.steps, ours.adds), (total, STEPS, ours.outputs), "{layer}");
            "classifier at every step; bias"
        }
        other => unreachable!("{layer}: no rule for {other:?}"),
    }
}

#[test]
fn counts_equal_those_of_syops_or_differ_for_a_reason_with_a_name() {
    for (case, folder, exact, borders, expected) in [
        ("sew_resnet18", "tests/golden/sew_resnet18", 11, 9, [64755.0, 50361.0]),
        ("spiking_resnet18", "benches/peers/counts/spiking_resnet18", 1, 19, [790_742.0, 738_084.0]),
    ] {
        let (ours, mut theirs) = (ours(folder), theirs(case));
        let mut named: BTreeMap<&str, usize> = BTreeMap::new();
        let mut sums = [0.0, 0.0];
        for (layer, ours) in &ours {
            let theirs = theirs.remove(layer);
            if ours.kind == "convolution" {
                sums[0] += theirs.as_ref().unwrap().acs_per_sample;
                sums[1] += ours.acs;
            }
            *named.entry(difference(layer, ours, theirs.as_ref())).or_default() += 1;
        }
        assert!(theirs.is_empty(), "{case}: only the package counts {theirs:?}");
        assert_eq!((named[""], named["borders and strides"]), (exact, borders), "{case}: {named:?}");
        is(sums[0], expected[0], case);
        assert_eq!(sums[1], expected[1], "{case}");
    }
}
