//! Multi-step integrate-and-fire neurons: charge, fire, reset.
//!
//! ```text
//! I_t = x_t * scale + shift                       the norm folded in, where there is one
//! u_t = decay * v_{t-1} + input_gain * I_t        charge
//! s_t = 1[u_t - threshold >= 0]                   fire (> when strict)
//! v_t = u_t - threshold * s_t                     soft reset
//!     | (1 - s_t) * u_t + s_t * v_reset           hard reset
//!     | u_t                                       none
//!
//! backward, with x = u - threshold, h the surrogate, and gv_T given or 0:
//! gu_t = gs_t * h(u_t) + gv_t * dv/du             dI_t = input_gain * gu_t    gv_{t-1} = decay * gu_t
//! dv/du: soft 1 - threshold * h, hard 1 - s + (v_reset - u) * h; detached without h; none 1
//! ```
//!
//! Where the gradient does not flow from a step to the one before, `gv_{t-1} = 0` for every t.
//!
//! Tensors are `[T, rows, plane]` with `rows` = batch times channels. All steps of a block of neurons run
//! together, so the membrane stays in cache; the backward pass computes it again from the current and it is
//! never stored. A current that is constant in time is read T times and never copied.

/// Borrows the operands as `$input` and runs `$body`.
macro_rules! with_input {
    ($op:expr, $T:ty, $s:expr, $i:expr, $v0:expr, $input:ident => $body:expr) => {{
        let groups = $i.affine_steps($s.channels);
        ensure(groups == 1 || groups == $s.steps, $op, "the affine has one row, or one a step", || {
            format!("{groups} rows for {} steps", $s.steps)
        })?;
        let x = read::<$T>($op, "current", $i.x, $s.current_steps * $s.frame())?;
        let scale = read_opt::<$T>($op, "scale", $i.affine.map(|a| a.0), groups * $s.channels)?;
        let shift = read_opt::<$T>($op, "shift", $i.affine.map(|a| a.1), groups * $s.channels)?;
        let v0 = read_opt::<$T>($op, "v0", $v0, $s.frame())?;
        let affine = scale.as_deref().zip(shift.as_deref());
        let $input = Input { x: &x, affine, affine_steps: groups, v0: v0.as_deref() };
        $body
    }};
}

mod blocked;
mod gate;
mod plain;
mod relu;
mod surrogate;

use candle_core::Tensor;

use crate::bits::{Bits, Source};
use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::error::ensure;
use crate::real::Real;
use crate::storage::{self, read, read_opt, shares, write};
use crate::tasks::each_chunk;
use crate::{Result, held};

pub use gate::{gate, window};
pub use relu::relu_forward;
pub use surrogate::Surrogate;

/// What a spike does to the membrane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reset {
    /// Takes the threshold away.
    Soft,
    /// Puts it to this value.
    Hard(f64),
    /// Nothing.
    None,
}

/// Whether the gradient flows through the spike of the reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetGrad {
    /// It does, by the surrogate.
    Through,
    /// It does not: the spike counts as a constant there.
    Detached,
}

/// The neuron's constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// What is left of the membrane after a step.
    pub decay: f64,
    /// What the current is multiplied with.
    pub input_gain: f64,
    /// Membrane at which the neuron fires.
    pub threshold: f64,
    /// What a spike does to the membrane.
    pub reset: Reset,
    /// Whether gradient flows through it.
    pub reset_grad: ResetGrad,
    /// What stands for the spike's derivative.
    pub surrogate: Surrogate,
    /// Fires above the threshold only, not at it.
    pub strict: bool,
    /// Whether the gradient flows from a step to the one before. Where it does not (SLTT, Meng et al. 2023), only the
    /// last step sees the gradient of the last membrane, and the first membrane gets none.
    pub time_gradient: bool,
    /// The spike is the surrogate's primitive, so that the gradient is exact: for finite differences.
    pub smooth: bool,
}

