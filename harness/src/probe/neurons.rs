//! Tables of neurons: currents in, membranes, spikes and gradients out, no network.

use candle_core::{DType, Device, Tensor};
use kernels::lif::{self, Cell, Current, Fired, LifShape, Reset, ResetGrad, Surrogate};
use serde::Deserialize;

use super::case::{Case, Tensors};
use super::replay::Replayed;
use crate::error::{Error, Result};

/// The constants of one variant, as `case.json` describes them.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Variant {
    neuron: String,
    lam: f64,
    #[serde(default)]
    input_gain: Option<f64>,
    reset: String,
    #[serde(default)]
    v_reset: Option<f64>,
    #[serde(default)]
    detach_reset: Option<bool>,
    surrogate: String,
    v_threshold: f64,
    #[serde(default)]
    charge_detached: Option<bool>,
}

impl Variant {
    fn cell(&self, place: &str) -> Result<Cell> {
        let refuse = |field: &str, rule: &str, found: &str| {
            Err(Error::value(format!("{place}: {field}"), rule, found))
        };
        let reset = match self.reset.as_str() {
            "soft" => Reset::Soft,
            hard if hard.starts_with("hard") => Reset::Hard(self.v_reset.unwrap_or(0.0)),
            other => return refuse("reset", "soft or hard", other),
        };
        let surrogate = match self.surrogate.as_str() {
            "rectangle" => {
                let width = self.v_threshold;
                Surrogate::Rectangle { width, height: 1.0 / width, closed: true }
            }
            // The window of STBP leaves its ends out.
            strict if strict.starts_with("rectangle |") => {
                Surrogate::Rectangle { width: 1.0, height: 1.0, closed: false }
            }
            "triangle" => Surrogate::Triangle { alpha: 1.0 },
            named => {
                let alpha =
                    |curve: &str| named.strip_prefix(curve).and_then(|alpha| alpha.parse::<f64>().ok());
                match (alpha("sigmoid"), alpha("arctan")) {
                    (Some(alpha), _) => Surrogate::Sigmoid { alpha },
                    (_, Some(alpha)) => Surrogate::ArcTan { alpha },
                    _ => return refuse("surrogate", "rectangle, triangle, sigmoid4 or arctan2", named),
                }
            }
        };
        let detached = self.detach_reset.unwrap_or(false);
        Ok(Cell {
            decay: self.lam,
            input_gain: self.input_gain.unwrap_or(1.0),
            threshold: self.v_threshold,
            reset,
            reset_grad: if detached { ResetGrad::Detached } else { ResetGrad::Through },
            surrogate,
            strict: self.neuron.starts_with("STBP"),
            time_gradient: !self.charge_detached.unwrap_or(false),
            smooth: false,
        })
    }
}

/// Runs every variant of the case and, where the file has its tables, the quantiser.
pub(super) fn replay(case: &Case, file: &Tensors, device: &Device) -> Result<Replayed> {
    let place = file.path.display().to_string();
    let failed = |source: engine::Error| Error::Setting { place: place.clone(), source };
    let there = |name: &str| -> Result<Tensor> {
        file.get(name)?.to_device(device).map_err(|error| failed(engine::Error::from(error)))
    };
    let mut replayed = Replayed::new();
    for (name, variant) in &case.variants {
        let cell = variant.cell(&format!("{place}: {name}"))?;
        // Some variants bring inputs of their own, beside which they stand.
        let folder = name.rsplit_once('/').map(|(folder, _)| format!("{folder}/")).unwrap_or_default();
        let (x, gs) = (there(&format!("{folder}x"))?, there(&format!("{folder}gs"))?);
        run(name, &cell, &x, &gs, &mut replayed).map_err(failed)?;
    }
    if file.iter().any(|(name, _)| name == "quant/x") {
        quantiser(&there("quant/x")?, &there("quant/gy")?, &mut replayed).map_err(failed)?;
    }
    Ok(replayed)
}

