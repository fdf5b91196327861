//! Two-dimensional convolution.

use kernels::conv::{self, ConvShape};
use kernels::elementwise;
use serde::{Deserialize, Serialize};

use super::held::rounded;
use super::reshape::{factored, readable};
use super::scale::times;
use super::{images, weight_gradient};
use crate::error::{Error, Result};
use crate::operations::{Kind, Reach, Reads, Work, windows};
use crate::param::ParamId;
use crate::pass::Pass;
use crate::saved::Saved;
use crate::value::Value;

/// Geometry of a convolution with a square kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvSpec {
    /// Input channels.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step of the window.
    pub stride: usize,
    /// Zeros around the image.
    pub pad: usize,
    /// Groups of channels that do not mix; `c_in` for depthwise.
    pub groups: usize,
}

impl ConvSpec {
    /// A dense convolution that keeps the image size at stride 1.
    #[must_use]
    pub fn same(c_in: usize, c_out: usize, kernel: usize, stride: usize) -> Self {
        Self { c_in, c_out, kernel, stride, pad: kernel / 2, groups: 1 }
    }

    /// Checks that groups divide the channels and nothing is empty.
    ///
    /// # Errors
    /// Names the field, the rule and the value.
    pub fn check(&self, place: &str) -> Result<()> {
        let empty = [self.c_in, self.c_out, self.kernel, self.stride, self.groups].contains(&0);
        if empty || !self.c_in.is_multiple_of(self.groups) || !self.c_out.is_multiple_of(self.groups) {
            let rule = "positive in every size, with channels that are multiples of its groups";
            return Err(Error::setting(place, rule, format!("{self:?}")));
        }
        Ok(())
    }

    /// `[c_out, c_in / groups, k, k]` of a checked geometry.
    #[must_use]
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.c_out, self.c_in / self.groups, self.kernel, self.kernel]
    }

    fn on(&self, place: &str, x: &Value) -> Result<ConvShape> {
        let &[_, _, channels, h, w] = x.shape() else {
            return Err(Error::shape(place, "[T, B, C, H, W]", x.shape()));
        };
        if channels != self.c_in {
            return Err(Error::shape(place, format!("[T, B, {}, H, W]", self.c_in), x.shape()));
        }
        let shape = ConvShape {
            n: images(x),
            c_in: self.c_in,
            h,
            w,
            c_out: self.c_out,
            kernel: (self.kernel, self.kernel),
            stride: self.stride,
            pad: self.pad,
            groups: self.groups,
        };
        shape.check()?;
        Ok(shape)
    }
}

