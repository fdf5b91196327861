//! Products of activations, learned factors, adaptive averages, frames, and their layers.

use std::rc::Rc;

use candle_core::{DType, Device, Tensor};
use engine::Result;
use engine::layer::{
    AdaptiveAverage, Attention, Builder, ChannelMask, DilatedTokenDot, Dilation, Scale, Sum, TokenDot,
    Upsample,
};
use engine::ledger::{Category, Ledger};
use engine::neuron::Neuron;
use engine::ops::{self, Epsilon, Standardisation, Variance};
use engine::optim::{OptimSpec, Undecayed};
use engine::param::{Init, ParamId, ParamKind, Params};
use engine::pass::{Mode, Pass, Session};
use engine::site::{Role, Site};
use engine::unroll::{Mix, Statistics};
use engine::value::Value;
use keys::Key;

use crate::each_op::{convolved, quantised};
use crate::{Reference, compare, draw, geometry, numbers, through};

const BETAS: [f64; 2] = [0.9, 0.999];

const QUANTISER: Neuron = Neuron::Quantiser { smooth: false };

fn fired(pass: &Pass<'_>, x: &Value) -> Result<Value> {
    Ok(ops::fire(pass, "spikes", &QUANTISER, x, x.steps(), None, (false, true))?.0)
}

/// Several 1x1 convolutions of one input, as numbers or as spikes.
fn projected(pass: &Pass<'_>, x: &Value, ids: &[ParamId], spikes: bool) -> Result<Vec<Value>> {
    let [_, _, c, ..] = *x.shape() else { unreachable!("images") };
    let spec = geometry(c, c, 1, 1, 0, 1);
    ids.iter()
        .map(|id| {
            let y = ops::conv(pass, "projection", &spec, x, &pass.param(*id), None, None)?;
            if spikes { fired(pass, &y) } else { Ok(y) }
        })
        .collect()
}

fn projected_on_candle(x: &Tensor, w: &[Tensor], spikes: bool) -> candle_core::Result<Vec<Tensor>> {
    let c = x.dim(1)?;
    w.iter()
        .map(|w| {
            let y = convolved(x, &geometry(c, c, 1, 1, 0, 1), w, None)?;
            if spikes { quantised(&y) } else { Ok(y) }
        })
        .collect()
}

/// `[B, C, H, W]` to `[B, heads, C / heads, H * W]`.
fn heads_of(x: &Tensor, heads: usize) -> Reference {
    let (b, c, h, w) = x.dims4()?;
    x.reshape((b, heads, c / heads, h * w))?.contiguous()
}

#[test]
fn attention() {
    // One head, wide heads of few tokens, narrow heads of many.
    for (c, side, heads) in [(6, 3, 1), (12, 2, 2), (8, 4, 4)] {
        for spikes in [false, true] {
            let place = format!("attention of {c} channels, {heads} heads, spikes {spikes}");
            let weight = [c, c, 1, 1];
            compare(
                &place,
                &[2, 3, c, side, side],
                &[&weight, &weight, &weight],
                |pass, x, ids| {
                    let qkv = projected(pass, x, ids, spikes)?;
                    ops::attention(pass, &place, [&qkv[0], &qkv[1], &qkv[2]], heads, 0.125)
                },
                |x, w| {
                    let qkv = projected_on_candle(x, w, spikes)?;
                    let [q, k, v] = [&qkv[0], &qkv[1], &qkv[2]].map(|x| heads_of(x, heads));
                    let a = q?.transpose(2, 3)?.contiguous()?.matmul(&k?)?;
                    let out = v?.matmul(&a.transpose(2, 3)?.contiguous()?)?;
                    (out * 0.125)?.reshape(x.shape())
                },
            );
        }
    }
}

/// One value in all three places: its three gradients add up.
#[test]
fn attention_of_one_value_with_itself() {
    compare(
        "self",
        &[1, 2, 4, 3, 3],
        &[],
        |pass, x, _| ops::attention(pass, "self", [x, x, x], 2, 1.0),
        |x, _| {
            let x_heads = heads_of(x, 2)?;
            let a = x_heads.transpose(2, 3)?.contiguous()?.matmul(&x_heads)?;
            x_heads.matmul(&a.transpose(2, 3)?.contiguous()?)?.reshape(x.shape())
        },
    );
}

