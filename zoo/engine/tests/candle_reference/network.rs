//! A whole network, trained for several updates.

use std::rc::Rc;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{BatchNorm, ModuleT};
use engine::Result;
use engine::layer::{Builder, Chain};
use engine::loss::{Loss, MseTarget};
use engine::method::{Batch, RunSpec};
use engine::model::{Block, LevelChoices, ModelEntry, ModelSpec, Segment, Sizes, Wiring};
use engine::neuron::{Firing, InputDecay, Neuron, Reset, ResetGradient, Surrogate};
use engine::norm::NormOver;
use engine::ops::{self, ConvSpec, PoolKind, PoolSpec};
use engine::optim::Optimizer;
use engine::param::Params;
use engine::pass::{Pass, Session};
use engine::region::Regions;
use engine::run::Run;
use engine::site::Role;
use engine::unroll::Unroll;
use engine::value::Value;
use keys::Key;

use crate::{Reference, assert_close, candle_norm, draw, geometry, numbers, through};

/// A rectified unit where a neuron would stand.
struct Rectified;

impl Block for Rectified {
    fn forward(&self, pass: &Pass<'_>, _port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        ops::relu(pass, "relu", x)
    }
}

const CLASSES: usize = 3;
const IMAGE: [usize; 3] = [2, 8, 8];
const BATCH: usize = 5;

/// Convolution, norm and rectified unit twice, a pool between, and a linear read-out.
fn build(spec: &ModelSpec, builder: &mut Builder) -> Result<Wiring> {
    let pool = PoolSpec { kind: PoolKind::Average, kernel: 2, stride: 2, pad: 0 };
    let blocks: Vec<Box<dyn Block>> = vec![
        Box::new(builder.conv("first", Role::Encoder, ConvSpec::same(IMAGE[0], 6, 3, 1))?),
        Box::new(builder.norm("first.norm", 6, spec.norm, 1.0)?),
        Box::new(Rectified),
        Box::new(builder.pool("pool", pool)),
        Box::new(builder.conv("second", Role::Hidden, geometry(6, 4, 3, 2, 1, 2))?),
        Box::new(builder.norm("second.norm", 4, spec.norm, 1.0)?),
        Box::new(Rectified),
        Box::new(builder.flatten("flat")),
        Box::new(builder.linear("readout", Role::Readout, 4 * 2 * 2, CLASSES)?),
    ];
    Ok(Wiring::Sequence(Rc::new([Segment::Plain(Rc::new(Chain(blocks)))])))
}

fn network_spec() -> ModelSpec {
    ModelSpec {
        image: IMAGE,
        classes: CLASSES,
        steps: 1,
        width: 1.0,
        depth: None,
        sizes: Sizes::default(),
        neuron: Neuron::Lif {
            decay: 0.5,
            input_decay: InputDecay::Off,
            threshold: 1.0,
            reset: Reset::Soft,
            reset_gradient: ResetGradient::Detached,
            surrogate: Surrogate::Sigmoid,
            firing: Firing::At,
            smooth: false,
        },
        norm: NormOver::Step,
        grid: None,
        dropout: 0.0,
        drop_path: 0.0,
        levels: LevelChoices::default(),
    }
}

/// Plain gradient descent, written out.
struct Descend {
    rate: f64,
}

impl Optimizer for Descend {
    fn update(&mut self, params: &Params) -> Result<()> {
        for param in params.iter() {
            let (value, Some(gradient)) = (param.value().tensor()?, param.gradient()) else { continue };
            params.assign(param.name(), &(value - (gradient.tensor()? * self.rate)?)?)?;
        }
        Ok(())
    }

    fn set_learning_rate(&mut self, rate: f64) {
        self.rate = rate;
    }
}

/// The same network on candle, from the parameters in declaration order.
struct Twin {
    vars: Vec<Var>,
    norms: [BatchNorm; 2],
}

