//! One call or a few of each kind of kernel, on small tensors with numbers that repeat from run to run.

use candle_core::{DType, Device, Shape, Tensor};
use engine::Result;
use kernels::attention::{self, AttentionShape};
use kernels::conv::{self, ConvShape};
use kernels::lif::{self, Cell, Current, Fired, LifShape, Reset, ResetGrad, Surrogate};
use kernels::norm::{self, NormShape};
use kernels::pool::{self, PoolShape};
use kernels::remainder::{self, Layout};
use kernels::standardise::{self, Epsilon, Standardisation, Variance};
use kernels::update::{self, Averages, Trust};
use kernels::{Bits, Operand, elementwise, linear, loss};
use keys::Key;

use super::halves;

/// How near a device must come to the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// The same values.
    Same,
    /// The same up to the order of sums.
    Close,
    /// The same up to that and one rounding to a half.
    Rounded,
}

impl Agreement {
    pub(super) fn allowed(self) -> f64 {
        match self {
            Self::Same => 0.0,
            Self::Close => 1e-5,
            // The spacing of `bf16`, whose fractions have 7 bits.
            Self::Rounded => 1.0 / 128.0,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Close => "close",
            Self::Rounded => "rounded",
        }
    }
}

/// A kind of kernel.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) agreement: Agreement,
    pub(super) run: fn(&Device) -> Result<Vec<Tensor>>,
}

/// Every kind.
pub(super) const ALL: &[Kind] = &[
    Kind { name: "sums and products", agreement: Agreement::Same, run: sums_and_products },
    Kind { name: "channels", agreement: Agreement::Same, run: channels },
    Kind { name: "rows", agreement: Agreement::Close, run: rows },
    Kind { name: "bits", agreement: Agreement::Same, run: bits },
    Kind { name: "dropout", agreement: Agreement::Same, run: dropout },
    Kind { name: "grids", agreement: Agreement::Same, run: grids },
    Kind { name: "carried states", agreement: Agreement::Same, run: carried },
    Kind { name: "neurons", agreement: Agreement::Same, run: neurons },
    Kind { name: "pools", agreement: Agreement::Same, run: pools },
    Kind { name: "updates", agreement: Agreement::Same, run: updates },
    Kind { name: "update with norms", agreement: Agreement::Close, run: normed_update },
    Kind { name: "norms", agreement: Agreement::Close, run: norms },
    Kind { name: "standardised weights", agreement: Agreement::Close, run: standardised },
    Kind { name: "losses", agreement: Agreement::Close, run: losses },
    Kind { name: "convolutions", agreement: Agreement::Close, run: convolutions },
    Kind { name: "affine maps", agreement: Agreement::Close, run: affine_maps },
    Kind { name: "attention", agreement: Agreement::Close, run: attention },
    Kind { name: "attention of spikes", agreement: Agreement::Same, run: attention_of_spikes },
    Kind { name: "sums of halves", agreement: Agreement::Same, run: halves::sums },
    Kind { name: "neurons of halves", agreement: Agreement::Same, run: halves::neurons },
    Kind { name: "pools of halves", agreement: Agreement::Same, run: halves::pools },
    Kind { name: "products of halves", agreement: Agreement::Rounded, run: halves::products },
];

/// Numbers in [-2, 2), drawn on the host.
pub(super) fn numbers(device: &Device, seed: u64, shape: impl Into<Shape>) -> Result<Tensor> {
    let shape = shape.into();
    let mut stream = Key::new(seed).fork("self-test").stream();
    let values: Vec<f32> = (0..shape.elem_count()).map(|_| (4.0 * stream.uniform() - 2.0) as f32).collect();
    Ok(Tensor::from_vec(values, shape, device)?)
}

/// Whole numbers from -2 to 2: sums of them are exact in any order.
fn whole(device: &Device, seed: u64, shape: impl Into<Shape>) -> Result<Tensor> {
    Ok(numbers(&Device::Cpu, seed, shape)?.round()?.to_device(device)?)
}

/// Spikes where a number is above a half.
pub(super) fn spikes(device: &Device, seed: u64, rows: usize, plane: usize) -> Result<Bits> {
    let above = numbers(&Device::Cpu, seed, (rows, plane))?.gt(0.5)?.to_dtype(DType::F32)?;
    Ok(Bits::pack(&above.to_device(device)?, rows, plane)?)
}

fn scalar(value: f64) -> Result<Tensor> {
    Ok(Tensor::new(&[value], &Device::Cpu)?)
}

