//! What PyTorch and timm compute, from `tests/golden/optimiser`.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use engine::loss::{Loss, MseTarget, Targets};
use engine::optim::{AverageSpec, Clip, OptimSpec, Per, Schedule, Undecayed};
use engine::param::ParamKind;
use engine::unroll::Statistics;

use crate::average::normalise;
use crate::setup::{DTYPES, Declared, Setup, assert_close, numbers};

const DECLARED: [Declared; 11] = [
    ("conv.weight", ParamKind::Weight, &[4, 3, 3, 3]),
    ("conv.bias", ParamKind::Bias, &[4]),
    ("conv.gain", ParamKind::Gain, &[4, 1, 1, 1]),
    ("bn.weight", ParamKind::Norm, &[4]),
    ("bn.bias", ParamKind::Norm, &[4]),
    ("fc.weight", ParamKind::Weight, &[5, 6]),
    ("fc.bias", ParamKind::Bias, &[5]),
    ("zero.weight", ParamKind::Weight, &[3, 2]),
    ("small.weight", ParamKind::Weight, &[3, 4]),
    // timm's LAMB refuses tensors without axes.
    ("skip", ParamKind::Gain, &[]),
    ("tiny0d", ParamKind::Gain, &[]),
];

/// The tensors of one dtype's file.
struct Golden(HashMap<String, Tensor>);

impl Golden {
    fn of(dtype: DType) -> Self {
        let name = if dtype == DType::F64 { "optimiser_f64" } else { "optimiser_f32" };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/optimiser");
        let path = folder.join(name).with_extension("safetensors");
        Self(candle_core::safetensors::load(path, &Device::Cpu).unwrap())
    }

    fn get(&self, name: &str) -> Vec<f64> {
        numbers(self.0.get(name).unwrap_or_else(|| panic!("no tensor {name}")))
    }
}

fn setup(golden: &Golden, dtype: DType, from: &str, count: usize) -> Setup {
    let setup = Setup::new(dtype, &DECLARED[..count]);
    for (name, ..) in &DECLARED[..count] {
        setup.assign(name, &golden.get(&format!("{from}/{name}")));
    }
    setup
}

/// Two updates of the first `count` parameters.
fn updated(variant: &str, spec: OptimSpec, rate: f64, count: usize) {
    for (dtype, tolerance) in DTYPES {
        let golden = Golden::of(dtype);
        let setup = setup(&golden, dtype, "opt/param", count);
        let mut optimizer = spec.build(&setup.params).unwrap();
        optimizer.set_learning_rate(rate);
        for step in 1..=2 {
            setup.params.clear_gradients();
            for (which, (name, ..)) in DECLARED[..count].iter().enumerate() {
                setup.set_gradient(which, &golden.get(&format!("opt/grad{step}/{name}")));
            }
            optimizer.update(&setup.params).unwrap();
            for (found, (name, ..)) in setup.numbers().iter().zip(&DECLARED[..count]) {
                let place = format!("opt/{variant}/step{step}/{name}");
                assert_close(&format!("{dtype:?} {place}"), found, &golden.get(&place), tolerance);
            }
        }
    }
}

#[test]
fn sgd() {
    for (variant, nesterov) in [("sgd", false), ("sgd_nesterov", true)] {
        let undecayed = Undecayed::Nothing;
        updated(variant, OptimSpec::Sgd { momentum: 0.9, weight_decay: 5e-4, nesterov, undecayed }, 0.1, 10);
    }
}

#[test]
fn adam_and_adam_w_with_timms_groups() {
    updated("adam", OptimSpec::adam(0.0), 1e-3, 10);
    updated("adam_wd", OptimSpec::adam(5e-4), 1e-3, 10);
    let undecayed = Undecayed::VectorsAndBiases;
    let spec = OptimSpec::AdamW { weight_decay: 0.06, betas: [0.9, 0.999], eps: 1e-8, undecayed };
    updated("adamw", spec, 5e-4, 10);
}

