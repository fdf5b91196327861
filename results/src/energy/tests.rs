//! Examples that a reader can compute, and the mistakes found in published tables.

use super::{MODELS, activation_bits, find, qann_ratio};
use crate::record::OpsRow;

/// Rows of the two layers that the engine's tests count: a 3x3 convolution of a 3x3 image, shown at both of T = 2 steps and
/// computed once, and one from 2 to 4 channels of its spikes, of which step 1 has 2 (a corner, the centre) and step 2
/// has 3 (an edge, two corners).
fn two_layers() -> Vec<OpsRow> {
    let row = |layer: &str, step, [dense, macs, acs]: [f64; 3]| OpsRow {
        during: OpsRow::EVALUATION.to_owned(),
        layer: layer.to_owned(),
        kind: "convolution".to_owned(),
        reads: if layer == "conv1" { "images" } else { "spikes" }.to_owned(),
        step,
        weights: if layer == "conv1" { 18 } else { 72 },
        dense_macs_per_sample: dense,
        macs_per_sample: Some(macs),
        acs_per_sample: Some(acs),
        chained_acs_per_sample: Some(0.0),
        multiplies_per_sample: Some(0.0),
        adds_per_sample: Some(0.0),
        compares_per_sample: Some(0.0),
        inputs_per_sample: Some(if layer == "conv1" { 9.0 } else { 18.0 }),
        input_spikes_per_sample: Some([0.0, 2.0, 3.0][step as usize]),
        outputs_per_sample: Some(if layer == "conv1" { 18.0 } else { 36.0 }),
        spikes_per_sample: Some(0.0),
        ..OpsRow::default()
    };
    let neurons = OpsRow {
        kind: "neuron".to_owned(),
        weights: 0,
        neurons: 18,
        inputs_per_sample: Some(18.0),
        input_spikes_per_sample: Some(0.0),
        outputs_per_sample: Some(18.0),
        ..row("conv1", 1, [0.0; 3])
    };
    vec![
        row("conv1", 0, [162.0, 162.0, 0.0]),
        OpsRow { layer: "neurons".to_owned(), spikes_per_sample: Some(2.0), ..neurons.clone() },
        OpsRow { layer: "neurons".to_owned(), spikes_per_sample: Some(3.0), step: 2, ..neurons },
        row("conv2", 1, [648.0, 0.0, 52.0]),
        row("conv2", 2, [648.0, 0.0, 56.0]),
    ]
}

fn energy(id: &str, rows: &[OpsRow]) -> f64 {
    find(id).unwrap().energy(&rows.iter().collect::<Vec<_>>()).unwrap()
}

fn is_close(found: f64, wanted: f64) {
    assert!((found - wanted).abs() <= 1e-12 * wanted.abs(), "{found} is not {wanted}");
}

#[test]
fn two_layers_cost_what_a_hand_computes() {
    let rows = two_layers();
    // 4.6 * 162 + 0.9 * (52 + 56) = 745.2 + 97.2.
    is_close(energy("sop45-fp32", &rows), 842.4);
    is_close(energy("sop45-fp32-papers", &rows), 842.4);
    is_close(energy("sop45-fp16", &rows), 1.5 * 162.0 + 0.4 * 108.0);
    is_close(energy("sop45-int8", &rows), 0.23 * 162.0 + 0.03 * 108.0);
    is_close(energy("synop-77fj", &rows), 0.077 * 108.0);
}

#[test]
fn memory_costs_what_a_hand_computes() {
    let rows = two_layers();
    // Every memory is below 8 KiB: 5 pJ a word.
    let first = 162.0 * 3.2 + 5.0 * (162.0 + 162.0 + 18.0) + 0.1 * (9.0 + 18.0);
    let second = |acs: f64, s: f64| 0.1 * acs + 5.0 * (s + acs + 2.0 * acs) + 2.0 * s * 3.2 + 0.1 * acs;
    let neurons = |spikes: f64| 5.0 * (2.0 * 18.0 + spikes);
    let whole = first + second(52.0, 2.0) + second(56.0, 3.0) + neurons(2.0) + neurons(3.0);
    is_close(energy("mem-lemaire", &rows), whole);
    // Addresses of 18 inputs have 5 bits.
    let first = 162.0 * (0.05448 + 0.2) + 8.0 * (20.0 * 18.0 + 0.25 * 162.0);
    let second = |acs: f64, s: f64| 0.05448 * acs + 8.0 * (20.0 * 72.0 + 0.25 * acs) + 3.0 * 5.0 * s;
    is_close(energy("mem-yan22", &rows), first + second(52.0, 2.0) + second(56.0, 3.0));
}