#[test]
fn spike_driven_attention() {
    for spikes in [false, true] {
        let place = format!("spike-driven attention, spikes {spikes}");
        let weight = [5, 5, 1, 1];
        compare(
            &place,
            &[2, 3, 5, 3, 4],
            &[&weight, &weight, &weight],
            |pass, x, ids| {
                let qkv = projected(pass, x, ids, spikes)?;
                let mut s = ops::token_dot(pass, &place, &qkv[1], &qkv[2])?;
                assert_eq!(s.shape(), [2, 3, 5, 1, 1]);
                if spikes {
                    s = fired(pass, &ops::scale(pass, "scale", &s, 0.3)?)?;
                }
                let y = ops::mask_channels(pass, &place, &qkv[0], &s)?;
                assert_eq!(y.is_spikes(), spikes, "the product of spikes is spikes");
                Ok(y)
            },
            |x, w| {
                let qkv = projected_on_candle(x, w, spikes)?;
                let mut s = (&qkv[1] * &qkv[2])?.sum_keepdim((2, 3))?;
                if spikes {
                    s = quantised(&(s * 0.3)?)?;
                }
                qkv[0].broadcast_mul(&s)
            },
        );
    }
}

#[test]
fn learned_factors() {
    for shape in [&[][..], &[1], &[4], &[1, 4, 1, 1]] {
        for spikes in [false, true] {
            compare(
                &format!("gain {shape:?}, spikes {spikes}"),
                &[2, 3, 4, 5, 5],
                &[shape],
                |pass, x, ids| {
                    let x = if spikes { fired(pass, x)? } else { x.clone() };
                    ops::gain(pass, "gain", &x, ids[0])
                },
                |x, w| {
                    let x = if spikes { quantised(x)? } else { x.clone() };
                    let g = if w[0].elem_count() == 1 {
                        w[0].reshape((1, 1, 1, 1))?
                    } else {
                        w[0].reshape((1, 4, 1, 1))?
                    };
                    x.broadcast_mul(&g)
                },
            );
        }
    }
    compare(
        "gain of features",
        &[2, 3, 7],
        &[&[7]],
        |pass, x, ids| ops::gain(pass, "gain", x, ids[0]),
        |x, w| x.broadcast_mul(&w[0]),
    );
}

#[test]
fn adaptive_average() {
    // Up-sampling, overlapping bins and bins that divide, each as a fixed matrix.
    for (plane, out) in [([1, 1], [7, 7]), ([4, 4], [7, 7]), ([5, 6], [3, 2]), ([6, 4], [3, 2])] {
        let bins = move |axis: usize| -> Reference {
            let (n, o): (usize, usize) = (plane[axis], out[axis]);
            let mut matrix = vec![0.0; n * o];
            for i in 0..o {
                let bin = i * n / o..((i + 1) * n).div_ceil(o);
                bin.clone().for_each(|p| matrix[i * n + p] = 1.0 / bin.len() as f64);
            }
            Tensor::from_vec(matrix, (o, n), &Device::Cpu)
        };
        compare(
            &format!("adaptive average {plane:?} to {out:?}"),
            &[2, 2, 3, plane[0], plane[1]],
            &[],
            |pass, x, _| ops::adaptive_average(pass, "pool", x, out),
            |x, _| {
                let rows = bins(0)?.broadcast_left((4, 3))?.contiguous()?.matmul(x)?;
                rows.matmul(&bins(1)?.t()?.contiguous()?.broadcast_left((4, 3))?.contiguous()?)
            },
        );
    }
}