fn run(name: &str, cell: &Cell, x: &Tensor, gs: &Tensor, into: &mut Replayed) -> engine::Result<()> {
    let (steps, neurons) = x.dims2()?;
    let shape = LifShape { steps, rows: 1, plane: neurons, channels: 1, current_steps: steps };
    let current = Current { x, affine: None };
    let spikes = spikes(lif::forward(&shape, cell, &current, None, false)?.0, x.dtype())?;
    let spikes = spikes.reshape((steps, neurons))?;
    let (gradient, _) = lif::backward(&shape, cell, &current, None, gs, None, false, false)?;
    let (charged, kept) = membranes(cell, x)?;
    let trace = trace(cell, &spikes)?;
    for (what, tensor) in [("s", spikes), ("grad_x", gradient), ("u", charged), ("v", kept), ("trace", trace)]
    {
        into.insert(format!("{name}/{what}"), tensor);
    }
    Ok(())
}

fn spikes(fired: Fired, dtype: DType) -> engine::Result<Tensor> {
    match fired {
        Fired::Spikes(bits) => Ok(bits.unpack(dtype)?),
        Fired::Smooth(values) => Ok(values),
    }
}

/// Membranes after the charge and after the reset `[T, N]`, one step at a time.
fn membranes(cell: &Cell, x: &Tensor) -> engine::Result<(Tensor, Tensor)> {
    let (steps, neurons) = x.dims2()?;
    let shape = LifShape { steps: 1, rows: 1, plane: neurons, channels: 1, current_steps: 1 };
    let charge_only = Cell { reset: Reset::None, ..*cell };
    let (mut charged, mut kept) = (Vec::new(), Vec::new());
    let mut v = Tensor::zeros((1, neurons), x.dtype(), x.device())?;
    for step in 0..steps {
        let frame = x.narrow(0, step, 1)?.copy()?;
        let after = |cell: &Cell| -> engine::Result<Tensor> {
            let current = Current { x: &frame, affine: None };
            let (_, last) = lif::forward(&shape, cell, &current, Some(&v), true)?;
            last.ok_or_else(|| engine::Error::Misuse("the kernel kept no membrane".into()))
        };
        charged.push(after(&charge_only)?);
        v = after(cell)?;
        kept.push(v.clone());
    }
    Ok((Tensor::cat(&charged, 0)?, Tensor::cat(&kept, 0)?))
}

/// `a_t = decay a_{t-1} + s_t`, `[T, N]`.
fn trace(cell: &Cell, spikes: &Tensor) -> engine::Result<Tensor> {
    let (steps, neurons) = spikes.dims2()?;
    let mut trace = Tensor::zeros((1, neurons), spikes.dtype(), spikes.device())?;
    let mut all = Vec::new();
    for step in 0..steps {
        trace = ((trace * cell.decay)? + spikes.narrow(0, step, 1)?)?;
        all.push(trace.clone());
    }
    Ok(Tensor::cat(&all, 0)?)
}

/// The quantiser in training and in evaluation, as the engine's own neuron has it.
fn quantiser(x: &Tensor, gy: &Tensor, into: &mut Replayed) -> engine::Result<()> {
    use engine::neuron::Neuron;
    use engine::pass::Mode;
    let shape = LifShape { steps: 1, rows: 1, plane: x.elem_count(), channels: 1, current_steps: 1 };
    let (current, neuron) = (Current { x, affine: None }, Neuron::Quantiser { smooth: false });
    for (mode, name) in [(Mode::Train, "quant/y_train"), (Mode::Eval, "quant/y_eval")] {
        let (fired, _) = lif::forward(&shape, &neuron.cell(mode), &current, None, false)?;
        into.insert(name.into(), spikes(fired, x.dtype())?);
    }
    let cell = neuron.cell(Mode::Train);
    let (gradient, _) = lif::backward(&shape, &cell, &current, None, gy, None, false, false)?;
    into.insert("quant/grad_x".into(), gradient);
    Ok(())
}
