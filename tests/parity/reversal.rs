//! Spatial reversal gives the gradient of stored activations.

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
fn a_stream_that_leaves_the_grid_is_an_error() {
    let mut spec = spec();
    spec.grid = Some(engine::region::Grid { bits: 16, range: -4 });
    let mut trainer = trainer("spatial-rev", "tiny-rev", &spec, DType::F32, per_step()).unwrap();
    let batch = batch(trainer.session(), &spec, 5).unwrap();
    let error = trainer.step(&batch, &mut tests::Hold).unwrap_err().to_string();
    assert!(error.contains("stage1") && error.contains("0.0625"), "{error}");
}