#[test]
fn standardised_weights() {
    let spec = geometry(3, 4, 3, 1, 1, 1);
    let fan_in = 27.0;
    for (name, variance, eps, gain) in [
        ("OTTT, SLTT", Variance::Unbiased, Epsilon::ToProduct(1e-4), vec![4]),
        ("timm", Variance::Biased, Epsilon::ToVariance(1e-6), vec![4, 1, 1, 1]),
    ] {
        let how = Standardisation { variance, eps };
        compare(
            &format!("standardised weights of {name}"),
            &[1, 2, 3, 6, 6],
            &[&spec.weight_shape(), &gain],
            |pass, x, ids| {
                let weight = ops::standardise(pass, ids[0], Some(ids[1]), how)?;
                ops::conv(pass, name, &spec, x, &weight, None, None)
            },
            |x, w| {
                let (weight, gain) = (w[0].flatten_from(1)?, w[1].reshape((4, 1))?);
                let centred = weight.broadcast_sub(&weight.mean_keepdim(1)?)?;
                let squares = centred.sqr()?.sum_keepdim(1)?;
                let root = match (variance, eps) {
                    (Variance::Unbiased, Epsilon::ToProduct(eps)) => {
                        ((squares * (fan_in / (fan_in - 1.0)))? + eps)?.sqrt()?
                    }
                    (_, Epsilon::ToVariance(eps)) => (((squares / fan_in)? + eps)?.sqrt()? * fan_in.sqrt())?,
                    _ => unreachable!("two codes"),
                };
                let weight = centred.broadcast_div(&root)?.broadcast_mul(&gain)?;
                convolved(x, &spec, &weight.reshape(w[0].shape())?, None)
            },
        );
    }
}

/// A frame that is read twice, one that is not read, and the whole beside them.
#[test]
fn frames_of_a_sequence() {
    compare(
        "frames",
        &[4, 2, 3, 2, 2],
        &[],
        |pass, x, _| {
            let [first, last] = [0, 3].map(|step| ops::frame(pass, x, step));
            let (first, last) = (first?, last?);
            assert_eq!((first.id(), first.shape()), (x.id(), &[1, 2, 3, 2, 2][..]), "a view");
            let y = ops::add(pass, "add", &first, &ops::scale(pass, "scale", &last, 3.0)?)?;
            let y = ops::add(pass, "add", &y, &first)?;
            ops::add(pass, "add", &ops::repeat_steps(pass, &y, 4)?, x)
        },
        |x, _| {
            let all = x.reshape((4, 2, 3, 2, 2))?;
            let y = ((all.get(0)? * 2.0)? + (all.get(3)? * 3.0)?)?;
            all.broadcast_add(&y)?.flatten(0, 1)
        },
    );
    compare(
        "frames of spikes",
        &[3, 2, 3, 3, 3],
        &[],
        |pass, x, _| {
            let spikes = fired(pass, x)?;
            let frames = [2, 1].map(|step| ops::frame(pass, &spikes, step));
            let [a, b] = frames;
            let (a, b) = (a?, b?);
            assert!(a.is_spikes());
            ops::add(pass, "add", &a, &ops::scale(pass, "scale", &b, 2.0)?)
        },
        |x, _| {
            let all = quantised(x)?.reshape((3, 2, 3, 3, 3))?;
            all.get(2)? + (all.get(1)? * 2.0)?
        },
    );
}

#[test]
fn a_sum_with_a_side_that_is_constant_in_time() {
    const STEPS: usize = 3;
    for constant_first in [false, true] {
        compare(
            "add",
            &[1, 2, 3, 4, 5],
            &[],
            |pass, x, _| {
                let moving = ops::repeat_steps(pass, &ops::scale(pass, "scale", x, 2.0)?, STEPS)?;
                let (a, b) = if constant_first { (x, &moving) } else { (&moving, x) };
                ops::add(pass, "sum", a, b)
            },
            |x, _| Tensor::cat(&vec![(x * 3.0)?; STEPS], 0),
        );
    }
}

#[test]
fn a_value_beside_itself() {
    compare(
        "double_channels",
        &[2, 2, 3, 4, 5],
        &[],
        |pass, x, _| ops::double_channels(pass, "stream", x),
        |x, _| Tensor::cat(&[x, x], 1),
    );
}

