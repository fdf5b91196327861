//! Gradients against finite differences, in f64, with spikes replaced by the surrogate's own primitive.
//!
//! The reset is differentiated in these tests: with a detached reset the gradient is not that of the forward pass.

use std::rc::Rc;

use candle_core::{DType, Tensor};
use engine::layer::{Builder, Chain};
use engine::loss::{Loss, MseTarget};
use engine::method::Trainer;
use engine::model::{Block, ModelEntry, ModelSpec, Segment, Wiring};
use engine::neuron::{Firing, InputDecay, Neuron, Reset, ResetGradient, Surrogate};
use engine::norm::NormOver;
use engine::ops::{ConvSpec, PoolKind, PoolSpec};
use engine::site::Role;
use kernels::standardise::{Epsilon, Standardisation, Variance};
use keys::Key;
use tests::{Hold, batch, gradients, per_step, spec, trainer, trainer_of};

fn smooth(reset: Reset, surrogate: Surrogate, input_decay: InputDecay) -> Neuron {
    Neuron::Lif {
        decay: 0.6,
        input_decay,
        threshold: 1.0,
        reset,
        reset_gradient: ResetGradient::Through,
        surrogate,
        firing: Firing::At,
        smooth: true,
    }
}

/// Compares a few elements of every parameter.
fn check(mut trainer: Box<dyn Trainer>, spec: &ModelSpec, place: &str) {
    let batch = batch(trainer.session(), spec, 3).unwrap();
    let (_, analytic) = gradients(&mut *trainer, &batch).unwrap();
    let mut pick = Key::new(5).stream();
    let mut moved = 0;
    for (name, gradient) in &analytic {
        let param = trainer.network().params.find(name).unwrap();
        let shape = param.shape().to_vec();
        let start = param.value().tensor().unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for _ in 0..3 {
            let at = pick.below(start.len() as u32) as usize;
            let step = 1e-5;
            let mut loss = |offset: f64| {
                let mut numbers = start.clone();
                numbers[at] += offset;
                let tensor = Tensor::from_vec(numbers, shape.as_slice(), &candle_core::Device::Cpu).unwrap();
                trainer.network().params.assign(name, &tensor).unwrap();
                trainer.step(&batch, &mut Hold).unwrap().loss
            };
            let numeric = (loss(step) - loss(-step)) / (2.0 * step);
            loss(0.0);
            let off = (numeric - gradient[at]).abs();
            assert!(
                off <= 2e-7 + 2e-5 * numeric.abs(),
                "{place} {name}[{at}]: {} against {numeric}",
                gradient[at]
            );
            moved += usize::from(numeric.abs() > 1e-6);
        }
    }
    assert!(moved > analytic.len() / 2, "{place}: most differences are zero, the test sees nothing");
}

#[test]
fn tiny_networks() {
    for (reset, surrogate, decay) in
        [(Reset::Soft, Surrogate::Sigmoid, InputDecay::Off), (Reset::Hard, Surrogate::Arctan, InputDecay::On)]
    {
        for over in [NormOver::Step, NormOver::Time] {
            let mut spec = spec();
            spec.neuron = smooth(reset, surrogate, decay);
            spec.norm = over;
            spec.grid = None;
            spec.steps = 3;
            for model in ["tiny-conv", "tiny-rev"] {
                let place = format!("{model} {reset:?} {surrogate:?} {over:?}");
                check(trainer("stbp", model, &spec, DType::F64, per_step()).unwrap(), &spec, &place);
            }
        }
    }
}

#[test]
fn levels() {
    let mut spec = spec();
    spec.neuron = smooth(Reset::Soft, Surrogate::Sigmoid, InputDecay::Off);
    spec.grid = None;
    spec.steps = 3;
    check(trainer("stbp", "tiny-trev", &spec, DType::F64, per_step()).unwrap(), &spec, "tiny-trev");
}

#[test]
fn reversible_methods_and_the_reference_rows() {
    let mut spec = spec();
    spec.neuron = smooth(Reset::Soft, Surrogate::Sigmoid, InputDecay::Off);
    spec.grid = None;
    spec.steps = 3;
    check(trainer("spatial-rev", "tiny-rev", &spec, DType::F64, per_step()).unwrap(), &spec, "spatial-rev");
    check(
        trainer("temporal-rev", "tiny-trev", &spec, DType::F64, per_step()).unwrap(),
        &spec,
        "temporal-rev",
    );
    let mut one = spec.clone();
    one.steps = 1;
    check(trainer("ann", "tiny-conv", &one, DType::F64, per_step()).unwrap(), &one, "ann");
}

