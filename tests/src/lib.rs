//! What the tests of the whole house share: small networks, batches, and an optimiser that holds still.
#![forbid(unsafe_code)]

use std::rc::Rc;

use candle_core::{DType, Device};
use engine::loss::{Loss, MseTarget};
use engine::method::{Batch, Outcome, RunSpec, Settings, Trainer};
use engine::model::{LevelChoices, ModelEntry, ModelSpec, Sizes};
use engine::neuron::{Firing, InputDecay, Neuron, Reset, ResetGradient, Surrogate};
use engine::norm::NormOver;
use engine::param::Params;
use engine::pass::Session;
use engine::region::Grid;
use engine::{Error, Result};
use keys::Key;

pub use engine::optim::Hold;

/// A neuron of OTTT's form: leak 1/2, soft detached reset, sigmoid surrogate.
#[must_use]
pub fn neuron() -> Neuron {
    Neuron::Lif {
        decay: 0.5,
        input_decay: InputDecay::Off,
        threshold: 1.0,
        reset: Reset::Soft,
        reset_gradient: ResetGradient::Detached,
        surrogate: Surrogate::Sigmoid,
        firing: Firing::At,
        smooth: false,
    }
}

/// A small specification: 8x8 images of two channels, four classes, T = 4.
#[must_use]
pub fn spec() -> ModelSpec {
    ModelSpec {
        image: [2, 8, 8],
        classes: 4,
        steps: 4,
        width: 0.25,
        depth: None,
        sizes: Sizes::default(),
        neuron: neuron(),
        norm: NormOver::Step,
        grid: Some(Grid::default()),
        dropout: 0.0,
        drop_path: 0.0,
        levels: LevelChoices::default(),
    }
}

/// A model of the zoo, small enough to train in a test: an eighth of its published width (the `tiny-*` models: a
/// quarter), 32 x 32 pixels, ten classes, norms per step so that every method can follow, streams on a grid.
#[must_use]
pub fn small(entry: &ModelEntry, steps: usize) -> ModelSpec {
    let published = (entry.published)();
    let width = if entry.id.starts_with("tiny-") { 0.25 } else { published.width / 8.0 };
    ModelSpec {
        image: [published.image[0], 32, 32],
        classes: 10,
        steps,
        width,
        norm: NormOver::Step,
        grid: Some(Grid::default()),
        // A head of an eighth of the channels could hardly fire on a few tokens.
        sizes: Sizes { heads: Some(1), ..published.sizes },
        dropout: 0.0,
        ..published
    }
}

/// The cross-entropy of every step.
#[must_use]
pub fn per_step() -> Loss {
    Loss::PerStep { mse: 0.0, target: MseTarget::OneHot, smoothing: 0.0 }
}

/// A trainer of a model from the zoo.
///
/// # Errors
/// When the ids are unknown or the pair is not supported.
pub fn trainer(
    method: &str,
    model: &str,
    spec: &ModelSpec,
    dtype: DType,
    loss: Loss,
) -> Result<Box<dyn Trainer>> {
    let entry = models::find(model).ok_or_else(|| Error::setting("model", "one of the zoo", model))?;
    trainer_of(method, entry, spec, dtype, loss)
}

/// A trainer of any model.
///
/// # Errors
/// When the method is unknown or the pair is not supported.
pub fn trainer_of(
    method: &str,
    entry: &ModelEntry,
    spec: &ModelSpec,
    dtype: DType,
    loss: Loss,
) -> Result<Box<dyn Trainer>> {
    trainer_with((method, &Settings::default()), entry, spec, dtype, loss)
}

/// A trainer of any model by a method with settings.
///
/// # Errors
/// When the method is unknown, a setting is refused, or the pair is not supported.
pub fn trainer_with(
    (method, settings): (&str, &Settings),
    entry: &ModelEntry,
    spec: &ModelSpec,
    dtype: DType,
    loss: Loss,
) -> Result<Box<dyn Trainer>> {
    let method =
        registry::find(method).ok_or_else(|| Error::setting("method", "one of the registry", method))?;
    let method = (method.build)(settings)?;
    let session = Rc::new(Session::new(Device::Cpu, dtype));
    let params = Params::new(session, Key::new(7).fork("init"));
    let mut spec = spec.clone();
    spec.steps = method.steps(spec.steps);
    let network = entry.network(&spec, params)?;
    let run = RunSpec::new(spec.steps, loss, Key::new(7).fork("run"));
    method.trainer(network, run)
}

/// A batch of random images `[1, B, C, H, W]` with classes in turn. Up to 16 pixels a side they are white noise; larger
/// ones are smooth as pictures are, patches of 8 x 8 pixels, so that pools leave something, and with two channels they
/// are frames `[T, B, 2, H, W]`.
///
/// # Errors
/// When memory is short.
pub fn batch(session: &Session, spec: &ModelSpec, size: usize) -> Result<Batch> {
    let [c, h, w] = spec.image;
    let mut stream = Key::new(11).stream();
    let (frames, patch) = if h <= 16 { (1, 1) } else { (if c == 2 { spec.steps } else { 1 }, 8) };
    let (rows, columns) = (h.div_ceil(patch), w.div_ceil(patch));
    let planes = frames * size * c;
    let spread = if patch == 1 { 1.0 } else { 2.0 };
    let patches: Vec<f32> = (0..planes * rows * columns).map(|_| (spread * stream.normal()) as f32).collect();
    let pixel = |at: usize| {
        let (plane, y, x) = (at / (h * w), at / w % h, at % w);
        patches[(plane * rows + y / patch) * columns + x / patch]
    };
    let numbers = (0..planes * h * w).map(pixel).collect();
    Ok(Batch {
        images: session.input(&[frames, size, c, h, w], numbers)?,
        labels: (0..size).map(|index| (index % spec.classes) as u32).collect::<Vec<_>>().into(),
    })
}

/// Gradients by parameter name, in declaration order.
pub type Gradients = Vec<(String, Vec<f64>)>;

/// One step without an update, and the gradients it left, by parameter name in declaration order.
///
/// # Errors
/// When the step fails.
pub fn gradients(trainer: &mut dyn Trainer, batch: &Batch) -> Result<(Outcome, Gradients)> {
    let outcome = trainer.step(batch, &mut Hold)?;
    let mut all = Vec::new();
    for param in trainer.network().params.iter() {
        let numbers = match param.gradient() {
            Some(gradient) => gradient.tensor()?.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?,
            None => vec![0.0; param.value().len()],
        };
        all.push((param.name().to_string(), numbers));
    }
    Ok((outcome, all))
}

/// `max |a - b| / max |b|` over two lists; 0 where both are all zero.
#[must_use]
pub fn relative_difference(a: &[f64], b: &[f64]) -> f64 {
    let scale = b.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    let off = a.iter().zip(b).fold(0.0_f64, |most, (x, y)| most.max((x - y).abs()));
    if off == 0.0 { 0.0 } else { off / scale.max(f64::MIN_POSITIVE) }
}