#[test]
fn lamb_with_trust_clip_eps_and_its_own_norm() {
    for (clip, trust_clip) in [("clip", true), ("noclip", false)] {
        for (digits, eps) in [("8", 1e-8), ("6", 1e-6)] {
            for (most, max_grad_norm) in [("1", Some(1.0)), ("none", None)] {
                let spec = OptimSpec::Lamb {
                    weight_decay: 0.01,
                    betas: [0.9, 0.999],
                    eps,
                    undecayed: Undecayed::VectorsAndBiases,
                    trust_clip,
                    always_adapt: false,
                    max_grad_norm,
                };
                updated(&format!("lamb_{clip}_eps1e-{digits}_mgn{most}"), spec, 2e-3, 9);
            }
        }
    }
}

#[test]
fn clipping() {
    let cases = [
        ("agc", Clip::Adaptive { factor: 0.02 }),
        ("norm_above", Clip::Norm { at: 1.0 }),
        ("norm_below", Clip::Norm { at: 1.0 }),
    ];
    for (dtype, tolerance) in DTYPES {
        let golden = Golden::of(dtype);
        for (mode, clip) in cases {
            let setup = setup(&golden, dtype, &format!("clip/{mode}/param"), DECLARED.len());
            for (which, (name, ..)) in DECLARED.iter().enumerate() {
                setup.set_gradient(which, &golden.get(&format!("clip/{mode}/grad_in/{name}")));
            }
            clip.apply(&setup.params).unwrap();
            for (found, (name, ..)) in setup.gradients().iter().zip(&DECLARED) {
                let place = format!("clip/{mode}/grad_out/{name}");
                assert_close(&format!("{dtype:?} {place}"), found, &golden.get(&place), tolerance);
            }
        }
    }
}

