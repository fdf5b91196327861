//! Our ops against candle's: the same values forward, the same gradients under candle's autograd.
//!
//! The reference always runs in f64. The numbers are drawn as f32, so that the f32 runs start from the same values
//! and the difference is that of the arithmetic alone.

use std::rc::Rc;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{BatchNorm, ModuleT};
use engine::Result;
use engine::drive::Regions;
use engine::layer::{Builder, Chain};
use engine::ledger::Category;
use engine::loss::{Loss, MseTarget};
use engine::method::{Batch, RunSpec};
use engine::model::{Block, ModelEntry, ModelSpec, Segment, Wiring};
use engine::neuron::{InputDecay, Neuron, Reset, ResetGradient, Surrogate};
use engine::norm::{Norm, NormOver};
use engine::ops::{self, ConvSpec, PoolKind, PoolSpec};
use engine::optim::Optimizer;
use engine::param::{Init, ParamId, ParamKind, Params};
use engine::pass::{Mode, Pass, Session};
use engine::run::Run;
use engine::site::Role;
use engine::tape::Tape;
use engine::unroll::{Statistics, Through, TimeGradient, Unroll};
use engine::value::Value;
use keys::Key;

type Reference = candle_core::Result<Tensor>;

/// Largest difference that is accepted, relative to the largest number of the reference.
fn tolerance(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-12 } else { 2e-5 }
}

/// Normal numbers that an f32 holds exactly, in f64.
fn draw(name: &str, shape: &[usize]) -> Tensor {
    let mut stream = Key::new(17).fork(name).stream();
    let numbers: Vec<f64> = (0..shape.iter().product()).map(|_| f64::from(stream.normal() as f32)).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_close(place: &str, dtype: DType, ours: &Tensor, theirs: &Tensor) {
    let (ours, theirs) = (numbers(ours), numbers(theirs));
    assert_eq!(ours.len(), theirs.len(), "{place}: another number of elements");
    let scale = theirs.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    assert!(scale > 0.0, "{place}: the reference is all zero, the test sees nothing");
    for (index, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        let off = (a - b).abs() / scale;
        assert!(off <= tolerance(dtype), "{place} {dtype:?} [{index}]: {a} against {b}, off by {off:e}");
    }
}

/// Runs `ours` and `theirs` on the same input `[T, B, ...]` and parameters, and compares the output, the gradient of
/// the input and that of every parameter, all from one random seed gradient. candle sees `[T * B, ...]`.
fn compare(
    place: &str,
    input: &[usize],
    shapes: &[&[usize]],
    ours: impl Fn(&Pass<'_>, &Value, &[ParamId]) -> Result<Value>,
    theirs: impl Fn(&Tensor, &[Tensor]) -> Reference,
) {
    let x = draw(&format!("{place} x"), input);
    let weights: Vec<Tensor> =
        shapes.iter().enumerate().map(|(index, shape)| draw(&format!("{place} {index}"), shape)).collect();

    let mut images = vec![input[0] * input[1]];
    images.extend(&input[2..]);
    let x_var = Var::from_tensor(&x.reshape(images).unwrap()).unwrap();
    let vars: Vec<Var> = weights.iter().map(|weight| Var::from_tensor(weight).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let y = theirs(x_var.as_tensor(), &tensors).unwrap();
    let seed = draw(&format!("{place} seed"), y.dims());
    let gradients = (&y * &seed).unwrap().sum_all().unwrap().backward().unwrap();

    for dtype in [DType::F64, DType::F32] {
        let session = Rc::new(Session::new(Device::Cpu, dtype));
        let mut params = Params::new(Rc::clone(&session), Key::new(0));
        let ids: Vec<ParamId> = weights
            .iter()
            .enumerate()
            .map(|(index, weight)| {
                let name = index.to_string();
                let id =
                    params.declare(&name, ParamKind::Weight, weight.dims(), Init::Constant(0.0)).unwrap();
                params.assign(&name, weight).unwrap();
                id
            })
            .collect();
        let tape = session.tape();
        let pass = Pass::new(&session, &params, &tape, Mode::Train, input[0], Key::new(1));
        let leaf = tape.leaf(&session.constant(Category::Input, input, &x.copy().unwrap()).unwrap());
        let found = ops::dense(&pass, &ours(&pass, &leaf, &ids).unwrap()).unwrap();
        assert_close(&format!("{place}: output"), dtype, found.tensor().unwrap(), &y);

        let seed = seed.copy().unwrap().reshape(found.shape()).unwrap();
        let seed = session.constant(Category::ActivationGradients, found.shape(), &seed).unwrap();
        let mut statistics = Statistics::default();
        let mut port = through(&mut statistics);
        let dx = tape.backward(&pass, &mut port, [(found, seed)]).unwrap().take(&leaf).unwrap();
        let expected = gradients.get(x_var.as_tensor()).unwrap();
        assert_eq!(dx.shape(), input, "{place}: shape of the input's gradient");
        assert_close(&format!("{place}: gradient of the input"), dtype, dx.tensor().unwrap(), expected);
        for (index, (param, var)) in params.iter().zip(&vars).enumerate() {
            let found = param.gradient().unwrap().tensor().unwrap();
            let expected = gradients.get(var.as_tensor()).unwrap();
            assert_close(&format!("{place}: gradient of parameter {index}"), dtype, found, expected);
        }
    }
}

fn geometry(c_in: usize, c_out: usize, kernel: usize, stride: usize, pad: usize, groups: usize) -> ConvSpec {
    ConvSpec { c_in, c_out, kernel, stride, pad, groups }
}

/// candle's convolution with a bias of one number a channel.
fn convolved(x: &Tensor, spec: &ConvSpec, weight: &Tensor, bias: Option<&Tensor>) -> Reference {
    let y = x.conv2d(weight, spec.pad, spec.stride, 1, spec.groups)?;
    match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, spec.c_out, 1, 1))?),
        None => Ok(y),
    }
}

