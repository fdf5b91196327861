//! 2-D cross-correlation.
//!
//! ```text
//! y[n, o, i, j] = b[o] + sum over (c, p, q) of w[o, c, p, q] * x[n, g(o)*C + c, i*stride + p - pad, j*stride + q - pad]
//! x [n, c_in, h, w]   w [c_out, c_in/groups, kh, kw]   b [c_out]   y [n, c_out, h_out, w_out]   C = c_in/groups
//! ```
//!
//! `f32` unfolds patches tile by tile into the thread's scratch, expanding spikes on the way, and multiplies
//! matrices (`unfolded`); depthwise convolutions run direct loops (`depthwise`); 3x3 and 1x1 convolutions of spikes have
//! kernels of their own (`events`); 3x3 convolutions of numbers run
//! Winograd's (`winograd`), gradients of 1x1 ones products at each pixel (`pointwise`), small maps and strides go pair by pair of pixels (`taps`). `f64` runs the plain loops (`plain`), which are the oracle of the tests.

mod depthwise;
mod events;
mod parts;
mod plain;
mod pointwise;
mod taps;
mod unfolded;
mod vectors;
mod winograd;

use candle_core::{DType, Tensor};

use crate::bits::{Source, lend};
use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::error::ensure;
use crate::real::Real;
use crate::storage::{distinct, read, read_opt, write};
use crate::{Operand, Result, held};

pub use winograd::Tiles;

/// Sizes of a 2-D convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Images (steps times batch).
    pub n: usize,
    /// Input channels.
    pub c_in: usize,
    /// Input rows.
    pub h: usize,
    /// Input columns.
    pub w: usize,
    /// Output channels.
    pub c_out: usize,
    /// Kernel rows and columns.
    pub kernel: (usize, usize),
    /// Stride, both ways.
    pub stride: usize,
    /// Zeros around the input, on each side.
    pub pad: usize,
    /// Groups that the channels are split into.
    pub groups: usize,
}

impl ConvShape {
    /// Output rows.
    pub fn out_h(&self) -> usize {
        (self.h + 2 * self.pad + 1).saturating_sub(self.kernel.0).div_ceil(self.stride.max(1))
    }

    /// Output columns.
    pub fn out_w(&self) -> usize {
        (self.w + 2 * self.pad + 1).saturating_sub(self.kernel.1).div_ceil(self.stride.max(1))
    }

    /// Refuses sizes that make no convolution.
    pub fn check(&self) -> Result<()> {
        let rule = |holds, rule| ensure(holds, "conv", rule, || format!("{self:?}"));
        rule(self.stride > 0, "the stride must be positive")?;
        rule(self.groups > 0 && self.c_in > 0 && self.c_out > 0, "channels and groups must be positive")?;
        rule(
            self.c_in.is_multiple_of(self.groups) && self.c_out.is_multiple_of(self.groups),
            "the groups must divide the channels",
        )?;
        rule(self.kernel.0 > 0 && self.kernel.1 > 0, "the kernel must be positive")?;
        rule(self.out_h() > 0 && self.out_w() > 0, "the kernel must fit into the padded input")
    }

    pub(crate) fn input_len(&self) -> usize {
        self.n * self.c_in * self.h * self.w
    }

    pub(crate) fn output_len(&self) -> usize {
        self.n * self.c_out * self.out_h() * self.out_w()
    }

    pub(crate) fn weight_len(&self) -> usize {
        self.c_out * self.patch()
    }

    /// Weights of one output channel.
    pub(crate) fn patch(&self) -> usize {
        self.c_in / self.groups * self.kernel.0 * self.kernel.1
    }

    /// One filter a channel (and no output that sees padding alone, which the direct loops do not serve).
    fn is_depthwise(&self) -> bool {
        let seen = self.pad < self.kernel.0.min(self.kernel.1);
        self.groups == self.c_in && self.c_in == self.c_out && seen
    }
}

/// Computes the output `[n, c_out, h_out, w_out]`, in the weights' type.
pub fn forward(s: &ConvShape, x: Operand, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    const OP: &str = "conv::forward";
    s.check()?;
    on_cuda!(weight => crate::cuda::ops::conv::forward(OP, s, x, weight, bias));
    let dtype = weight.dtype();
    let y = dispatch!(OP, weight, T => {
        let (x, w) = (lend::<T>(OP, x, s.input_len())?, read::<T>(OP, "weight", weight, s.weight_len())?);
        let b = read_opt::<T>(OP, "bias", bias, s.c_out)?;
        held::made(<T as Arm>::forward(s, x.source(), &w, b.as_deref()), (s.n, s.c_out, s.out_h(), s.out_w()), dtype)
    })?;
    Ok(y)
}

/// Computes the gradient of the input `[n, c_in, h, w]` from that of the output; a device has its own algorithms, and
/// `f64` none that goes by tiles.
pub fn backward_input(s: &ConvShape, dy: &Tensor, weight: &Tensor, tiles: Tiles) -> Result<Tensor> {
    const OP: &str = "conv::backward_input";
    s.check()?;
    on_cuda!(weight => crate::cuda::ops::conv::backward_input(OP, s, dy, weight));
    let dtype = dy.dtype();
    dispatch!(OP, weight, T => {
        let (dy, w) = (read::<T>(OP, "dy", dy, s.output_len())?, read::<T>(OP, "weight", weight, s.weight_len())?);
        held::made(<T as Arm>::backward_input(s, &dy, &w, tiles), (s.n, s.c_in, s.h, s.w), dtype)
    })
}

