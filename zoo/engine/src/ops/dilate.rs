//! Maxima over neighbouring tokens and channels: what the Spike-driven Transformer (Yao et al. 2023) does to products of
//! spikes on events.
//!
//! A window is three tokens in a row by three channels of one head; what lies outside does not count. Of equal
//! maxima the first gets the gradient, token by token.

use candle_core::Tensor;
use kernels::bits::Bits;
use kernels::elementwise;
use kernels::pool::{self as kernel, PoolShape};

use super::reshape::readable;
use super::{dense, images};
use crate::error::{Error, Result};
use crate::operations::{Each, Kind, Reach, Reads, Work};
use crate::pass::Pass;
use crate::saved::Saved;
use crate::value::Value;

/// `[T, B, C, tokens...]` as planes of tokens by channels, one a head.
#[derive(Clone, Copy)]
struct Planes {
    pool: PoolShape,
}

impl Planes {
    fn of(place: &str, x: &Value, heads: usize) -> Result<Self> {
        if x.shape().len() < 4 {
            return Err(Error::shape(place, "[T, B, C, tokens...]", x.shape()));
        }
        if heads == 0 || !x.channels().is_multiple_of(heads) {
            let rule = format!("a divisor of its {} channels", x.channels());
            return Err(Error::setting(format!("{place}: heads"), rule, heads));
        }
        let (h, w) = (x.plane(), x.channels() / heads);
        Ok(Self { pool: PoolShape { n_c: images(x) * heads, h, w, kernel: 3, stride: 1, pad: 1 } })
    }

    /// Tokens become rows.
    fn enter(&self, x: &Tensor) -> Result<Tensor> {
        let PoolShape { n_c, h, w, .. } = self.pool;
        Ok(x.reshape((n_c, w, h))?.transpose(1, 2)?.contiguous()?)
    }

    /// Channels become rows again.
    fn leave(&self, x: &Tensor) -> Result<Tensor> {
        let PoolShape { n_c, h, w, .. } = self.pool;
        Ok(x.reshape((n_c, h, w))?.transpose(1, 2)?.contiguous()?)
    }

    /// At most three more copies exist at once: of what goes in, of it by tokens, and of its maxima.
    fn note_workspace(&self, pass: &Pass<'_>) {
        let PoolShape { n_c, h, w, .. } = self.pool;
        let session = pass.session();
        session.ledger().workspace(3 * n_c * h * w * session.dtype().size_in_bytes());
    }

    fn maxima(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.enter(x)?;
        let dtype = x.dtype();
        Ok(kernel::max_forward(&self.pool, kernels::Operand::Dense(&x), dtype)?)
    }

    /// The gradient of `x` from that of its maxima, tokens as rows.
    fn back(&self, x: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let x = self.enter(x)?;
        self.leave(&kernel::max_backward(&self.pool, kernels::Operand::Dense(&x), dy)?)
    }
}

/// The maximum over the window around each value, in the shape of `x`; of spikes it is a spike again.
///
/// Saves its input (spikes as bits).
///
/// # Errors
/// When the heads don't divide the channels.
pub fn dilate(pass: &Pass<'_>, place: &str, x: &Value, heads: usize) -> Result<Value> {
    let planes = Planes::of(place, x, heads)?;
    let x = readable(pass, x)?;
    planes.note_workspace(pass);
    let full = dense(pass, &x)?;
    let run = || planes.leave(&planes.maxima(full.tensor()?)?);
    let y = if x.is_spikes() {
        let rows = images(&x) * x.channels();
        pass.session().spikes(x.shape(), || Ok(Bits::pack(&run()?, rows, x.plane())?))?
    } else {
        pass.passing(x.shape(), run)?
    };
    drop(full);
    pass.count(Work::at(place, Kind::Pool, &[&x], &y, Reads::Numbers).compares(8 * y.len()))?;
    let tape = pass.tape();
    if !tape.tracks(&x) {
        return Ok(y);
    }
    let (slot, shape, kept) = (x.slot, x.shape().to_vec(), Saved::new(&x));
    let counted = pass.to_count(place, Kind::Pool, 0);
    Ok(tape.record("dilate", y, move |backward, dy| {
        let pass = backward.pass();
        // The largest of nine places is looked for again.
        pass.count_back_each(counted.as_deref(), 8 * dy.len(), dy.steps(), Each::COMPARED);
        let x = dense(pass, &kept.get(pass)?)?;
        let dx = pass.gradient(&shape, || planes.back(x.tensor()?, &planes.enter(dy.tensor()?)?))?;
        drop((kept, x, dy));
        backward.give(slot, dx)
    }))
}