#[test]
fn convolution() {
    for (name, spec, side) in [
        ("3x3", geometry(3, 5, 3, 1, 1, 1), 7),
        ("3x3 strided", geometry(3, 5, 3, 2, 1, 1), 8),
        ("3x3 strided, odd side", geometry(3, 5, 3, 2, 1, 1), 7),
        ("1x1", geometry(4, 6, 1, 1, 0, 1), 5),
        ("1x1 strided", geometry(4, 6, 1, 2, 0, 1), 6),
        ("2x2 without padding", geometry(2, 3, 2, 2, 0, 1), 6),
        ("7x7 stem", geometry(3, 4, 7, 2, 3, 1), 9),
        ("two groups", geometry(4, 6, 3, 1, 1, 2), 6),
        ("two groups strided", geometry(4, 6, 3, 2, 1, 2), 7),
        ("depthwise", geometry(6, 6, 3, 1, 1, 6), 6),
        ("depthwise 5x5 strided", geometry(6, 6, 5, 2, 2, 6), 7),
        ("two outputs a channel", geometry(4, 8, 3, 1, 1, 4), 5),
    ] {
        let input = [2, 3, spec.c_in, side, side];
        compare(
            name,
            &input,
            &[&spec.weight_shape()],
            |pass, x, ids| ops::conv(pass, name, &spec, x, &pass.param(ids[0]), None, None),
            |x, w| convolved(x, &spec, &w[0], None),
        );
        let name = &format!("{name} with bias");
        compare(
            name,
            &input,
            &[&spec.weight_shape(), &[spec.c_out]],
            |pass, x, ids| ops::conv(pass, name, &spec, x, &pass.param(ids[0]), Some(ids[1]), None),
            |x, w| convolved(x, &spec, &w[0], Some(&w[1])),
        );
    }
}

#[test]
fn convolution_of_an_oblong_image() {
    let spec = geometry(3, 4, 3, 1, 1, 1);
    compare(
        "oblong",
        &[1, 2, 3, 5, 9],
        &[&spec.weight_shape(), &[4]],
        |pass, x, ids| ops::conv(pass, "oblong", &spec, x, &pass.param(ids[0]), Some(ids[1]), None),
        |x, w| convolved(x, &spec, &w[0], Some(&w[1])),
    );
}