fn sums_and_products(device: &Device) -> Result<Vec<Tensor>> {
    let (a, b) = (numbers(device, 1, 3001)?, numbers(device, 2, 3001)?);
    let into = numbers(device, 3, 3001)?;
    elementwise::add_assign(&into, &a, 0.3)?;
    elementwise::floor_magnitude(&into, 0.1)?;
    let steps = numbers(device, 4, (5, 601))?;
    Ok(vec![
        elementwise::add(&a, &b)?,
        elementwise::mul(&a, &b)?,
        elementwise::scale(&a, -0.7)?,
        into,
        elementwise::sum_steps(&steps, 5)?,
        scalar(elementwise::max_abs(&a)?.read()?)?,
    ])
}

fn channels(device: &Device) -> Result<Vec<Tensor>> {
    let (n, c, plane) = (4, 6, 35);
    let s = NormShape { groups: 1, n, c, plane };
    let (x, scale, shift) =
        (numbers(device, 1, (n, c, plane))?, numbers(device, 2, c)?, numbers(device, 3, c)?);
    let (first, rest) = elementwise::split_channels(&x, n, c, plane, 2)?;
    Ok(vec![
        norm::affine(&s, &x, &scale, &shift)?,
        elementwise::channel_scale(&x, n, c, plane, &scale)?,
        elementwise::concat_channels(&rest, 4, &first, 2, n, plane)?,
        elementwise::upsample_nearest(&x, n * c, 5, 7, 3)?,
    ])
}

fn rows(device: &Device) -> Result<Vec<Tensor>> {
    let (rows, plane) = (9, 700);
    let (a, b) = (numbers(device, 1, (rows, plane))?, numbers(device, 2, (rows, plane))?);
    let (a, b) = (Operand::Dense(&a), Operand::Dense(&b));
    let (x, y) = (spikes(device, 3, rows, plane)?, spikes(device, 4, rows, plane)?);
    let factor = elementwise::row_dot(rows, plane, a, b, DType::F32)?;
    Ok(vec![
        elementwise::row_scale(rows, plane, a, Operand::Dense(&factor), DType::F32)?,
        elementwise::row_overlap(&x, &y, DType::F32)?,
        factor,
    ])
}

fn bits(device: &Device) -> Result<Vec<Tensor>> {
    let x = spikes(device, 1, 7, 333)?;
    Ok(vec![x.unpack(DType::F32)?, x.tensor().clone(), scalar(x.count_ones()? as f64)?])
}

fn dropout(device: &Device) -> Result<Vec<Tensor>> {
    let (steps, n, rate) = (3, 1023, 0.3);
    let (key, x, s) = (Key::new(7), numbers(device, 1, (steps, n))?, spikes(device, 2, steps, n)?);
    let kept = elementwise::dropout_spikes(&s, steps, key, rate)?;
    let y = elementwise::dropout(Operand::Dense(&x), steps, n, key, rate, DType::F32)?;
    elementwise::dropout_assign(&x, steps, key, rate)?;
    Ok(vec![y, x, kept.tensor().clone()])
}

fn grids(device: &Device) -> Result<Vec<Tensor>> {
    let (n, ch, plane) = (3, 5, 77);
    let shape = (n, ch, plane);
    let (x, f, alpha) = (numbers(device, 1, shape)?, numbers(device, 2, shape)?, numbers(device, 3, ch)?);
    Ok(vec![
        elementwise::round_to_grid(&x, 16)?,
        elementwise::add_rounded(&x, &f, 16, -1)?,
        elementwise::mix(&f, &x, &alpha, n, ch, plane)?,
        elementwise::unmix(&x, &f, &alpha, n, ch, plane)?,
    ])
}

/// Forward, and back by the remainders: the state before must come back to the bit.
fn carried(device: &Device) -> Result<Vec<Tensor>> {
    let layout = Layout { n: 3, ch: 8, plane: 301, bits: 20 };
    let shape = (layout.n, layout.ch, layout.plane);
    let alpha = numbers(device, 1, layout.ch)?;
    let before = remainder::start(&numbers(device, 2, shape)?, layout.bits)?;
    let f = numbers(device, 3, shape)?;
    let after = remainder::carry(&layout, &f, &before, &alpha)?;
    let lost = remainder::encode(&layout, &before, &alpha)?;
    let back = remainder::recover(&layout, &after, &f, &alpha, &lost)?;
    let flips = differing(&back, &before)?;
    Ok(vec![before, after, back, remainder::factors(&alpha)?, scalar(flips as f64)?])
}

/// Elements that are not the same.
fn differing(a: &Tensor, b: &Tensor) -> Result<usize> {
    let list = |x: &Tensor| -> Result<Vec<f32>> { Ok(x.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?) };
    Ok(list(a)?.iter().zip(list(b)?).filter(|(a, b)| a.to_bits() != b.to_bits()).count())
}