#[test]
fn a_value_that_is_constant_in_time_is_its_own_frame() {
    let session = Rc::new(Session::new(Device::Cpu, DType::F32));
    let (params, tape) = (Params::new(Rc::clone(&session), Key::new(0)), session.tape());
    let pass = Pass::new(&session, &params, &tape, Mode::Train, 4, Key::new(0));
    let x = tape.leaf(&session.constant(Category::Input, &[1, 2, 3], &draw("constant", &[1, 2, 3])).unwrap());
    assert_eq!(ops::frame(&pass, &x, 3).unwrap().id(), x.id());
    assert!(tape.is_empty(), "nothing is recorded");
    let x = session.constant(Category::Input, &[2, 2, 3], &draw("two", &[2, 2, 3])).unwrap();
    assert!(ops::frame(&pass, &x, 2).is_err(), "a step that is not there");
}

/// A parameter without axes is declared, drawn, assigned and moved by every optimiser.
#[test]
fn a_parameter_of_one_element_trains() {
    for (dtype, spec) in [DType::F32, DType::F64].into_iter().flat_map(|dtype| {
        [
            OptimSpec::Sgd {
                momentum: 0.9,
                weight_decay: 0.1,
                nesterov: true,
                undecayed: Undecayed::Nothing,
            },
            OptimSpec::Sgd {
                momentum: 0.0,
                weight_decay: 0.0,
                nesterov: false,
                undecayed: Undecayed::Nothing,
            },
            OptimSpec::Adam { weight_decay: 0.1, betas: BETAS, eps: 1e-8, undecayed: Undecayed::Nothing },
            OptimSpec::AdamW { weight_decay: 0.1, betas: BETAS, eps: 1e-8, undecayed: Undecayed::Nothing },
            OptimSpec::Lamb {
                weight_decay: 0.1,
                betas: BETAS,
                eps: 1e-6,
                undecayed: Undecayed::Nothing,
                trust_clip: true,
                always_adapt: false,
                max_grad_norm: None,
            },
        ]
        .map(|spec| (dtype, spec))
    }) {
        let session = Rc::new(Session::new(Device::Cpu, dtype));
        let mut params = Params::new(Rc::clone(&session), Key::new(8));
        let id = params.declare("skip", ParamKind::Gain, &[], Init::Normal(0.5)).unwrap();
        assert_eq!((params.count(), params.get(id).shape()), (1, &[][..]));
        params.assign("skip", &Tensor::new(0.25f64, &Device::Cpu).unwrap()).unwrap();
        let mut optimiser = spec.build(&params).unwrap();
        optimiser.set_learning_rate(0.1);
        let tape = session.tape();
        let pass = Pass::new(&session, &params, &tape, Mode::Train, 1, Key::new(0));
        let shape = [1, 2, 3];
        let x = session.constant(Category::Input, &shape, &draw("x", &shape)).unwrap();
        let y = ops::gain(&pass, "gain", &x, id).unwrap();
        let mut statistics = Statistics::default();
        let mut port = through(&mut statistics);
        tape.backward(&pass, &mut port, [(y, x.clone())]).unwrap();
        let found = numbers(params.get(id).gradient().unwrap().tensor().unwrap())[0];
        let expected: f64 = numbers(&draw("x", &shape)).iter().map(|x| x * x).sum();
        assert!((found - expected).abs() < 1e-6 * expected, "{found} {expected}");
        optimiser.update(&params).unwrap();
        let moved = numbers(params.get(id).value().tensor().unwrap())[0];
        assert!(moved < 0.25 && moved.is_finite(), "{spec:?} moved 0.25 to {moved}");
    }
}