#[test]
fn the_quantised_network_has_as_many_bits_as_the_steps_tell() {
    assert_eq!([1, 2, 3, 4, 6, 7, 8, 10].map(activation_bits), [1, 2, 2, 3, 3, 3, 4, 4]);
    let rows = two_layers();
    // One pass: conv1 at 8 bits, conv2 at 2.
    let quantised = 0.23 * 162.0 + (0.2 * 2.0 / 8.0 + 0.03) * 648.0;
    let found = qann_ratio(&rows.iter().collect::<Vec<_>>(), 2).unwrap();
    is_close(found, (0.23 * 162.0 + 0.03 * 108.0) / quantised);
    let without: Vec<&OpsRow> = rows.iter().filter(|row| row.kind != "neuron").collect();
    assert_eq!(qann_ratio(&without, 2), Err("nothing spikes here".to_owned()));
}

/// ResNet-18 at 224x224: 1,814,073,344 products of weights and 2,483,712 values that norms scale and shift, as the zoo's
/// tests count them. Counter packages print 1.82 G, with the two operations of a norm among them: 8.372 mJ.
#[test]
fn an_ann_resnet18_costs_8_37_millijoules() {
    let row = |kind: &str, reads: &str, macs: f64| OpsRow {
        kind: kind.to_owned(),
        reads: reads.to_owned(),
        macs_per_sample: Some(macs),
        ..two_layers().remove(0)
    };
    let products = row("convolution", "rectified", 1_814_073_344.0);
    is_close(energy("sop45-fp32", std::slice::from_ref(&products)), 4.6 * 1_814_073_344.0);
    let norms = row("norm", "weighted", 2.0 * 2_483_712.0);
    let millijoules = energy("sop45-fp32", &[products, norms]) / 1e9;
    assert!((millijoules / 8.372 - 1.0).abs() < 1e-3, "{millijoules} mJ");
    assert!((millijoules / 8.37 - 1.0).abs() < 1e-3, "{millijoules} mJ");
}

/// doi 10.3389/fnins.2023.1091097, table 3: operations that hold the rate already are multiplied by it once more.
#[test]
fn a_rate_is_applied_once() {
    let rows = two_layers();
    let acs: f64 = rows.iter().filter_map(|row| row.acs_per_sample).sum();
    let spiking: Vec<OpsRow> = rows.into_iter().filter(|row| row.layer == "conv2").collect();
    let rate = 5.0 / 36.0;
    is_close(energy("sop45-fp32", &spiking), 0.9 * acs);
    assert!(energy("sop45-fp32", &spiking) > 2.0 * 0.9 * acs * rate);
}

/// A counter that looks at `spikes[0]` of `[T, B, ...]` sees the first step alone.
#[test]
fn every_step_counts() {
    let mut rows = two_layers();
    let whole = energy("sop45-fp32", &rows);
    rows.retain(|row| row.step != 2);
    is_close(whole - energy("sop45-fp32", &rows), 0.9 * 56.0);
}

/// Rate times dense products takes a spike in a corner for one in the middle.
#[test]
fn borders_count_as_they_are() {
    let rows = two_layers();
    let by_rates = 648.0 * (2.0 / 18.0) + 648.0 * (3.0 / 18.0);
    let acs: f64 = rows.iter().filter_map(|row| row.acs_per_sample).sum();
    assert_eq!((acs, by_rates), (108.0, 180.0));
}

#[test]
fn a_missing_count_is_a_reason_and_no_zero() {
    let mut rows = two_layers();
    rows[4].acs_per_sample = None;
    for model in MODELS {
        let found = model.energy(&rows.iter().collect::<Vec<_>>());
        assert!(found.is_err_and(|reason| reason.contains("conv2 lacks a count at step 2")), "{}", model.id);
        assert_eq!(model.energy(&[]), Err("no operations were counted".to_owned()), "{}", model.id);
    }
}

#[test]
fn weights_behind_weights_multiply_unless_the_papers_convention_is_named() {
    let mut rows = two_layers();
    let last = &mut rows[4];
    last.reads = "weighted".to_owned();
    last.macs_per_sample = Some(54.0);
    last.acs_per_sample = Some(0.0);
    last.chained_acs_per_sample = Some(9.0);
    let before = 4.6 * 162.0 + 0.9 * 52.0;
    is_close(energy("sop45-fp32", &rows), before + 4.6 * 54.0);
    is_close(energy("sop45-fp32-papers", &rows), before + 0.9 * 9.0);
}

#[test]
fn norms_behind_weights_are_part_of_them_and_others_are_not() {
    let norm = |reads: &str| OpsRow {
        kind: "norm".to_owned(),
        reads: reads.to_owned(),
        macs_per_sample: Some(0.0),
        multiplies_per_sample: Some(10.0),
        adds_per_sample: Some(10.0),
        ..two_layers().remove(0)
    };
    is_close(energy("sop45-fp32-all", &[norm("summed")]), 46.0);
    assert_eq!(energy("sop45-fp32-all", &[norm("weighted")]), 0.0);
    assert_eq!(energy("mem-lemaire", &[norm("weighted")]), 0.0);
}

#[test]
fn every_model_says_where_it_is_from() {
    let mut ids: Vec<&str> = MODELS.iter().map(|model| model.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), MODELS.len());
    assert!(MODELS.iter().all(|model| model.version > 0 && model.footnote().contains("20")));
}