/// The quantiser's spikes as numbers, with gradient 1 where `0 <= x <= 1`.
fn quantised(x: &Tensor) -> Reference {
    let spikes = x.ge(0.5)?.to_dtype(x.dtype())?;
    let open = (x.ge(0.0)?.to_dtype(x.dtype())? * x.le(1.0)?.to_dtype(x.dtype())?)?;
    let through = (x * open)?;
    (&through - through.detach())? + spikes
}

#[test]
fn convolution_and_linear_map_of_spikes() {
    let spec = geometry(4, 5, 3, 1, 1, 1);
    let neuron = Neuron::Quantiser { smooth: false };
    compare(
        "conv of spikes",
        &[2, 3, 4, 7, 7],
        &[&spec.weight_shape(), &[5]],
        |pass, x, ids| {
            let spikes = ops::fire(pass, "spikes", &neuron, x, 2, None, false)?.0;
            assert!(spikes.is_spikes());
            ops::conv(pass, "conv of spikes", &spec, &spikes, &pass.param(ids[0]), Some(ids[1]), None)
        },
        |x, w| convolved(&quantised(x)?, &spec, &w[0], Some(&w[1])),
    );
    compare(
        "linear map of spikes",
        &[2, 3, 4, 3, 3],
        &[&[5, 36], &[5]],
        |pass, x, ids| {
            let spikes = ops::fire(pass, "spikes", &neuron, x, 2, None, false)?.0;
            let features = ops::flatten(pass, "flat", &spikes)?;
            ops::linear(pass, "linear", &features, &pass.param(ids[0]), Some(ids[1]), None)
        },
        |x, w| quantised(x)?.flatten_from(1)?.matmul(&w[0].t()?)?.broadcast_add(&w[1]),
    );
}

#[test]
fn linear_map() {
    compare(
        "linear",
        &[2, 5, 13],
        &[&[7, 13]],
        |pass, x, ids| ops::linear(pass, "linear", x, &pass.param(ids[0]), None, None),
        |x, w| x.matmul(&w[0].t()?),
    );
    compare(
        "linear with bias",
        &[3, 4, 19],
        &[&[6, 19], &[6]],
        |pass, x, ids| ops::linear(pass, "linear", x, &pass.param(ids[0]), Some(ids[1]), None),
        |x, w| x.matmul(&w[0].t()?)?.broadcast_add(&w[1]),
    );
}

const EPS: f64 = 1e-5;

fn norm_of(ids: &[ParamId], channels: usize, over: NormOver, gain: f64) -> Norm {
    Norm { channels, gamma: ids[0], beta: ids[1], eps: EPS, momentum: 0.1, over, gain }
}

fn candle_norm(channels: usize, gamma: &Tensor, beta: &Tensor) -> candle_core::Result<BatchNorm> {
    let mean = Tensor::zeros(channels, DType::F64, &Device::Cpu)?;
    let var = Tensor::ones(channels, DType::F64, &Device::Cpu)?;
    BatchNorm::new(channels, mean, var, gamma.clone(), beta.clone(), EPS)
}

#[test]
fn batch_normalisation_in_training() {
    const CHANNELS: usize = 4;
    for (rank, input) in [("images", vec![3, 4, CHANNELS, 5, 5]), ("features", vec![3, 6, CHANNELS])] {
        for gain in [1.0, 0.7] {
            for over in [NormOver::Time, NormOver::Step] {
                let place = format!("norm of {rank} over {over:?}, gain {gain}");
                compare(
                    &place,
                    &input,
                    &[&[CHANNELS], &[CHANNELS]],
                    |pass, x, ids| {
                        ops::normalise(pass, &place, &norm_of(ids, CHANNELS, over, gain), x, |_, _, _| Ok(()))
                    },
                    |x, w| {
                        let norm = candle_norm(CHANNELS, &(&w[0] * gain)?, &w[1])?;
                        match over {
                            NormOver::Time => norm.forward_t(x, true),
                            NormOver::Step => {
                                let steps = x.chunk(input[0], 0)?;
                                let each = steps.iter().map(|x| norm.forward_t(x, true));
                                Tensor::cat(&each.collect::<candle_core::Result<Vec<_>>>()?, 0)
                            }
                        }
                    },
                );
            }
        }
    }
}

