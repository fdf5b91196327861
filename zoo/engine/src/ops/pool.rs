//! Pools.

use kernels::elementwise;
use kernels::pool::{self as kernel, PoolShape};
use serde::{Deserialize, Serialize};

use super::reshape::{factored, readable, source_of};
use crate::error::{Error, Result};
use crate::operations::{Each, Kind, Reads, Work};
use crate::pass::Pass;
use crate::saved::{CHEAP, Saved};
use crate::value::Value;

/// Mean or maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolKind {
    /// Mean; padding counts.
    Average,
    /// Maximum; of spikes it is a spike again.
    Max,
}

/// Geometry of a square pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSpec {
    /// Mean or maximum.
    pub kind: PoolKind,
    /// Side of the window.
    pub kernel: usize,
    /// Step of the window.
    pub stride: usize,
    /// Zeros around the image.
    pub pad: usize,
}

/// Pools `[T, B, C, H, W]` in space. An average saves nothing, a maximum its input.
///
/// # Errors
/// When the shape does not fit.
pub fn pool(pass: &Pass<'_>, place: &str, spec: &PoolSpec, x: &Value) -> Result<Value> {
    let (read, factor) = match spec.kind {
        PoolKind::Average => factored(pass, x)?,
        PoolKind::Max => (readable(pass, x)?, 1.0),
    };
    // A maximum keeps what it read.
    let source = source_of(x, &read);
    let x = if spec.kind == PoolKind::Max { &read } else { x };
    let &[steps, batch, channels, h, w] = x.shape() else {
        return Err(Error::shape(place, "[T, B, C, H, W]", x.shape()));
    };
    let shape = PoolShape {
        n_c: steps * batch * channels,
        h,
        w,
        kernel: spec.kernel,
        stride: spec.stride,
        pad: spec.pad,
    };
    if h + 2 * spec.pad < spec.kernel || w + 2 * spec.pad < spec.kernel {
        return Err(Error::shape(place, format!("at least {0} x {0} pixels", spec.kernel), x.shape()));
    }
    let out = [steps, batch, channels, shape.out_h(), shape.out_w()];
    let dtype = x.dtype();
    let session = pass.session();
    let y = match spec.kind {
        PoolKind::Average => pass.passing(&out, || {
            let y = kernel::avg_forward(&shape, read.operand()?, dtype, true)?;
            if factor != 1.0 {
                elementwise::scale_assign(&y, factor)?;
            }
            Ok(y)
        })?,
        PoolKind::Max if x.is_spikes() => session.spikes(&out, || match x.bits() {
            Some(bits) => Ok(kernel::max_bits(&shape, bits)?),
            None => Err(Error::Misuse(format!("{place}: spikes without bits"))),
        })?,
        PoolKind::Max => pass.passing(&out, || Ok(kernel::max_forward(&shape, x.operand()?, dtype)?))?,
    };
    let window = spec.kernel * spec.kernel;
    let inputs = [x];
    let work = Work::at(place, Kind::Pool, &inputs, &y, Reads::Numbers);
    pass.count(match spec.kind {
        PoolKind::Average => work.adds(y.len() * (window - 1)).multiplies(y.len()),
        PoolKind::Max => work.compares(y.len() * (window - 1)),
    })?;
    // The maximum of spikes is spikes: kept as they are.
    let y = match y.is_spikes() {
        true => y,
        false => pass.made((place, CHEAP), y, &[x], {
            let (place, spec) = (place.to_string(), *spec);
            move |pass, inputs| pool(pass, &place, &spec, &inputs[0])
        }),
    };
    let tape = pass.tape();
    let Some(slot) = source.filter(|slot| tape.tracks_slot(*slot)) else { return Ok(y) };
    let x_shape = x.shape().to_vec();
    let kept = (spec.kind == PoolKind::Max).then(|| Saved::new(x));
    let (counted, kind) = (pass.to_count(place, Kind::Pool, 0), spec.kind);
    Ok(tape.record("pool", y, move |backward, dy| {
        match kind {
            // A share for all of a window; where windows overlap, shares are added.
            PoolKind::Average => {
                let pass = backward.pass();
                pass.count_back_each(counted.as_deref(), dy.len(), dy.steps(), Each::PRODUCT);
                let overlaps = (dy.len() * window).saturating_sub(x_shape.iter().product());
                pass.count_back_each(counted.as_deref(), overlaps, dy.steps(), Each::SUMMED);
            }
            // The largest of a window is looked for again.
            PoolKind::Max => {
                let compared = dy.len() * (window - 1);
                backward.pass().count_back_each(counted.as_deref(), compared, dy.steps(), Each::COMPARED);
            }
        }
        let x = kept.as_ref().map(|kept| kept.get(backward.pass())).transpose()?;
        let dx = backward.pass().gradient(&x_shape, || match &x {
            None => Ok(kernel::avg_backward(&shape, dy.tensor()?, true)?),
            Some(x) => Ok(kernel::max_backward(&shape, x.operand()?, dy.tensor()?)?),
        })?;
        backward.give(Some(slot), dx)
    }))
}

/// Mean over space: `[T, B, C, H, W]` to `[T, B, C]`. Saves nothing.
///
/// # Errors
/// When the shape does not fit.
pub fn global_average(pass: &Pass<'_>, place: &str, x: &Value) -> Result<Value> {
    let x = readable(pass, x)?;
    let &[steps, batch, channels, h, w] = x.shape() else {
        return Err(Error::shape(place, "[T, B, C, H, W]", x.shape()));
    };
    let (rows, plane, dtype) = (steps * batch * channels, h * w, x.dtype());
    let y = pass.passing(&[steps, batch, channels], || {
        Ok(kernel::global_avg_forward(rows, plane, x.operand()?, dtype)?)
    })?;
    pass.count(
        Work::at(place, Kind::Pool, &[&x], &y, Reads::Numbers).adds(x.len() - y.len()).multiplies(y.len()),
    )?;
    let y = pass.made((place, CHEAP), y, &[&x], {
        let place = place.to_string();
        move |pass, inputs| global_average(pass, &place, &inputs[0])
    });
    let tape = pass.tape();
    if !tape.tracks(&x) {
        return Ok(y);
    }
    let (slot, x_shape) = (x.slot, x.shape().to_vec());
    let counted = pass.to_count(place, Kind::Pool, 0);
    Ok(tape.record("global_average", y, move |backward, dy| {
        backward.pass().count_back_each(counted.as_deref(), dy.len(), dy.steps(), Each::PRODUCT);
        let dx = backward
            .pass()
            .gradient(&x_shape, || Ok(kernel::global_avg_backward(rows, plane, dy.tensor()?)?))?;
        backward.give(slot, dx)
    }))
}
