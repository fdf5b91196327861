//! Parameters whose gradients a test chooses.

use std::rc::Rc;

use candle_core::{DType, Device, Tensor};
use engine::ledger::Category;
use engine::ops;
use engine::param::{Init, ParamId, ParamKind, Params};
use engine::pass::{Mode, Pass, Session};
use engine::unroll::{Statistics, Through, TimeGradient};
use keys::Key;

/// Name, kind and shape of a parameter.
pub(crate) type Declared = (&'static str, ParamKind, &'static [usize]);

pub(crate) struct Setup {
    pub(crate) session: Rc<Session>,
    pub(crate) params: Params,
    pub(crate) ids: Vec<ParamId>,
}

impl Setup {
    pub(crate) fn new(dtype: DType, declared: &[Declared]) -> Self {
        Self::on(Session::new(Device::Cpu, dtype), declared)
    }

    pub(crate) fn on(session: Session, declared: &[Declared]) -> Self {
        let session = Rc::new(session);
        let mut params = Params::new(Rc::clone(&session), Key::new(8));
        let ids = declared
            .iter()
            .map(|&(name, kind, shape)| params.declare(name, kind, shape, Init::Normal(0.5)).unwrap())
            .collect();
        Self { session, params, ids }
    }

    pub(crate) fn numbers(&self) -> Vec<Vec<f64>> {
        self.params.iter().map(|param| numbers(param.value().tensor().unwrap())).collect()
    }

    pub(crate) fn gradients(&self) -> Vec<Vec<f64>> {
        self.params
            .iter()
            .map(|param| param.gradient().map(|g| numbers(g.tensor().unwrap())).unwrap_or_default())
            .collect()
    }

    pub(crate) fn assign(&self, name: &str, numbers: &[f64]) {
        let shape = self.params.find(name).unwrap().shape().to_vec();
        let tensor = Tensor::from_vec(numbers.to_vec(), shape, &Device::Cpu).unwrap();
        self.params.assign(name, &tensor).unwrap();
    }

    /// Makes `gradient` the gradient of a parameter: that of `sum(gradient * 1.0 * p)`.
    pub(crate) fn set_gradient(&self, which: usize, gradient: &[f64]) {
        let tape = self.session.tape();
        let pass = Pass::new(&self.session, &self.params, &tape, Mode::Train, 1, Key::new(0));
        let leaf = pass.param(self.ids[which]);
        let shape = leaf.shape().to_vec();
        let y = ops::scale(&pass, "scale", &leaf, 1.0).unwrap();
        let seed = Tensor::from_vec(gradient.to_vec(), shape.as_slice(), &Device::Cpu).unwrap();
        let seed = self.session.constant(Category::ActivationGradients, &shape, &seed).unwrap();
        let mut statistics = Statistics::default();
        let mut port = Through::new(&mut statistics, TimeGradient::Kept);
        tape.backward(&pass, &mut port, [(y, seed)]).unwrap();
    }

    /// Draws a gradient for every parameter and returns them.
    pub(crate) fn draw_gradients(&self, step: usize, deviation: f64) -> Vec<Vec<f64>> {
        self.params.clear_gradients();
        let drawn: Vec<Vec<f64>> = self
            .params
            .iter()
            .map(|param| draw(param.name(), step, param.value().len(), deviation))
            .collect();
        for (which, gradient) in drawn.iter().enumerate() {
            self.set_gradient(which, gradient);
        }
        drawn
    }
}

/// Normal numbers that f32 holds exactly.
pub(crate) fn draw(name: &str, step: usize, count: usize, deviation: f64) -> Vec<f64> {
    let mut stream = Key::new(9).fork(name).index(step as u64).stream();
    (0..count).map(|_| f64::from((deviation * stream.normal()) as f32)).collect()
}

pub(crate) fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

pub(crate) fn length(numbers: &[f64]) -> f64 {
    numbers.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Tolerances, relative to the largest number at stake: rounding of a few operations.
pub(crate) const DTYPES: [(DType, f64); 2] = [(DType::F64, 1e-12), (DType::F32, 1e-6)];

pub(crate) fn assert_close(place: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{place}");
    let most = expected.iter().fold(0.0_f64, |most, x| most.max(x.abs())).max(1e-30);
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * most, "{place}[{i}]: {a} against {b}");
    }
}
