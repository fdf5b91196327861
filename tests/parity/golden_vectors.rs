//! The toy network whose every number is known.
//!
//! 2-2-2-2: two leaky layers (lambda 0.5, threshold 1, soft reset, sigmoid surrogate), a linear read-out, no biases,
//! T = 3, one sample of class 1, loss `(1/T) sum_t CE(o_t, y)`. The expected gradients were computed in f64 by
//! running the methods' published rules; they are given to six decimals.

use std::rc::Rc;

use candle_core::{DType, Device, Tensor};
use engine::layer::{Builder, Linear};
use engine::method::Batch;
use engine::model::{Block, ModelEntry, ModelSpec, Segment, Wiring};
use engine::neuron::{Neuron, ResetGradient};
use engine::param::{Init, ParamKind};
use engine::pass::Pass;
use engine::site::Role;
use engine::unroll::Unroll;
use engine::value::Value;
use engine::{Error, Result};
use tests::{gradients, neuron, per_step, spec, trainer_of};

struct Toy {
    layers: Vec<Linear>,
    neurons: Vec<engine::layer::Spiking>,
}

impl Block for Toy {
    fn forward(&self, pass: &Pass<'_>, port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        let mut x = x.clone();
        for (layer, neurons) in self.layers.iter().zip(&self.neurons) {
            let current = layer.forward(pass, port, &x)?;
            x = neurons.forward(pass, port, &current)?;
        }
        match self.layers.last() {
            Some(readout) => readout.forward(pass, port, &x),
            None => Err(Error::Misuse("the toy has layers".into())),
        }
    }
}

fn build(spec: &ModelSpec, builder: &mut Builder) -> Result<Wiring> {
    let mut layers = Vec::new();
    for (name, role) in [("w1", Role::Encoder), ("w2", Role::Hidden), ("w3", Role::Readout)] {
        let weight = builder.param(name, ParamKind::Weight, &[2, 2], Init::Constant(0.0))?;
        layers.push(Linear { site: builder.site(name, role), weight, bias: None });
    }
    let neurons = vec![builder.neurons("n1", spec.neuron), builder.neurons("n2", spec.neuron)];
    Ok(Wiring::Sequence(Rc::new([Segment::Plain(Rc::new(Toy { layers, neurons }))])))
}

const ENTRY: ModelEntry =
    ModelEntry { id: "toy", summary: "", paper: "", official: &[], published: spec, build };

/// `(loss, dW1, dW2, dW3)`.
fn run(method: &str, neuron: Neuron) -> (f64, [Vec<f64>; 3]) {
    let mut spec = spec();
    (spec.steps, spec.classes, spec.neuron) = (3, 2, neuron);
    let mut trainer = trainer_of(method, &ENTRY, &spec, DType::F64, per_step()).unwrap();
    for (name, numbers) in
        [("w1", [0.8, 0.6, 0.3, 0.9]), ("w2", [0.9, 0.7, 0.4, 1.1]), ("w3", [0.5, -0.4, 0.2, 0.7])]
    {
        let tensor = Tensor::from_vec(numbers.to_vec(), (2, 2), &Device::Cpu).unwrap();
        trainer.network().params.assign(name, &tensor).unwrap();
    }
    let frames = vec![1.0, 0.5, 0.25, 1.0, 0.75, 0.75];
    let images = trainer.session().input(&[3, 1, 2], frames).unwrap();
    let (outcome, all) = gradients(&mut *trainer, &Batch { images, labels: vec![1].into() }).unwrap();
    let [w1, w2, w3]: [_; 3] = all.into_iter().map(|(_, g)| g).collect::<Vec<_>>().try_into().unwrap();
    (outcome.loss, [w1, w2, w3])
}

fn expect(method: &str, neuron: Neuron, expected: [[f64; 4]; 3]) {
    let (loss, found) = run(method, neuron);
    assert!((loss - (0.231_049 + 2.0 * 0.123_700)).abs() < 2e-6, "{method}: loss {loss}");
    for (layer, (found, expected)) in found.iter().zip(expected).enumerate() {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{method} dW{}: {found} against {expected}", layer + 1);
        }
    }
}

const READOUT: [f64; 4] = [0.206_684, 0.206_684, -0.206_684, -0.206_684];
const TRACED_READOUT: [f64; 4] = [0.258_355, 0.258_355, -0.258_355, -0.258_355];
const DETACHED_W2: [f64; 4] = [0.071_385, 0.039_348, -0.132_945, -0.124_785];
const CUT_W1: [f64; 4] = [0.016_766, 0.002_052, -0.052_742, -0.074_685];

#[test]
fn stbp_with_a_detached_reset() {
    expect("stbp", neuron(), [[0.006_511, -0.006_140, -0.123_547, -0.129_184], DETACHED_W2, READOUT]);
}

#[test]
fn stbp_through_the_reset() {
    let mut through = neuron();
    if let Neuron::Lif { reset_gradient, .. } = &mut through {
        *reset_gradient = ResetGradient::Through;
    }
    let expected = [
        [0.005_385, -0.004_853, -0.085_430, -0.097_716],
        [0.055_928, 0.036_000, -0.114_759, -0.114_374],
        READOUT,
    ];
    expect("stbp", through, expected);
}

#[test]
fn sltt() {
    expect("sltt", neuron(), [CUT_W1, [0.055_370, 0.035_689, -0.085_184, -0.110_153], READOUT]);
}

#[test]
fn ottt_with_an_untraced_first_layer() {
    // Its last hidden layer equals STBP with a detached reset.
    expect("ottt-a", neuron(), [CUT_W1, DETACHED_W2, TRACED_READOUT]);
}