/// `y = weight * x + bias`, `[T, B, C_out, H', W']`. The weight gradient is evaluated at `weight_input` if given.
///
/// Saves the input (spikes as bits), or the weight input in its place.
///
/// # Errors
/// When the shape does not fit.
pub fn conv(
    pass: &Pass<'_>,
    place: &str,
    spec: &ConvSpec,
    x: &Value,
    weight: &Value,
    bias: Option<ParamId>,
    weight_input: Option<&Value>,
) -> Result<Value> {
    // Scaled spikes keep their factor: the weights take it on.
    let dense;
    let x = if x.scaled().is_some() {
        x
    } else {
        dense = readable(pass, x)?;
        &dense
    };
    let shape = spec.on(place, x)?;
    note_workspace(pass, &shape);
    let out = [x.steps(), x.batch(), spec.c_out, shape.out_h(), shape.out_w()];
    let bias_value = bias.map(|id| pass.params().get(id).value());
    let (read, factor) = factored(pass, x)?;
    let mut taken = rounded(pass, weight)?;
    if factor != 1.0 {
        taken = pass.passing(weight.shape(), || Ok(elementwise::scale(taken.tensor()?, factor)?))?;
        pass.prepared(&taken);
    }
    let y = pass.passing(&out, || {
        let bias = bias_value.map(Value::tensor).transpose()?;
        Ok(conv::forward(&shape, read.operand()?, taken.tensor()?, bias)?)
    })?;
    let macs = y.len() * (spec.c_in / spec.groups) * spec.kernel * spec.kernel;
    drop(taken);
    if pass.session().is_counting() {
        let window = (spec.kernel, spec.stride, spec.pad);
        let (from, to) = ([shape.h, shape.w], [shape.out_h(), shape.out_w()]);
        let readers = windows(from, to, window, spec.c_out / spec.groups);
        pass.count(
            Work::at(place, Kind::Convolution, &[x], &y, Reads::Weighted)
                .products(macs as u64, &[x], Reach::Plane(&readers))
                .weights(weight.len() + bias_value.map_or(0, Value::len), bias.is_some()),
        )?;
    }
    let y = pass.made((place, macs as u64), y, &[x, weight], {
        let (place, spec) = (place.to_string(), *spec);
        move |pass, inputs| conv(pass, &place, &spec, &inputs[0], &inputs[1], bias, None)
    });
    let tape = pass.tape();
    let (to_x, to_weight) = (tape.tracks(x), tape.tracks(weight));
    if !to_x && !to_weight {
        return Ok(y);
    }
    let kept = to_weight.then(|| Saved::new(weight_input.unwrap_or(x)));
    let x_slot = x.slot.filter(|_| to_x);
    let x_shape = x.shape().to_vec();
    let weight_slot = weight.slot;
    let counted = pass.to_count(place, Kind::Convolution, macs);
    let mut weight_kept = to_x.then(|| Saved::new(weight));
    let weight_shape = weight.shape().to_vec();
    Ok(tape.record("conv", y, move |backward, dy| {
        let pass = backward.pass();
        let count = |reads| pass.count_back(counted.as_deref(), reads, dy.steps());
        if to_x {
            count(Reads::Weighted);
        }
        if kept.is_some() {
            count(Reads::Numbers);
        }
        if let Some((into, add)) = bias.map(|id| pass.params().accumulator(id)).transpose()?.flatten() {
            let plane = shape.out_h() * shape.out_w();
            kernels::bias::gradient(dy.tensor()?, shape.n, shape.c_out, plane, into, add)?;
        }
        let mut input_gradient = |pass: &Pass<'_>, dy: &Value| match weight_kept.take() {
            Some(weight) => {
                let weight = rounded(pass, &weight.get(pass)?)?;
                let make = || {
                    Ok(conv::backward_input(&shape, dy.tensor()?, weight.tensor()?, pass.gradient_tiles())?)
                };
                pass.gradient(&x_shape, make).map(Some)
            }
            None => Ok(None),
        };
        let (dx, dy) = match kept {
            Some(kept) => {
                let (x, factor) = factored(pass, &kept.get(pass)?)?;
                // The factor of scaled spikes goes to the output's gradient, once the input's has been made of it.
                let (dx, dy) = match factor {
                    1.0 => (None, dy),
                    _ => (Some(input_gradient(pass, &dy)?), times(pass, dy, factor)?),
                };
                weight_gradient(backward, weight_slot, &weight_shape, |into, add| {
                    Ok(conv::backward_weight(&shape, x.operand()?, dy.tensor()?, into, add)?)
                })?;
                (dx, dy)
            }
            None => (None, dy),
        };
        let dx = match dx {
            Some(dx) => dx,
            None => input_gradient(backward.pass(), &dy)?,
        };
        drop(dy);
        match dx {
            Some(dx) => backward.give(x_slot, dx),
            None => Ok(()),
        }
    }))
}

fn note_workspace(pass: &Pass<'_>, shape: &ConvShape) {
    let session = pass.session();
    let bytes =
        kernels::threads::threads() * conv::workspace_bytes(shape, session.dtype(), pass.gradient_tiles());
    session.ledger().workspace(bytes);
}