/// Sizes of a layer of neurons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifShape {
    /// Steps, T.
    pub steps: usize,
    /// Rows of a step: batch times channels.
    pub rows: usize,
    /// Neurons of a row.
    pub plane: usize,
    /// Channels; that of row `r` is `r % channels`.
    pub channels: usize,
    /// Steps of the current: T, or 1 when it is constant in time.
    pub current_steps: usize,
}

/// The input current, with the norm before it folded in.
#[derive(Clone, Copy, Debug)]
pub struct Current<'a> {
    /// `[current_steps, rows, plane]`.
    pub x: &'a Tensor,
    /// Scale and shift `[g, channels]`, `g` = 1 or T; the current is `x * scale + shift`.
    pub affine: Option<(&'a Tensor, &'a Tensor)>,
}

/// What the neurons gave out, `steps * rows` rows.
#[derive(Clone, Debug)]
pub enum Fired {
    /// Spikes.
    Spikes(Bits),
    /// The smooth stand-in, `[steps, rows, plane]`.
    Smooth(Tensor),
}

impl LifShape {
    fn frame(&self) -> usize {
        self.rows * self.plane
    }

    fn check(&self, op: &'static str) -> Result<()> {
        let rule = |holds, rule| ensure(holds, op, rule, || format!("{self:?}"));
        rule(self.steps > 0 && self.frame() > 0, "steps, rows and plane must be positive")?;
        rule(self.channels > 0 && self.rows.is_multiple_of(self.channels), "channels must divide the rows")?;
        rule(self.current_steps == self.steps || self.current_steps == 1, "the current has T steps, or 1")
    }
}

impl Current<'_> {
    /// Rows of the affine: 1, or one a step.
    pub(crate) fn affine_steps(&self, channels: usize) -> usize {
        self.affine.map_or(1, |(scale, _)| scale.elem_count() / channels.max(1))
    }
}

/// The operands of a call, as slices.
pub(crate) struct Input<'a, T> {
    pub(crate) x: &'a [T],
    pub(crate) affine: Option<(&'a [T], &'a [T])>,
    pub(crate) affine_steps: usize,
    pub(crate) v0: Option<&'a [T]>,
}

impl<T: Real> Input<'_, T> {
    /// Scale and shift of row `r` at step `t`.
    #[inline(always)]
    pub(crate) fn affine_at(&self, s: &LifShape, t: usize, r: usize) -> Option<(T, T)> {
        let i = if self.affine_steps == 1 { 0 } else { t * s.channels } + r % s.channels;
        self.affine.map(|(scale, shift)| (scale[i], shift[i]))
    }

    /// The affines of row `r` of step `t` and of those that follow it, step after step: without a division a row.
    #[inline(always)]
    pub(crate) fn affines_from(&self, s: &LifShape, t: usize, r: usize) -> Affines<'_, T> {
        let steps = if self.affine_steps == 1 { usize::MAX } else { s.rows };
        let group = if self.affine_steps == 1 { 0 } else { t * s.channels };
        Affines {
            of: self.affine,
            group,
            channel: r % s.channels,
            channels: s.channels,
            left: steps - r,
            rows: steps,
        }
    }

    /// Where the current of step `t` starts.
    #[inline(always)]
    pub(crate) fn frame_at(s: &LifShape, t: usize) -> usize {
        if s.current_steps == 1 { 0 } else { t * s.rows * s.plane }
    }

    /// The current of neuron `j` of row `r` at step `t`.
    pub(crate) fn current(&self, s: &LifShape, t: usize, r: usize, j: usize) -> T {
        let x = self.x[Self::frame_at(s, t) + r * s.plane + j];
        self.affine_at(s, t, r).map_or(x, |(scale, shift)| x * scale + shift)
    }
}

/// See [`Input::affines_from`].
pub(crate) struct Affines<'a, T> {
    of: Option<(&'a [T], &'a [T])>,
    /// The step's first element.
    group: usize,
    channel: usize,
    channels: usize,
    /// Rows that the step still has, and those of a step; so many that there is no other where one affine serves all.
    left: usize,
    rows: usize,
}