/// The norm folded into its reader: a sum, and a rectified unit.
#[test]
fn a_folded_norm_is_the_norm() {
    compare(
        "relu of a norm plus its input",
        &[2, 3, 4, 5, 5],
        &[&[4], &[4]],
        |pass, x, ids| {
            let norm = norm_of(ids, 4, NormOver::Time, 1.0);
            let y = ops::normalise(pass, "norm", &norm, x, |_, _, _| Ok(()))?;
            ops::add(pass, "add", &ops::relu(pass, &y)?, &ops::add(pass, "add", x, &y)?)
        },
        |x, w| {
            let y = candle_norm(4, &w[0], &w[1])?.forward_t(x, true)?;
            (y.relu()? + x)? + y
        },
    );
}

#[test]
fn pools() {
    for (name, kernel, side) in [("2x2", 2, 6), ("3x3", 3, 9)] {
        let spec = |kind| PoolSpec { kind, kernel, stride: kernel, pad: 0 };
        let input = [2, 2, 3, side, side];
        compare(
            &format!("average {name}"),
            &input,
            &[],
            |pass, x, _| ops::pool(pass, "pool", &spec(PoolKind::Average), x),
            |x, _| x.avg_pool2d(kernel),
        );
        compare(
            &format!("max {name}"),
            &input,
            &[],
            |pass, x, _| ops::pool(pass, "pool", &spec(PoolKind::Max), x),
            |x, _| {
                // candle's own max pool divides its gradient by the window, so the windows are cut out by hand.
                let out = side / kernel;
                let windows = x.reshape((4 * 3 * out, kernel, out, kernel))?.max(3)?.max(1)?;
                let pooled = windows.reshape((4, 3, out, out))?;
                assert_eq!(numbers(&pooled), numbers(&x.max_pool2d(kernel)?));
                Ok(pooled)
            },
        );
    }
}

/// Windows that overlap and reach into the padding, which counts: the mean is a depthwise convolution.
#[test]
fn average_pool_that_overlaps() {
    let spec = PoolSpec { kind: PoolKind::Average, kernel: 3, stride: 2, pad: 1 };
    for side in [7, 8] {
        compare(
            &format!("average 3x3 on {side}"),
            &[1, 2, 3, side, side],
            &[],
            |pass, x, _| ops::pool(pass, "pool", &spec, x),
            |x, _| {
                let mean = (Tensor::ones((3, 1, 3, 3), DType::F64, &Device::Cpu)? / 9.0)?;
                x.conv2d(&mean, 1, 2, 1, 3)
            },
        );
    }
}

#[test]
fn global_average() {
    compare(
        "global average",
        &[2, 3, 4, 5, 5],
        &[],
        |pass, x, _| ops::global_average(pass, "mean", x),
        |x, _| x.mean((2, 3)),
    );
}

#[test]
fn rectified_unit() {
    compare("relu of images", &[2, 3, 4, 5, 5], &[], |pass, x, _| ops::relu(pass, x), |x, _| x.relu());
    compare("relu of features", &[2, 3, 11], &[], |pass, x, _| ops::relu(pass, x), |x, _| x.relu());
}

