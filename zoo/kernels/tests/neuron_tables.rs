//! Neurons against tables of the authors' own nodes: `tests/golden/lif`, in f64.
//!
//! 112 variants of SpikingJelly's nodes, SLTT's and OTTT's nodes (one backward a step), STBP's formula, membranes
//! that hit the threshold exactly, and T-RevSNN's quantiser at its break points.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where something is wrong")]

mod values;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use kernels::lif::*;
use serde_json::Value;
use values::*;

/// What the tables' notes advise, relative to the largest number of a table.
const TOLERANCE: f64 = 1e-12;

struct Golden {
    case: Value,
    tensors: HashMap<String, Tensor>,
}

impl Golden {
    fn load() -> Golden {
        let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/lif");
        let case = std::fs::read_to_string(folder.join("case.json")).unwrap();
        let tensors =
            candle_core::safetensors::load(folder.join("lif_f64.safetensors"), &Device::Cpu).unwrap();
        Golden { case: serde_json::from_str(&case).unwrap(), tensors }
    }

    fn tensor(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("the tables hold no {name}"))
    }
}

fn assert_table(found: &Tensor, expected: &Tensor, what: &str) {
    let (found, expected) = (list(found), list(expected));
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    let most = expected.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
        assert!((a - b).abs() <= TOLERANCE * most, "{what} [{i}]: {a} against {b}");
    }
}

fn text<'a>(variant: &'a Value, key: &str) -> &'a str {
    variant[key].as_str().unwrap_or_default()
}

/// The constants that a variant's description asks for.
fn cell(variant: &Value) -> Cell {
    let threshold = variant["v_threshold"].as_f64().unwrap();
    let stbp = text(variant, "neuron").starts_with("STBP");
    let reset = match text(variant, "reset") {
        "soft" => Reset::Soft,
        hard if hard.starts_with("hard") => Reset::Hard(variant["v_reset"].as_f64().unwrap_or(0.0)),
        other => panic!("no reset {other}"),
    };
    let surrogate = match text(variant, "surrogate") {
        // STBP's window leaves its ends out.
        "rectangle" => Surrogate::Rectangle { width: threshold, height: 1.0 / threshold, closed: true },
        strict if strict.starts_with("rectangle") => {
            Surrogate::Rectangle { width: 1.0, height: 1.0, closed: false }
        }
        "triangle" => Surrogate::Triangle { alpha: 1.0 },
        "sigmoid4" => Surrogate::Sigmoid { alpha: 4.0 },
        "arctan2" => Surrogate::ArcTan { alpha: 2.0 },
        other => panic!("no surrogate {other}"),
    };
    let detached = variant["detach_reset"].as_bool().unwrap_or(false);
    Cell {
        decay: variant["lam"].as_f64().unwrap(),
        input_gain: variant["input_gain"].as_f64().unwrap_or(1.0),
        threshold,
        reset,
        reset_grad: if detached { ResetGrad::Detached } else { ResetGrad::Through },
        surrogate,
        strict: stbp,
        time_gradient: !variant["charge_detached"].as_bool().unwrap_or(false),
        smooth: false,
    }
}

fn spikes_of(fired: Fired) -> Tensor {
    match fired {
        Fired::Spikes(bits) => bits.unpack(DType::F64).unwrap(),
        Fired::Smooth(_) => panic!("a neuron that is not smooth gives spikes"),
    }
}

/// Membranes before and after the reset, one step at a time.
fn membranes(cell: &Cell, x: &Tensor) -> (Tensor, Tensor) {
    let (steps, neurons) = x.dims2().unwrap();
    let s = LifShape { steps: 1, rows: 1, plane: neurons, channels: 1, current_steps: 1 };
    let (mut charged, mut kept) = (Vec::new(), Vec::new());
    let mut v = Tensor::zeros((1, neurons), DType::F64, &Device::Cpu).unwrap();
    for t in 0..steps {
        let frame = x.narrow(0, t, 1).unwrap().copy().unwrap();
        let after = |cell: &Cell| {
            forward(&s, cell, &Current { x: &frame, affine: None }, Some(&v), true).unwrap().1.unwrap()
        };
        charged.push(after(&Cell { reset: Reset::None, ..*cell }));
        v = after(cell);
        kept.push(v.clone());
    }
    (Tensor::cat(&charged, 0).unwrap(), Tensor::cat(&kept, 0).unwrap())
}