/// The average of a linear layer and a norm with its running statistics.
#[test]
fn averages() {
    const LAYERS: [Declared; 4] = [
        ("1.weight", ParamKind::Norm, &[3]),
        ("1.bias", ParamKind::Norm, &[3]),
        ("0.weight", ParamKind::Weight, &[3, 4]),
        ("0.bias", ParamKind::Bias, &[3]),
    ];
    for (dtype, tolerance) in DTYPES {
        let golden = Golden::of(dtype);
        let setup = Setup::new(dtype, &LAYERS);
        let mut statistics = Statistics::default();
        normalise(&setup, &mut statistics, 0);
        let load = |statistics: &Statistics, model: usize| {
            let get = |name: &str| golden.get(&format!("ema/model{model}/{name}"));
            for (name, ..) in LAYERS {
                setup.assign(name, &get(name));
            }
            let (_, mean, var, _) = statistics.iter().next().unwrap();
            for (value, name) in [(mean, "1.running_mean"), (var, "1.running_var")] {
                let from = Tensor::from_vec(get(name), 3, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
                kernels::elementwise::copy(value.tensor().unwrap(), &from).unwrap();
            }
        };
        load(&statistics, 0);
        let mut average = AverageSpec { decay: 0.9992 }.build(&setup.params, &statistics).unwrap();
        for model in 0..3 {
            load(&statistics, model);
            average.update(&setup.params, &statistics).unwrap();
            average.exchange(&setup.params, &statistics).unwrap();
            let check = |version: &str, name: &str, found: &[f64]| {
                let place = format!("ema/{version}/after{model}/{name}");
                assert_close(&format!("{dtype:?} {place}"), found, &golden.get(&place), tolerance);
            };
            for version in ["v1", "v2"] {
                for (found, (name, ..)) in setup.numbers().iter().zip(LAYERS) {
                    check(version, name, found);
                }
                let (_, mean, var, _) = statistics.iter().next().unwrap();
                check(version, "1.running_mean", &numbers(mean.tensor().unwrap()));
                check(version, "1.running_var", &numbers(var.tensor().unwrap()));
            }
            average.exchange(&setup.params, &statistics).unwrap();
        }
    }
}

#[test]
fn losses() {
    let per_step = |mse, target, smoothing| Loss::PerStep { mse, target, smoothing };
    let (hot, ones) = (MseTarget::OneHot, MseTarget::Constant(1.0));
    let cases = [
        ("ce", "logits_mean", Loss::MeanScores { smoothing: 0.0 }),
        ("label_smoothing", "logits_mean", Loss::MeanScores { smoothing: 0.1 }),
        ("soft_target_mixup", "logits_mean", Loss::MeanScores { smoothing: 0.1 }),
        ("tet_ls", "logits_t", per_step(0.001, ones, 0.1)),
        ("tet_ce", "logits_t", per_step(0.001, ones, 0.0)),
        ("tet_ce_lamb0", "logits_t", per_step(0.0, ones, 0.0)),
        ("tet_ce_lamb05", "logits_t", per_step(0.05, ones, 0.0)),
        ("trevsnn_compound", "logits_t", Loss::DeepSupervision { smoothing: 0.1, last: 1.0 }),
        ("trevsnn_compound_ce", "logits_t", Loss::DeepSupervision { smoothing: 0.0, last: 1.0 }),
        ("ottt_mix", "logits_t", per_step(0.05, hot, 0.0)),
        ("sltt_mix_ones", "logits_t", per_step(0.05, ones, 0.0)),
    ];
    for (dtype, tolerance) in DTYPES {
        let golden = Golden::of(dtype);
        let classes: Vec<u32> = golden.get("loss/y").iter().map(|label| *label as u32).collect();
        for (name, input, loss) in cases {
            let targets = if name == "soft_target_mixup" {
                let partners = classes.iter().rev().copied().collect();
                Targets::mixed(classes.clone(), partners, vec![0.3; 3]).unwrap()
            } else {
                classes.clone().into()
            };
            let all = golden.0[&format!("loss/{input}")].reshape(((), 3, 5)).unwrap();
            let (steps, total) = (all.dim(0).unwrap(), all.sum(0).unwrap());
            let (mut sum, mut gradients) = (0.0, Vec::new());
            for step in 0..steps {
                let scores = all.get(step).unwrap().contiguous().unwrap();
                let (part, gradient) = loss.step((step, steps), &scores, Some(&total), &targets).unwrap();
                sum += part.read().unwrap();
                gradients.extend(numbers(&gradient));
            }
            let place = format!("{dtype:?} {name}");
            assert_close(&place, &[sum], &golden.get(&format!("loss/{name}/loss")), tolerance);
            assert_close(&place, &gradients, &golden.get(&format!("loss/{name}/grad")), tolerance);
        }
    }
}

#[test]
fn schedules() {
    let golden = Golden::of(DType::F64);
    let cosine = |rate, floor, (warmup_epochs, from), warmup_prefix, cooldown_epochs, per| Schedule::Cosine {
        rate,
        floor,
        warmup_epochs,
        warmup_from: (warmup_epochs > 0.0).then_some(from),
        warmup_prefix,
        cooldown_epochs,
        per,
    };
    let (iteration, epoch) = (Per::Iteration, Per::Epoch);
    let warm = |epochs| (epochs, 1e-5);
    // Name, schedule, epochs of the run with cool-down, updates an epoch.
    let cases = [
        ("revsnn_cifar", cosine(5e-4, 1e-5, warm(20.0), false, 10.0, epoch), 310.0, 1.0),
        ("revsnn_cifar10dvs", cosine(1e-3, 1e-5, warm(10.0), false, 10.0, epoch), 106.0, 1.0),
        ("revsnn_gesture", cosine(1e-3, 1e-5, warm(10.0), false, 10.0, epoch), 202.0, 1.0),
        ("sdt_imagenet", cosine(1.5e-3, 1.5e-5, warm(20.0), false, 10.0, epoch), 310.0, 1.0),
        ("updates_tiny", cosine(5e-4, 1e-5, warm(2.0), false, 2.0, iteration), 8.0, 5.0),
        // With a prefix, timm's run of 6 epochs of cosine is 10 long; the first 8 were kept.
        ("updates_tiny_prefix", cosine(5e-4, 1e-5, warm(2.0), true, 2.0, iteration), 10.0, 5.0),
        ("trevsnn_tiny", cosine(2e-3, 1e-6, warm(2.0), true, 0.0, iteration), 6.0, 5.0),
        (
            "trevsnn_small_yaml_first_iteration_of_each_epoch",
            cosine(2e-3, 1e-6, warm(20.0), true, 0.0, iteration),
            300.0,
            1.0,
        ),
        ("torch_cosine_Tmax12", cosine(0.1, 0.0, (0.0, 0.0), true, 0.0, epoch), 12.0, 1.0),
    ];
    for (name, schedule, epochs, updates) in cases {
        schedule.check().unwrap();
        let expected = golden.get(&format!("sched/{name}"));
        let found: Vec<f64> =
            (0..expected.len()).map(|update| schedule.rate(update as f64 / updates, epochs)).collect();
        assert_close(name, &found, &expected, 1e-12);
    }
}