#[test]
fn losses() {
    let mut spec = spec();
    spec.neuron = smooth(Reset::Soft, Surrogate::Arctan, InputDecay::Off);
    spec.steps = 3;
    for loss in [
        Loss::PerStep { mse: 0.3, target: MseTarget::OneHot, smoothing: 0.1 },
        Loss::PerStep { mse: 0.05, target: MseTarget::Constant(1.0), smoothing: 0.0 },
        Loss::MeanScores { smoothing: 0.1 },
        Loss::RateMse,
        Loss::DeepSupervision { smoothing: 0.1, last: 1.0 },
    ] {
        check(trainer("stbp", "tiny-conv", &spec, DType::F64, loss).unwrap(), &spec, &format!("{loss:?}"));
    }
}

/// Every layer the tiny networks do not use.
fn every_other_layer(spec: &ModelSpec, builder: &mut Builder) -> engine::Result<Wiring> {
    let grouped = ConvSpec { c_in: 8, c_out: 8, kernel: 3, stride: 1, pad: 1, groups: 4 };
    let online = Standardisation { variance: Variance::Unbiased, eps: Epsilon::ToProduct(1e-4) };
    let timm = Standardisation { variance: Variance::Biased, eps: Epsilon::ToVariance(1e-6) };
    let pool = |kind| PoolSpec { kind, kernel: 2, stride: 2, pad: 0 };
    let blocks: Vec<Box<dyn Block>> = vec![
        Box::new(builder.standardised_conv("first", Role::Encoder, ConvSpec::same(2, 8, 3, 1), online)?),
        Box::new(builder.neurons("first.neuron", spec.neuron)),
        Box::new(builder.pool("average", pool(PoolKind::Average))),
        Box::new(builder.standardised_conv("second", Role::Hidden, grouped, timm)?),
        Box::new(builder.neurons("second.neuron", spec.neuron)),
        Box::new(Halved),
        Box::new(builder.pool("max", pool(PoolKind::Max))),
        Box::new(builder.flatten("flat")),
        Box::new(builder.linear("hidden", Role::Hidden, 8 * 4, 6)?),
        Box::new(builder.norm("hidden.norm", 6, spec.norm, 1.0)?),
        Box::new(builder.neurons("hidden.neuron", spec.neuron)),
        Box::new(builder.linear("readout", Role::Readout, 6, spec.classes)?),
    ];
    Ok(Wiring::Sequence(Rc::new([Segment::Plain(Rc::new(Chain(blocks)))])))
}

/// Scale, dropout fixed over time, and a candle sub-graph through the bridge.
struct Halved;

impl Block for Halved {
    fn forward(
        &self,
        pass: &engine::pass::Pass<'_>,
        _port: &mut dyn engine::unroll::Unroll,
        x: &engine::value::Value,
    ) -> engine::Result<engine::value::Value> {
        let x = engine::ops::dropout(pass, "halved", x, 0.25)?;
        let x = engine::ops::scale(pass, "scale", &x, 2.74)?;
        let shape = x.shape().to_vec();
        let graph = Rc::new(|inputs: &[Tensor]| inputs[0].tanh()?.affine(0.5, 0.1));
        engine::bridge::bridge(pass, "halved", &shape, graph, &[&x])
    }
}

#[test]
fn every_other_layer_and_the_bridge() {
    let entry = ModelEntry {
        id: "layers",
        summary: "",
        paper: "",
        official: &[],
        published: spec,
        build: every_other_layer,
    };
    let mut spec = spec();
    spec.neuron = smooth(Reset::Soft, Surrogate::Sigmoid, InputDecay::Off);
    spec.steps = 3;
    for over in [NormOver::Step, NormOver::Time] {
        spec.norm = over;
        check_fixed_iteration(&entry, &spec);
    }
}

/// As [`check`], but every loss is the first iteration of a fresh trainer, so that all see the same dropout mask.
fn check_fixed_iteration(entry: &ModelEntry, spec: &ModelSpec) {
    let fresh = || trainer_of("stbp", entry, spec, DType::F64, per_step()).unwrap();
    let mut first = fresh();
    let batch_of = |trainer: &dyn Trainer| batch(trainer.session(), spec, 3).unwrap();
    let at_start = batch_of(&*first);
    let (_, analytic) = gradients(&mut *first, &at_start).unwrap();
    let mut pick = Key::new(6).stream();
    for (name, gradient) in &analytic {
        for _ in 0..2 {
            let at = pick.below(gradient.len() as u32) as usize;
            let loss = |offset: f64| {
                let mut trainer = fresh();
                let param = trainer.network().params.find(name).unwrap();
                let shape = param.shape().to_vec();
                let mut numbers =
                    param.value().tensor().unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
                numbers[at] += offset;
                let tensor = Tensor::from_vec(numbers, shape, &candle_core::Device::Cpu).unwrap();
                trainer.network().params.assign(name, &tensor).unwrap();
                let batch = batch_of(&*trainer);
                trainer.step(&batch, &mut Hold).unwrap().loss
            };
            let numeric = (loss(1e-5) - loss(-1e-5)) / 2e-5;
            let off = (numeric - gradient[at]).abs();
            assert!(off <= 2e-7 + 2e-5 * numeric.abs(), "{name}[{at}]: {} against {numeric}", gradient[at]);
        }
    }
}
