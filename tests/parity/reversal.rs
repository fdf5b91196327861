//! The reversible methods give the gradient of stored activations.

use candle_core::DType;
use tests::{batch, gradients, per_step, relative_difference, spec, trainer};

#[test]
fn spatial_reversal_on_the_grid_is_bit_equal_at_any_depth() {
    for depth in [1, 3, 6] {
        let mut spec = spec();
        spec.depth = Some(depth);
        let run = |method: &str| {
            let mut trainer = trainer(method, "tiny-rev", &spec, DType::F32, per_step()).unwrap();
            let batch = batch(trainer.session(), &spec, 5).unwrap();
            gradients(&mut *trainer, &batch).unwrap()
        };
        assert_eq!(run("spatial-rev"), run("stbp"), "depth {depth}");
    }
}

#[test]
fn spatial_reversal_without_a_grid_is_exact_to_rounding() {
    let mut spec = spec();
    spec.grid = None;
    let run = |method: &str| {
        let mut trainer = trainer(method, "tiny-rev", &spec, DType::F64, per_step()).unwrap();
        let batch = batch(trainer.session(), &spec, 5).unwrap();
        gradients(&mut *trainer, &batch).unwrap()
    };
    for ((name, a), (_, b)) in run("spatial-rev").1.iter().zip(&run("stbp").1) {
        let off = relative_difference(a, b);
        assert!(off <= 1e-9, "{name}: {off:e}");
    }
}

#[test]
fn temporal_reversal_is_exact_to_rounding() {
    for steps in [1, 2, 4, 8] {
        let mut spec = spec();
        spec.steps = steps;
        let run = |method: &str| {
            let mut trainer = trainer(method, "tiny-trev", &spec, DType::F64, per_step()).unwrap();
            let batch = batch(trainer.session(), &spec, 5).unwrap();
            gradients(&mut *trainer, &batch).unwrap()
        };
        let (rebuilt, stored) = (run("temporal-rev"), run("stbp"));
        assert!((rebuilt.0.loss - stored.0.loss).abs() < 1e-9);
        for ((name, a), (_, b)) in rebuilt.1.iter().zip(&stored.1) {
            let off = relative_difference(a, b);
            assert!(off <= 1e-9, "T = {steps}, {name}: {off:e}");
        }
    }
}

#[test]
fn a_stream_that_leaves_the_grid_is_an_error() {
    let mut spec = spec();
    spec.grid = Some(engine::region::Grid { bits: 16, range: -4 });
    let mut trainer = trainer("spatial-rev", "tiny-rev", &spec, DType::F32, per_step()).unwrap();
    let batch = batch(trainer.session(), &spec, 5).unwrap();
    let error = trainer.step(&batch, &mut tests::Hold).unwrap_err().to_string();
    assert!(error.contains("stage1") && error.contains("0.0625"), "{error}");
}

#[test]
fn a_shortcut_of_zero_is_kept_away_from_zero() {
    let run = |method: &str| {
        let mut trainer = trainer(method, "tiny-trev", &spec(), DType::F64, per_step()).unwrap();
        let name = "step2.level1.alpha";
        let zeros =
            trainer.network().params.find(name).unwrap().value().tensor().unwrap().zeros_like().unwrap();
        trainer.network().params.assign(name, &zeros).unwrap();
        let batch = batch(trainer.session(), &spec(), 5).unwrap();
        gradients(&mut *trainer, &batch).unwrap()
    };
    let (rebuilt, stored) = (run("temporal-rev"), run("stbp"));
    for ((name, a), (_, b)) in rebuilt.1.iter().zip(&stored.1) {
        assert!(a.iter().all(|x| x.is_finite()), "{name}");
        let off = relative_difference(a, b);
        // The inversion multiplies rounding by 1000 there.
        assert!(off <= 1e-6, "{name}: {off:e}");
    }
}