/// Compares everything that the tables hold of one variant.
fn check(golden: &Golden, name: &str, cell: &Cell, x: &Tensor, gs: &Tensor) {
    let (steps, neurons) = x.dims2().unwrap();
    let s = LifShape { steps, rows: 1, plane: neurons, channels: 1, current_steps: steps };
    let current = Current { x, affine: None };
    let (fired, _) = forward(&s, cell, &current, None, false).unwrap();
    let spikes = spikes_of(fired);
    assert_eq!(list(&spikes), list(golden.tensor(&format!("{name}/s"))), "{name}: spikes");
    let (u, v) = membranes(cell, x);
    assert_table(&u, golden.tensor(&format!("{name}/u")), &format!("{name}: membrane after the charge"));
    if let Some(expected) = golden.tensors.get(&format!("{name}/v")) {
        assert_table(&v, expected, &format!("{name}: membrane after the reset"));
    }
    let (di, _) = backward(&s, cell, &current, None, gs, None, false, false).unwrap();
    assert_table(&di, golden.tensor(&format!("{name}/grad_x")), &format!("{name}: gradient"));
    if let Some(expected) = golden.tensors.get(&format!("{name}/trace")) {
        let a = Tensor::zeros((1, neurons), DType::F64, &Device::Cpu).unwrap();
        for t in 0..steps {
            let s = spikes.narrow(0, t, 1).unwrap().copy().unwrap();
            trace(&a, &packed(&s, 1), cell.decay).unwrap();
            assert_table(&a, &expected.narrow(0, t, 1).unwrap(), &format!("{name}: trace at {t}"));
        }
    }
}

/// Those called `equality/` bring membranes that lie on the threshold, and their own inputs.
#[test]
fn every_variant_of_the_tables_is_reproduced() {
    let golden = Golden::load();
    let variants = golden.case["variants"].as_object().unwrap();
    assert_eq!(variants.len(), 112 + 12 + 1 + 5 + 2);
    for (name, variant) in variants {
        let inputs = if name.starts_with("equality/") { "equality/" } else { "" };
        let input = |what| golden.tensor(&format!("{inputs}{what}"));
        check(&golden, name, &cell(variant), input("x"), input("gs"));
    }
}

/// Training fires at one half and above; the released evaluation rounds one half to even, so it fires above only.
#[test]
fn the_quantiser_is_that_of_the_tables() {
    let golden = Golden::load();
    let x = golden.tensor("quant/x");
    let s = LifShape { steps: 1, rows: 1, plane: x.elem_count(), channels: 1, current_steps: 1 };
    let cell = Cell {
        decay: 0.0,
        input_gain: 1.0,
        threshold: 0.5,
        reset: Reset::None,
        reset_grad: ResetGrad::Detached,
        surrogate: Surrogate::Window { low: 0.0, high: 1.0 },
        strict: false,
        time_gradient: true,
        smooth: false,
    };
    let current = Current { x, affine: None };
    for (strict, table) in [(false, "quant/y_train"), (true, "quant/y_eval")] {
        let (fired, _) = forward(&s, &Cell { strict, ..cell }, &current, None, false).unwrap();
        assert_eq!(list(&spikes_of(fired)), list(golden.tensor(table)), "{table}");
    }
    let (di, _) = backward(&s, &cell, &current, None, golden.tensor("quant/gy"), None, false, false).unwrap();
    assert_table(&di, golden.tensor("quant/grad_x"), "quantiser's gradient");
}