/// The sum over tokens of the dilated product `k * v`: `[T, B, C, tokens...]` to one token.
///
/// Saves both (spikes as bits); their product is computed again.
///
/// # Errors
/// When the shapes differ or the heads don't divide the channels.
pub fn dilated_token_dot(pass: &Pass<'_>, place: &str, [k, v]: [&Value; 2], heads: usize) -> Result<Value> {
    if k.shape() != v.shape() {
        return Err(Error::shape(place, format!("{:?}", k.shape()), v.shape()));
    }
    let planes = Planes::of(place, k, heads)?;
    let [k, v] = [readable(pass, k)?, readable(pass, v)?];
    let one: Vec<usize> =
        k.shape().iter().enumerate().map(|(axis, len)| if axis < 3 { *len } else { 1 }).collect();
    planes.note_workspace(pass);
    let full = [dense(pass, &k)?, dense(pass, &v)?];
    let y = pass.passing(&one, || {
        let product = elementwise::mul(full[0].tensor()?, full[1].tensor()?)?;
        let maxima = planes.maxima(&product)?;
        let maxima = maxima.reshape((planes.pool.n_c, planes.pool.h, planes.pool.w))?;
        Ok(maxima.to_dtype(pass.session().real())?.sum(1)?.to_dtype(maxima.dtype())?)
    })?;
    drop(full);
    pass.count(
        Work::at(place, Kind::Product, &[&k, &v], &y, Reads::SpikeCounts)
            .products(k.len() as u64, &[&k], Reach::Each(1))
            .compares(8 * k.len()),
    )?;
    let tape = pass.tape();
    let slots = [&k, &v].map(|x| x.slot.filter(|_| tape.tracks(x)));
    if slots == [None; 2] {
        return Ok(y);
    }
    let shape = k.shape().to_vec();
    let kept = [Saved::new(&k), Saved::new(&v)];
    let counted = pass.to_count(place, Kind::Product, k.len());
    drop((k, v));
    Ok(tape.record("dilated_token_dot", y, move |backward, dy| {
        let (pass, steps) = (backward.pass(), dy.steps());
        // The product and the largest of nine places, once more.
        pass.count_back(counted.as_deref(), Reads::Products, steps);
        pass.count_back_each(counted.as_deref(), 8 * shape.iter().product::<usize>(), steps, Each::COMPARED);
        let [k, v] = [dense(pass, &kept[0].get(pass)?)?, dense(pass, &kept[1].get(pass)?)?];
        let through = pass.gradient(&shape, || {
            let PoolShape { n_c, h, w, .. } = planes.pool;
            let dy = dy.tensor()?.reshape((n_c, 1, w))?.broadcast_as((n_c, h, w))?.contiguous()?;
            planes.back(&elementwise::mul(k.tensor()?, v.tensor()?)?, &dy)
        })?;
        drop(dy);
        for (slot, other) in slots.into_iter().zip([&v, &k]) {
            if slot.is_none() {
                continue;
            }
            pass.count_back(counted.as_deref(), Reads::Products, steps);
            let gradient = pass.gradient(&shape, || {
                Ok(elementwise::mul(&through.tensor()?.reshape(shape.as_slice())?, other.tensor()?)?)
            })?;
            backward.give(slot, gradient)?;
        }
        Ok(())
    }))
}
