//! What the set-ups of the papers share: inputs and neurons.

use engine::model::{LevelChoices, ModelSpec, Sizes};
use engine::neuron::{Firing, InputDecay, Neuron, Reset, ResetGradient, Surrogate};
use engine::norm::NormOver;
use engine::region::Grid;

/// A 32 x 32 colour image in 10 classes.
pub(crate) const CIFAR: ([usize; 3], usize) = ([3, 32, 32], 10);

/// A 224 x 224 colour image in 1000 classes.
pub(crate) const IMAGENET: ([usize; 3], usize) = ([3, 224, 224], 1000);

/// Frames of two polarities, 48 x 48, in 10 classes: CIFAR10-DVS as OTTT and SLTT cut it.
pub(crate) const DVS_48: ([usize; 3], usize) = ([2, 48, 48], 10);

/// Frames of two polarities, 128 x 128, in 10 classes: CIFAR10-DVS uncut.
pub(crate) const DVS_128: ([usize; 3], usize) = ([2, 128, 128], 10);

/// The published size of a network: this input, T, this neuron and norm, plain floating point, nothing dropped.
pub(crate) fn set_up(
    (image, classes): ([usize; 3], usize),
    steps: usize,
    neuron: Neuron,
    norm: NormOver,
) -> ModelSpec {
    ModelSpec {
        image,
        classes,
        steps,
        width: 1.0,
        depth: None,
        sizes: Sizes::default(),
        neuron,
        norm,
        grid: None,
        dropout: 0.0,
        drop_path: 0.0,
        levels: LevelChoices::default(),
    }
}

/// The set-up of the `tiny-*` models, which no paper published.
pub(crate) fn tiny() -> ModelSpec {
    let spec = set_up(([1, 28, 28], 10), 4, OTTT, NormOver::Step);
    ModelSpec { grid: Some(Grid::default()), ..spec }
}

/// OTTT: leak 1/2, no input decay, soft detached reset, sigmoid.
pub(crate) const OTTT: Neuron =
    lif(0.5, InputDecay::Off, Reset::Soft, ResetGradient::Detached, Surrogate::Sigmoid);

/// SLTT: tau = 1.1, no input decay, soft reset, triangle. Its BPTT baseline differentiates the reset.
pub(crate) const SLTT: Neuron =
    lif(1.0 - 1.0 / 1.1, InputDecay::Off, Reset::Soft, ResetGradient::Through, Surrogate::Triangle);

/// S-RevSNN's residual networks on images: integrate and fire, hard detached reset, arctan.
pub(crate) const REV_IF: Neuron =
    lif(1.0, InputDecay::Off, Reset::Hard, ResetGradient::Detached, Surrogate::Arctan);

/// S-RevSNN on events: tau = 1.5, input decay, hard detached reset, sigmoid.
pub(crate) const REV_DVS: Neuron =
    lif(1.0 - 1.0 / 1.5, InputDecay::On, Reset::Hard, ResetGradient::Detached, Surrogate::Sigmoid);

/// Spiking transformers on images: tau = 2, input decay, hard detached reset, sigmoid.
pub(crate) const TRANSFORMER: Neuron =
    lif(0.5, InputDecay::On, Reset::Hard, ResetGradient::Detached, Surrogate::Sigmoid);

/// A neuron with threshold 1 that fires at it.
pub(crate) const fn lif(
    decay: f64,
    input_decay: InputDecay,
    reset: Reset,
    reset_gradient: ResetGradient,
    surrogate: Surrogate,
) -> Neuron {
    Neuron::Lif {
        decay,
        input_decay,
        threshold: 1.0,
        reset,
        reset_gradient,
        surrogate,
        firing: Firing::At,
        smooth: false,
    }
}