impl<T: Real> Iterator for Affines<'_, T> {
    type Item = (T, T);

    #[inline(always)]
    fn next(&mut self) -> Option<(T, T)> {
        let Some((scale, shift)) = self.of else { return Some((T::ONE, T::ZERO)) };
        if self.left == 0 {
            (self.left, self.channel) = (self.rows, 0);
            self.group += self.channels;
        }
        let found = (scale[self.group + self.channel], shift[self.group + self.channel]);
        self.left -= 1;
        self.channel += 1;
        if self.channel == self.channels {
            self.channel = 0;
        }
        Some(found)
    }
}

/// Runs all steps; gives the spikes and, when `keep_last`, the membrane after the last step `[rows, plane]`, in the type that
/// is computed in.
pub fn forward(
    s: &LifShape,
    cell: &Cell,
    i: &Current,
    v0: Option<&Tensor>,
    keep_last: bool,
) -> Result<(Fired, Option<Tensor>)> {
    const OP: &str = "lif::forward";
    s.check(OP)?;
    on_cuda!(i.x => crate::cuda::ops::lif::forward(OP, s, cell, i, v0, keep_last));
    dispatch!(OP, i.x, T => with_input!(OP, T, s, i, v0, input => {
        let (mut fired, last) = <T as Arm>::forward(s, cell, &input, keep_last)?;
        if let Fired::Smooth(y) = &mut fired && held::is_half(i.x.dtype()) {
            *y = held::cast(y, i.x.dtype())?;
        }
        Ok((fired, last.map(|v| storage::tensor(v, (s.rows, s.plane))).transpose()?))
    }))
}

/// Computes the gradient of the current I, in the current's type, and, when `want_dv0`, that of the first membrane
/// `[rows, plane]`.
///
/// `ds` is `[steps, rows, plane]`, `dlast` the gradient of the last membrane. The result is
/// `[current_steps, rows, plane]`: the sum over the steps when the current is constant in time. Only when then
/// the affine differs from step to step is it `[steps, rows, plane]`, because the sum would lose what the
/// norm before it needs. With `reuse_ds` the result may take the place of `ds`.
#[expect(clippy::too_many_arguments, reason = "the equation's operands")]
pub fn backward(
    s: &LifShape,
    cell: &Cell,
    i: &Current,
    v0: Option<&Tensor>,
    ds: &Tensor,
    dlast: Option<&Tensor>,
    want_dv0: bool,
    reuse_ds: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    const OP: &str = "lif::backward";
    s.check(OP)?;
    let per_step = s.current_steps == s.steps || i.affine_steps(s.channels) == s.steps;
    let shape = (if per_step { s.steps } else { 1 }, s.rows, s.plane);
    let len = s.steps * s.frame();
    let apart = |t: &Tensor| !shares(t, ds);
    let alike = ds.dtype() == i.x.dtype();
    let in_place =
        reuse_ds && per_step && alike && apart(i.x) && v0.is_none_or(apart) && dlast.is_none_or(apart);
    on_cuda!(i.x => crate::cuda::ops::lif::backward(OP, s, cell, i, v0, ds, dlast, (want_dv0, per_step, in_place)));
    dispatch!(OP, i.x, T => with_input!(OP, T, s, i, v0, input => {
        let dlast = read_opt::<T>(OP, "dlast", dlast, s.frame())?;
        let call = Backward { s, cell, input: &input, dlast: dlast.as_deref(), per_step, want_dv0 };
        let (di, dv0) = if in_place {
            let dv0 = write::<T, _>(OP, "ds", ds, len, |ds| T::backward_in_place(&call, ds))?;
            (ds.reshape(shape)?, dv0)
        } else {
            let ds = read::<T>(OP, "ds", ds, len)?;
            let (di, dv0) = T::backward(&call, &ds);
            (held::made(di, shape, i.x.dtype())?, dv0)
        };
        Ok((di, dv0.map(|g| storage::tensor(g, (s.rows, s.plane))).transpose()?))
    }))
}

/// What the backward kernels are given.
pub(crate) struct Backward<'a, T> {
    s: &'a LifShape,
    cell: &'a Cell,
    input: &'a Input<'a, T>,
    dlast: Option<&'a [T]>,
    per_step: bool,
    want_dv0: bool,
}