impl Twin {
    fn of(params: &Params) -> Self {
        let vars: Vec<Var> = params
            .iter()
            .map(|param| {
                let tensor = param.value().tensor().unwrap().to_dtype(DType::F64).unwrap();
                Var::from_tensor(&tensor).unwrap()
            })
            .collect();
        let norm = |channels, first: usize| {
            candle_norm(channels, vars[first].as_tensor(), vars[first + 1].as_tensor()).unwrap()
        };
        let norms = [norm(6, 1), norm(4, 4)];
        Self { vars, norms }
    }

    fn scores(&self, x: &Tensor, train: bool) -> Reference {
        let at = |index: usize| self.vars[index].as_tensor();
        let y = x.conv2d(at(0), 1, 1, 1, 1)?;
        let y = self.norms[0].forward_t(&y, train)?.relu()?.avg_pool2d(2)?;
        let y = y.conv2d(at(3), 1, 2, 1, 2)?;
        let y = self.norms[1].forward_t(&y, train)?.relu()?.flatten_from(1)?;
        y.matmul(&at(6).t()?)?.broadcast_add(at(7))
    }

    fn loss(&self, x: &Tensor, labels: &Tensor, train: bool) -> Reference {
        candle_nn::loss::cross_entropy(&self.scores(x, train)?, labels)
    }
}

/// Loss, parameters, running statistics and evaluation of a whole network over several updates.
#[test]
fn a_network_trains_as_on_candle() {
    let entry =
        ModelEntry { id: "twin", summary: "", paper: "", official: &[], published: network_spec, build };
    let [c, h, w] = IMAGE;
    for dtype in [DType::F64, DType::F32] {
        let session = Rc::new(Session::new(Device::Cpu, dtype));
        let params = Params::new(Rc::clone(&session), Key::new(3));
        let loss = Loss::PerStep { mse: 0.0, target: MseTarget::OneHot, smoothing: 0.0 };
        let run = RunSpec::new(1, loss, Key::new(4));
        let mut run = Run::new(entry.network(&network_spec(), params).unwrap(), run);
        let twin = Twin::of(&run.network.params);

        let labels: Vec<u32> = (0..BATCH).map(|index| (index % CLASSES) as u32).collect();
        let expected_labels = Tensor::new(labels.as_slice(), &Device::Cpu).unwrap();
        let mut optimizer = Descend { rate: 0.05 };
        for iteration in 0..3 {
            let x = draw(&format!("batch {iteration}"), &[BATCH, c, h, w]);
            let images = numbers(&x).into_iter().map(|number| number as f32).collect();
            let images = session.input(&[1, BATCH, c, h, w], images).unwrap();
            let batch = Batch { images, labels: labels.clone().into() };
            let found = run.through_time(&batch, &mut optimizer, &Regions::default(), through).unwrap();

            let expected = twin.loss(&x, &expected_labels, true).unwrap();
            let place = format!("iteration {iteration}");
            let ours = Tensor::new(&[found.loss], &Device::Cpu).unwrap();
            assert_close(&format!("{place}: loss"), dtype, &ours, &expected);
            let gradients = expected.backward().unwrap();
            for (param, var) in run.network.params.iter().zip(&twin.vars) {
                let gradient = gradients.get(var.as_tensor()).unwrap();
                let place = format!("{place}: {}", param.name());
                let ours = param.gradient().unwrap().tensor().unwrap();
                assert_close(&format!("{place} gradient"), dtype, ours, gradient);
                var.set(&(var.as_tensor() - (gradient * optimizer.rate).unwrap()).unwrap()).unwrap();
                assert_close(&place, dtype, param.value().tensor().unwrap(), var.as_tensor());
            }
            for ((_, mean, var, updates), norm) in run.statistics.iter().zip(&twin.norms) {
                assert_eq!(updates, iteration + 1);
                assert_close("running mean", dtype, mean.tensor().unwrap(), norm.running_mean());
                assert_close("running variance", dtype, var.tensor().unwrap(), norm.running_var());
            }

            let evaluated = run.evaluate(&batch, through).unwrap();
            let expected = twin.loss(&x, &expected_labels, false).unwrap();
            let ours = Tensor::new(&[evaluated.loss], &Device::Cpu).unwrap();
            assert_close(&format!("{place}: evaluation"), dtype, &ours, &expected);
        }
    }
}
