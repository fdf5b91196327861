//! Our ops against candle's: the same values forward, the same gradients under candle's autograd.
//!
//! The reference always runs in f64. The numbers are drawn as f32, so that the f32 runs start from the same values
//! and the difference is that of the arithmetic alone.
#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not what they share")]

mod each_op;
mod network;
mod products;

use std::rc::Rc;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::BatchNorm;
use engine::Result;
use engine::ledger::Category;
use engine::ops::{self, ConvSpec};
use engine::param::{Init, ParamId, ParamKind, Params};
use engine::pass::{Mode, Pass, Session};
use engine::unroll::{Statistics, Through, TimeGradient};
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

const EPS: f64 = 1e-5;

fn candle_norm(channels: usize, gamma: &Tensor, beta: &Tensor) -> candle_core::Result<BatchNorm> {
    let mean = Tensor::zeros(channels, DType::F64, &Device::Cpu)?;
    let var = Tensor::ones(channels, DType::F64, &Device::Cpu)?;
    BatchNorm::new(channels, mean, var, gamma.clone(), beta.clone(), EPS)
}

fn through(statistics: &mut Statistics) -> Through<'_> {
    Through::new(statistics, TimeGradient::Kept)
}