fn neurons(device: &Device) -> Result<Vec<Tensor>> {
    let (steps, rows, plane) = (4, 3, 129);
    let s = LifShape { steps, rows, plane, channels: rows, current_steps: steps };
    let (x, ds) = (numbers(device, 1, (steps, rows, plane))?, numbers(device, 2, (steps, rows, plane))?);
    let mut all = Vec::new();
    for (surrogate, reset) in [
        (Surrogate::Rectangle { width: 1.0, height: 1.0, closed: true }, Reset::Soft),
        (Surrogate::Triangle { alpha: 1.0 }, Reset::Hard(0.0)),
        (Surrogate::Sigmoid { alpha: 4.0 }, Reset::Hard(0.0)),
        (Surrogate::ArcTan { alpha: 2.0 }, Reset::Soft),
    ] {
        let cell = Cell {
            decay: 0.5,
            input_gain: 1.0,
            threshold: 0.7,
            reset,
            reset_grad: ResetGrad::Through,
            surrogate,
            strict: false,
            time_gradient: true,
            smooth: false,
        };
        let current = Current { x: &x, affine: None };
        let (fired, last) = lif::forward(&s, &cell, &current, None, true)?;
        all.push(match fired {
            Fired::Spikes(bits) => bits.tensor().clone(),
            Fired::Smooth(values) => values,
        });
        all.extend(last);
        all.push(lif::backward(&s, &cell, &current, None, &ds, None, false, false)?.0);
    }
    Ok(all)
}

fn pools(device: &Device) -> Result<Vec<Tensor>> {
    let s = PoolShape { n_c: 6, h: 9, w: 11, kernel: 3, stride: 2, pad: 1 };
    let x = numbers(device, 1, (s.n_c, s.h * s.w))?;
    let dy = numbers(device, 2, (s.n_c, s.out_h() * s.out_w()))?;
    let x = Operand::Dense(&x);
    Ok(vec![
        pool::avg_forward(&s, x, DType::F32, true)?,
        pool::avg_backward(&s, &dy, true)?,
        pool::max_forward(&s, x, DType::F32)?,
        pool::max_backward(&s, x, &dy)?,
    ])
}

fn updates(device: &Device) -> Result<Vec<Tensor>> {
    let [p, g, v] = [1, 2, 3].map(|seed| numbers(device, seed, 999));
    let (p, g, v) = (p?, g?, v?);
    update::sgd(&p, &g, Some(&v), 0.1, 0.9, 1e-2, true)?;
    let (m, square) = (numbers(device, 4, 999)?, numbers(device, 5, 999)?);
    let square = elementwise::mul(&square, &square)?;
    let at = Averages { step: 3, betas: [0.9, 0.999], eps: 1e-8 };
    update::adam(&p, &g, &m, &square, at, 1e-2, 0.1, true)?;
    let average = numbers(device, 6, 999)?;
    update::average(&average, &p, 0.9)?;
    Ok(vec![p, v, m, square, average])
}

fn normed_update(device: &Device) -> Result<Vec<Tensor>> {
    let [p, g, m, v] = [1, 2, 3, 4].map(|seed| numbers(device, seed, (9, 111)));
    let (p, g, m, v) = (p?, g?, m?, v?);
    let v = elementwise::mul(&v, &v)?;
    update::clip_units(&p, &g, 9, 0.02, 1e-3)?;
    let at = Averages { step: 2, betas: [0.9, 0.999], eps: 1e-6 };
    update::lamb(&p, &g, &m, &v, at, 1e-2, 0.01, Trust::Clipped)?;
    let norm = update::norm_of(&[&g, &p])?;
    update::shorten(&g, &norm, 0.5, 1e-6)?;
    Ok(vec![p, g, m, v, scalar(norm.read()?)?])
}

fn norms(device: &Device) -> Result<Vec<Tensor>> {
    let s = NormShape { groups: 2, n: 3, c: 4, plane: 50 };
    let shape = (s.groups * s.n, s.c, s.plane);
    let (x, dy, gamma) = (numbers(device, 1, shape)?, numbers(device, 2, shape)?, numbers(device, 3, s.c)?);
    let m = norm::moments(&s, &x)?;
    let (dgamma, dbeta) = (numbers(device, 4, s.c)?, numbers(device, 5, s.c)?);
    let sums = [Some((&dgamma, true)), Some((&dbeta, false))];
    let dx = norm::backward(&s, &x, dy, true, &m, 1e-5, 0.5, Some(&gamma), sums[0], sums[1])?;
    Ok(vec![m.mean, m.var, dx, dgamma, dbeta])
}