/// The kernels of one number type.
trait Arm: Real {
    fn forward(
        s: &LifShape,
        cell: &Cell,
        input: &Input<Self>,
        keep: bool,
    ) -> Result<(Fired, Option<Vec<Self>>)> {
        plain_forward(s, cell, input, keep)
    }

    fn backward(call: &Backward<Self>, ds: &[Self]) -> (Vec<Self>, Option<Vec<Self>>) {
        plain_backward(call, ds)
    }

    fn backward_in_place(call: &Backward<Self>, ds: &mut [Self]) -> Option<Vec<Self>> {
        let (di, dv0) = Self::backward(call, ds);
        ds.copy_from_slice(&di);
        dv0
    }
}

impl Arm for f64 {}

impl Arm for f32 {
    fn forward(
        s: &LifShape,
        cell: &Cell,
        input: &Input<f32>,
        keep: bool,
    ) -> Result<(Fired, Option<Vec<f32>>)> {
        if cell.smooth {
            return plain_forward(s, cell, input, keep);
        }
        let (spikes, last) = blocked::forward(s, cell, input, keep);
        Ok((Fired::Spikes(Bits::of_bytes(spikes, s.steps * s.rows, s.plane)?), last))
    }

    fn backward(call: &Backward<f32>, ds: &[f32]) -> (Vec<f32>, Option<Vec<f32>>) {
        if call.cell.smooth { plain_backward(call, ds) } else { blocked::backward(call, ds) }
    }

    fn backward_in_place(call: &Backward<f32>, ds: &mut [f32]) -> Option<Vec<f32>> {
        if call.cell.smooth {
            let (di, dv0) = plain_backward(call, ds);
            ds.copy_from_slice(&di);
            return dv0;
        }
        blocked::backward_in_place(call, ds)
    }
}

fn plain_forward<T: Real>(
    s: &LifShape,
    cell: &Cell,
    input: &Input<T>,
    keep: bool,
) -> Result<(Fired, Option<Vec<T>>)> {
    let (spikes, last) = plain::forward(s, cell, input);
    let spikes = storage::tensor(spikes, (s.steps, s.rows, s.plane))?;
    let fired = if cell.smooth {
        Fired::Smooth(spikes)
    } else {
        Fired::Spikes(Bits::pack(&spikes, s.steps * s.rows, s.plane)?)
    };
    Ok((fired, keep.then_some(last)))
}

fn plain_backward<T: Real>(call: &Backward<T>, ds: &[T]) -> (Vec<T>, Option<Vec<T>>) {
    let (di, dv0) = plain::backward(call.s, call.cell, call.input, ds, call.dlast, call.per_step);
    (di, call.want_dv0.then_some(dv0))
}

/// Updates a presynaptic trace in place: `a = decay * a + s`.
pub fn trace(a: &Tensor, s: &Bits, decay: f64) -> Result<()> {
    const OP: &str = "lif::trace";
    on_cuda!(a => crate::cuda::ops::lif::trace(OP, a, s, decay));
    dispatch!(OP, a, T => {
        let bits = s.read(OP)?;
        let (decay, plane) = (<T as Real>::of(decay), s.plane().max(1));
        let source = Source::<T>::Spikes(&bits, plane);
        write::<T, _>(OP, "a", a, s.rows() * s.plane(), |a| {
            each_chunk(a, plane * (4096 / plane).max(1), |task, a| {
                let mut first = task * plane * (4096 / plane).max(1);
                let mut spikes = [T::ZERO; 512];
                for a in a.chunks_mut(512) {
                    source.expand(first, &mut spikes[..a.len()]);
                    decay_and_add(a, &spikes, decay);
                    first += a.len();
                }
            });
        })
    })
}

crate::simd::multiversion! {
    fn decay_and_add<T: Real>(a: &mut [T], spikes: &[T], decay: T) {
        for (a, s) in a.iter_mut().zip(spikes) {
            *a = decay * *a + *s;
        }
    }
}