/// The new layers as their ops, through `Mix`.
fn layers(builder: &mut Builder) -> Vec<(usize, Box<dyn Mix>)> {
    let mut site = |name: &str| -> Site { builder.site(name, Role::Mix) };
    vec![
        (1, Box::new(Scale { site: site("scale"), factor: 2.74 })),
        (2, Box::new(Sum { site: site("sum of two") })),
        (3, Box::new(Sum { site: site("sum of three") })),
        (1, Box::new(Upsample { site: site("upsample"), factor: 2 })),
        (1, Box::new(AdaptiveAverage { site: site("bins"), out: [7, 3] })),
        (3, Box::new(Attention { site: site("attention"), heads: 2, scale: 0.125 })),
        (2, Box::new(TokenDot { site: site("token dot") })),
        (1, Box::new(Dilation { site: site("dilation"), heads: 2 })),
        (2, Box::new(DilatedTokenDot { site: site("dilated token dot"), heads: 2 })),
    ]
}

/// What a pass over every layer held, and the shapes that came out.
fn walk(session: &Rc<Session>, spikes: bool) -> (Vec<Vec<usize>>, Vec<usize>) {
    let mut builder = Builder::new(Params::new(Rc::clone(session), Key::new(0)));
    let layers = layers(&mut builder);
    let mask = ChannelMask { site: builder.site("mask", Role::Mix) };
    let mut params = Params::new(Rc::clone(session), Key::new(0));
    let gain = params.declare("gain", ParamKind::Gain, &[], Init::Constant(0.5)).unwrap();
    let tape = session.tape();
    let pass = Pass::new(session, &params, &tape, Mode::Train, 2, Key::new(1));
    let (mut shapes, mut held) = (Vec::new(), Vec::new());
    let ledger: &Ledger = session.ledger();
    let mut note = |y: &Value| {
        shapes.push(y.shape().to_vec());
        held.extend([Category::Saved, Category::Passing].map(|category| ledger.held()[category as usize]));
    };
    let shape = [2, 3, 4, 4, 4];
    let x = session.constant(Category::Input, &shape, &draw("layers", &shape)).unwrap();
    let x = tape.leaf(&x);
    let inputs: Vec<Value> = (0..3)
        .map(|i| {
            let y = ops::scale(&pass, "scale", &x, 1.0 + f64::from(i)).unwrap();
            if spikes { fired(&pass, &y).unwrap() } else { y }
        })
        .collect();
    let mut seeds = Vec::new();
    for (many, layer) in &layers {
        let given: Vec<&Value> = inputs[..*many].iter().collect();
        let y = layer.apply(&pass, &given).unwrap();
        assert!(layer.apply(&pass, &[]).is_err(), "no input");
        note(&y);
        seeds.push(y);
    }
    let dots = layers[6].1.apply(&pass, &[&inputs[0], &inputs[1]]).unwrap();
    let dots = if spikes { fired(&pass, &dots).unwrap() } else { dots };
    let masked = mask.apply(&pass, &[&inputs[2], &dots]).unwrap();
    assert_eq!(masked.is_spikes(), spikes);
    note(&masked);
    seeds.push(masked);
    for y in [ops::gain(&pass, "gain", &inputs[0], gain).unwrap(), ops::frame(&pass, &inputs[1], 1).unwrap()]
    {
        note(&y);
        seeds.push(y);
    }
    drop(inputs);
    let seeds: Vec<(Value, Value)> = seeds
        .into_iter()
        .map(|y| {
            let seed = session.zeros(Category::ActivationGradients, y.shape()).unwrap();
            (y, seed)
        })
        .collect();
    let mut statistics = Statistics::default();
    let mut port = through(&mut statistics);
    let mut gradients = tape.backward(&pass, &mut port, seeds).unwrap();
    shapes.push(gradients.take(&x).unwrap().shape().to_vec());
    held.push(ledger.most(Category::ActivationGradients));
    held.push(ledger.held()[Category::Saved as usize]);
    (shapes, held)
}

#[test]
fn a_plan_of_every_new_op_holds_what_the_run_holds() {
    for dtype in [DType::F32, DType::F64] {
        for spikes in [false, true] {
            let plan = walk(&Rc::new(Session::plan(dtype)), spikes);
            let run = walk(&Rc::new(Session::new(Device::Cpu, dtype)), spikes);
            assert_eq!(plan, run, "{dtype:?}, spikes {spikes}");
            assert_eq!(run.1.last(), Some(&0), "nothing stays saved");
        }
    }
}