/// Computes the gradient of the weights into `into` `[c_out, c_in/groups, kh, kw]`, over what it held or on top.
pub fn backward_weight(
    s: &ConvShape,
    x: Operand,
    dy: &Tensor,
    into: &Tensor,
    accumulate: bool,
) -> Result<()> {
    const OP: &str = "conv::backward_weight";
    s.check()?;
    let seen = if let Operand::Dense(x) = x { x } else { dy };
    distinct(OP, ("into", into), &[("x", seen), ("dy", dy)])?;
    on_cuda!(dy => crate::cuda::ops::conv::backward_weight(OP, s, x, dy, into, accumulate));
    dispatch!(OP, dy, T => {
        let (x, dy) = (lend::<T>(OP, x, s.input_len())?, read::<T>(OP, "dy", dy, s.output_len())?);
        write::<T, _>(OP, "into", into, s.weight_len(), |dw| {
            <T as Arm>::backward_weight(s, x.source(), &dy, dw, accumulate)
        })
    })
}

/// The kernels of one number type.
trait Arm: Real {
    fn forward(s: &ConvShape, x: Source<Self>, w: &[Self], b: Option<&[Self]>) -> Vec<Self>;
    fn backward_input(s: &ConvShape, dy: &[Self], w: &[Self], tiles: Tiles) -> Vec<Self>;
    fn backward_weight(s: &ConvShape, x: Source<Self>, dy: &[Self], dw: &mut [Self], accumulate: bool);
}

impl Arm for f64 {
    fn forward(s: &ConvShape, x: Source<f64>, w: &[f64], b: Option<&[f64]>) -> Vec<f64> {
        plain::forward(s, &x.to_vec(s.input_len()), w, b)
    }

    fn backward_input(s: &ConvShape, dy: &[f64], w: &[f64], _tiles: Tiles) -> Vec<f64> {
        plain::backward_input(s, dy, w)
    }

    fn backward_weight(s: &ConvShape, x: Source<f64>, dy: &[f64], dw: &mut [f64], accumulate: bool) {
        plain::backward_weight(s, &x.to_vec(s.input_len()), dy, dw, accumulate);
    }
}

impl Arm for f32 {
    fn forward(s: &ConvShape, x: Source<f32>, w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
        match x {
            _ if s.is_depthwise() => depthwise::forward(s, x, w, b),
            Source::Spikes(bits, plane) if plane == s.h * s.w && events::serves_forward(s) => {
                events::forward(s, bits, w, b)
            }
            Source::Dense(x) if winograd::serves(s) => winograd::forward(s, x, w, b),
            Source::Dense(x) if taps::serves(s) => taps::forward(s, x, w, b),
            _ => unfolded::forward(s, x, w, b),
        }
    }

    fn backward_input(s: &ConvShape, dy: &[f32], w: &[f32], tiles: Tiles) -> Vec<f32> {
        if s.is_depthwise() {
            depthwise::backward_input(s, dy, w)
        } else if winograd::serves(s) {
            winograd::backward_input(s, dy, w, tiles)
        } else if pointwise::serves(s) {
            pointwise::backward_input(s, dy, w)
        } else if taps::serves_input_gradient(s) {
            taps::backward_input(s, dy, w)
        } else {
            unfolded::backward_input(s, dy, w)
        }
    }

    fn backward_weight(s: &ConvShape, x: Source<f32>, dy: &[f32], dw: &mut [f32], accumulate: bool) {
        match x {
            _ if s.is_depthwise() => depthwise::backward_weight(s, x, dy, dw, accumulate),
            Source::Spikes(bits, plane) if plane == s.h * s.w && events::serves(s) => {
                events::backward_weight(s, bits, dy, dw, accumulate);
            }
            Source::Dense(x) if winograd::serves(s) && s.n > 0 => {
                winograd::backward_weight(s, x, dy, dw, accumulate);
            }
            Source::Dense(x) if pointwise::serves(s) && s.n > 0 => {
                pointwise::backward_weight(s, x, dy, dw, accumulate);
            }
            Source::Dense(x) if taps::serves(s) => taps::backward_weight(s, x, dy, dw, accumulate),
            _ => unfolded::backward_weight(s, x, dy, dw, accumulate),
        }
    }
}

/// Bytes of scratch that each thread keeps for these ops.
pub fn workspace_bytes(s: &ConvShape, dtype: DType, tiles: Tiles) -> usize {
    if held::real(dtype) != DType::F32 {
        return 0;
    }
    if s.is_depthwise() {
        return depthwise::workspace_bytes(s);
    }
    let winograd = if winograd::serves(s) { winograd::workspace_bytes(s, tiles) } else { 0 };
    let pointwise = if pointwise::serves(s) { pointwise::workspace_bytes(s) } else { 0 };
    unfolded::workspace_bytes(s)
        .max(events::workspace_bytes(s))
        .max(winograd)
        .max(pointwise)
        .max(taps::workspace_bytes(s))
}