fn standardised(device: &Device) -> Result<Vec<Tensor>> {
    let (o, n) = (6, 45);
    let how = Standardisation { variance: Variance::Unbiased, eps: Epsilon::ToProduct(1e-4) };
    let (w, gain, g) = (numbers(device, 1, (o, n))?, numbers(device, 2, o)?, numbers(device, 3, (o, n))?);
    let (dw, dgain) = (numbers(device, 4, (o, n))?, numbers(device, 5, o)?);
    let y = standardise::forward(&w, Some(&gain), how)?;
    standardise::backward(&w, Some(&gain), how, &g, &dw, true, Some((&dgain, true)))?;
    Ok(vec![y, dw, dgain])
}

fn losses(device: &Device) -> Result<Vec<Tensor>> {
    let (z, classes) = (numbers(device, 1, (5, 100))?, [3u32, 99, 0, 42, 7]);
    let (value, gradient) = loss::softmax_cross_entropy(&z, classes.as_slice(), 0.1)?;
    let right = loss::hits(&z, &classes)?;
    Ok(vec![scalar(value.read()?)?, gradient, scalar(right.read()?)?])
}

fn convolutions(device: &Device) -> Result<Vec<Tensor>> {
    let mut all = Vec::new();
    for (kernel, stride, groups) in [(3, 1, 1), (3, 2, 1), (1, 1, 1), (5, 1, 8)] {
        let pad = kernel / 2;
        let s = ConvShape {
            n: 4,
            c_in: 8,
            h: 12,
            w: 13,
            c_out: 16,
            kernel: (kernel, kernel),
            stride,
            pad,
            groups,
        };
        let x = numbers(device, 1, (s.n, s.c_in, s.h, s.w))?;
        let w = numbers(device, 2, (s.c_out, s.c_in / groups, kernel, kernel))?;
        let b = numbers(device, 3, s.c_out)?;
        let dy = numbers(device, 4, (s.n, s.c_out, s.out_h(), s.out_w()))?;
        let dw = numbers(device, 5, (s.c_out, s.c_in / groups, kernel, kernel))?;
        all.push(conv::forward(&s, Operand::Dense(&x), &w, Some(&b))?);
        all.push(conv::backward_input(&s, &dy, &w, conv::Tiles::Two)?);
        conv::backward_weight(&s, Operand::Dense(&x), &dy, &dw, true)?;
        all.push(dw);
        let bits = spikes(device, 6, s.n * s.c_in, s.h * s.w)?;
        all.push(conv::forward(&s, Operand::Spikes(&bits), &w, None)?);
    }
    Ok(all)
}

fn affine_maps(device: &Device) -> Result<Vec<Tensor>> {
    let (rows, inputs, outputs) = (7, 65, 33);
    let (x, w) = (numbers(device, 1, (rows, inputs))?, numbers(device, 2, (outputs, inputs))?);
    let (b, dy) = (numbers(device, 3, outputs)?, numbers(device, 4, (rows, outputs))?);
    let dw = numbers(device, 5, (outputs, inputs))?;
    linear::backward_weight(rows, Operand::Dense(&x), &dy, &dw, true)?;
    Ok(vec![linear::forward(rows, Operand::Dense(&x), &w, Some(&b))?, linear::backward_input(&dy, &w)?, dw])
}

/// Both orders of the products.
const SHAPES: [AttentionShape; 2] = [
    AttentionShape { images: 2, channels: 48, tokens: 70, heads: 3 },
    AttentionShape { images: 2, channels: 70, tokens: 9, heads: 2 },
];

fn attention(device: &Device) -> Result<Vec<Tensor>> {
    let mut all = Vec::new();
    for s in &SHAPES {
        let shape = (s.images, s.channels, s.tokens);
        let [q, k, v, g] = [1, 2, 3, 4].map(|seed| numbers(device, seed, shape));
        let (q, k, v, g) = (q?, k?, v?, g?);
        let [q, k, v] = [&q, &k, &v].map(Operand::Dense);
        all.push(attention::forward(s, q, k, v, 0.3, DType::F32)?);
        all.extend(attention::backward(s, q, k, v, &g, 0.3)?);
    }
    Ok(all)
}

/// Whole numbers and a power of two: nothing rounds, in any order.
fn attention_of_spikes(device: &Device) -> Result<Vec<Tensor>> {
    let mut all = Vec::new();
    for s in &SHAPES {
        let [q, k, v] = [1, 2, 3].map(|seed| spikes(device, seed, s.images * s.channels, s.tokens));
        let (q, k, v, g) = (q?, k?, v?, whole(device, 4, (s.images, s.channels, s.tokens))?);
        let [q, k, v] = [&q, &k, &v].map(Operand::Spikes);
        all.push(attention::forward(s, q, k, v, 0.125, DType::F32)?);
        all.extend(attention::backward(s, q, k, v, &g, 0.125)?);
    }
    Ok(all)
}
