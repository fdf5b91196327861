//! Every op alone: output and all gradients.

use std::rc::Rc;

use candle_core::{DType, Device, Tensor};
use candle_nn::ModuleT;
use engine::ledger::Category;
use engine::neuron::Neuron;
use engine::norm::{Norm, NormOver};
use engine::ops::{self, ConvSpec, PoolKind, PoolSpec};
use engine::param::{Init, ParamId, ParamKind, Params};
use engine::pass::{Mode, Pass, Session};
use engine::tape::Tape;
use keys::Key;

use crate::{EPS, Reference, candle_norm, compare, draw, geometry, numbers};

/// candle's convolution with a bias of one number a channel.
pub(crate) fn convolved(x: &Tensor, spec: &ConvSpec, weight: &Tensor, bias: Option<&Tensor>) -> Reference {
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
pub(crate) fn quantised(x: &Tensor) -> Reference {
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
            let spikes = ops::fire(pass, "spikes", &neuron, x, 2, None, (false, true))?.0;
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
            let spikes = ops::fire(pass, "spikes", &neuron, x, 2, None, (false, true))?.0;
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

fn norm_of(ids: &[ParamId], channels: usize, over: NormOver, gain: f64) -> Norm {
    Norm { channels, gamma: ids[0], beta: ids[1], eps: EPS, momentum: 0.1, over, gain, repeated: false }
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
            ops::add(pass, "add", &ops::relu(pass, "relu", &y)?, &ops::add(pass, "add", x, &y)?)
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
    compare(
        "relu of images",
        &[2, 3, 4, 5, 5],
        &[],
        |pass, x, _| ops::relu(pass, "relu", x),
        |x, _| x.relu(),
    );
    compare("relu of features", &[2, 3, 11], &[], |pass, x, _| ops::relu(pass, "relu", x), |x, _| x.relu());
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
            let scaled = ops::scale(pass, "scale", &twice, 0.5)?;
            let again = ops::conv(pass, "second", &spec, &ops::relu(pass, "relu", &y)?, &weight, None, None)?;
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
        numbers(ops::relu(&pass, "relu", &y).unwrap().tensor().unwrap())
    };
    let (off, on) = (Tape::off(), session.tape());
    assert_eq!(run(&off), run(&on));
    assert!(off.is_empty());
    assert_eq!(on.len(), 2);
}