/// One value read by several ops, one of them twice: gradients add up, and none is overwritten while another needs it.
#[test]
fn gradients_of_a_value_with_several_readers() {
    let spec = geometry(3, 3, 3, 1, 1, 1);
    compare(
        "several readers",
        &[1, 2, 3, 6, 6],
        &[&spec.weight_shape()],
        |pass, x, ids| {
            let weight = pass.param(ids[0]);
            let y = ops::conv(pass, "first", &spec, x, &weight, None, None)?;
            let twice = ops::add(pass, "twice", &y, &y)?;
            let scaled = ops::scale(pass, &twice, 0.5)?;
            let again = ops::conv(pass, "second", &spec, &ops::relu(pass, &y)?, &weight, None, None)?;
            let sum = ops::add(pass, "sum", &again, &scaled)?;
            ops::add(pass, "shortcut", &sum, x)
        },
        |x, w| {
            let y = convolved(x, &spec, &w[0], None)?;
            let again = convolved(&y.relu()?, &spec, &w[0], None)?;
            (again + y)? + x
        },
    );
}

/// A rectified unit where a neuron would stand.
struct Rectified;

impl Block for Rectified {
    fn forward(&self, pass: &Pass<'_>, _port: &mut dyn Unroll, x: &Value) -> Result<Value> {
        ops::relu(pass, x)
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
        neuron: Neuron::Lif {
            decay: 0.5,
            input_decay: InputDecay::Off,
            threshold: 1.0,
            reset: Reset::Soft,
            reset_gradient: ResetGradient::Detached,
            surrogate: Surrogate::Sigmoid,
            smooth: false,
        },
        norm: NormOver::Step,
        grid: None,
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

fn through(statistics: &mut Statistics) -> Through<'_> {
    Through::new(statistics, TimeGradient::Kept)
}

/// Loss, parameters, running statistics and evaluation of a whole network over several updates.
#[test]
fn a_network_trains_as_on_candle() {
    let entry = ModelEntry { id: "twin", summary: "", paper: "", build };
    let [c, h, w] = IMAGE;
    for dtype in [DType::F64, DType::F32] {
        let session = Rc::new(Session::new(Device::Cpu, dtype));
        let params = Params::new(Rc::clone(&session), Key::new(3));
        let loss = Loss::PerStep { mse: 0.0, target: MseTarget::OneHot, smoothing: 0.0 };
        let run = RunSpec { steps: 1, loss, key: Key::new(4) };
        let mut run = Run::new(entry.network(&network_spec(), params).unwrap(), run);
        let twin = Twin::of(&run.network.params);

        let labels: Vec<u32> = (0..BATCH).map(|index| (index % CLASSES) as u32).collect();
        let expected_labels = Tensor::new(labels.as_slice(), &Device::Cpu).unwrap();
        let mut optimizer = Descend { rate: 0.05 };
        for iteration in 0..3 {
            let x = draw(&format!("batch {iteration}"), &[BATCH, c, h, w]);
            let images = numbers(&x).into_iter().map(|number| number as f32).collect();
            let images = session.input(&[1, BATCH, c, h, w], images).unwrap();
            let batch = Batch { images, labels: labels.clone() };
            let found = run.through_time(&batch, &mut optimizer, Regions::default(), through).unwrap();

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

/// With the tape off nothing is recorded and the output is the same.
#[test]
fn the_tape_changes_no_value() {
    let session = Rc::new(Session::new(Device::Cpu, DType::F32));
    let mut params = Params::new(Rc::clone(&session), Key::new(5));
    let spec = geometry(3, 4, 3, 1, 1, 1);
    let shape = spec.weight_shape();
    let id = params.declare("weight", ParamKind::Weight, &shape, Init::KaimingNormalFanOut).unwrap();
    let x = session.constant(Category::Input, &[1, 2, 3, 6, 6], &draw("tape", &[1, 2, 3, 6, 6])).unwrap();
    let run = |tape: &Tape| {
        let pass = Pass::new(&session, &params, tape, Mode::Train, 1, Key::new(0));
        let y = ops::conv(&pass, "conv", &spec, &tape.leaf(&x), &pass.param(id), None, None).unwrap();
        numbers(ops::relu(&pass, &y).unwrap().tensor().unwrap())
    };
    let (off, on) = (Tape::off(), session.tape());
    assert_eq!(run(&off), run(&on));
    assert!(off.is_empty());
    assert_eq!(on.len(), 2);
}
