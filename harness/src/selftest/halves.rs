//! Kinds of kernels on halves, and on halves beside the numbers that are none: streams, membranes, sums.

use candle_core::{DType, Device, Shape, Tensor};
use engine::Result;
use kernels::attention::{self, AttentionShape};
use kernels::conv::{self, ConvShape};
use kernels::lif::{self, Cell, Current, Fired, LifShape, Reset, ResetGrad, Surrogate};
use kernels::norm::{self, NormShape};
use kernels::pool::{self, PoolShape};
use kernels::{Operand, elementwise, held, linear};

use super::kinds::{numbers, spikes};

const BOTH: [DType; 2] = [DType::BF16, DType::F16];

/// Halves that were rounded on the host.
fn halves(device: &Device, dtype: DType, seed: u64, shape: impl Into<Shape>) -> Result<Tensor> {
    Ok(held::cast(&numbers(&Device::Cpu, seed, shape)?, dtype)?.to_device(device)?)
}

/// Runs a kind in both types.
fn in_both(run: impl Fn(DType) -> Result<Vec<Tensor>>) -> Result<Vec<Tensor>> {
    let mut all = Vec::new();
    for dtype in BOTH {
        all.extend(run(dtype)?);
    }
    Ok(all)
}

pub(super) fn sums(device: &Device) -> Result<Vec<Tensor>> {
    in_both(|dtype| {
        let (n, c, plane) = (3, 4, 50);
        let s = NormShape { groups: 1, n, c, plane };
        let (a, b) = (halves(device, dtype, 1, (n, c, plane))?, halves(device, dtype, 2, (n, c, plane))?);
        let (stream, scale) = (numbers(device, 3, (n, c, plane))?, numbers(device, 4, c)?);
        let into = elementwise::copied(&stream)?;
        elementwise::add_assign(&into, &a, -0.7)?;
        Ok(vec![
            elementwise::add(&a, &b)?,
            elementwise::add(&stream, &a)?,
            elementwise::mul(&a, &b)?,
            elementwise::scale(&a, 0.3)?,
            elementwise::add_affine(&s, &a, &scale, &scale, Operand::Dense(&stream))?,
            elementwise::add_affine(&s, &stream, &scale, &scale, Operand::Dense(&b))?,
            elementwise::add_rounded(&stream, &a, 16, 1)?,
            elementwise::mix(&a, &stream, &scale, n, c, plane)?,
            held::cast(&a, DType::F32)?,
            held::cast(&stream, dtype)?,
            into,
        ])
    })
}

pub(super) fn neurons(device: &Device) -> Result<Vec<Tensor>> {
    in_both(|dtype| {
        let (steps, rows, plane) = (4, 3, 129);
        let s = LifShape { steps, rows, plane, channels: rows, current_steps: steps };
        let cell = Cell {
            decay: 0.5,
            input_gain: 1.0,
            threshold: 0.7,
            reset: Reset::Soft,
            reset_grad: ResetGrad::Through,
            surrogate: Surrogate::Triangle { alpha: 1.0 },
            strict: false,
            time_gradient: true,
            smooth: false,
        };
        let ds = halves(device, dtype, 2, (steps, rows, plane))?;
        let mut all = Vec::new();
        // A current, and a stream: the gradient of what both fire is a half.
        for x in [halves(device, dtype, 1, (steps, rows, plane))?, numbers(device, 1, (steps, rows, plane))?]
        {
            let current = Current { x: &x, affine: None };
            if let (Fired::Spikes(bits), _) = lif::forward(&s, &cell, &current, None, false)? {
                all.push(bits.tensor().clone());
            }
            all.push(lif::backward(&s, &cell, &current, None, &ds, None, false, false)?.0);
        }
        Ok(all)
    })
}

pub(super) fn pools(device: &Device) -> Result<Vec<Tensor>> {
    in_both(|dtype| {
        let s = PoolShape { n_c: 6, h: 9, w: 11, kernel: 3, stride: 2, pad: 1 };
        let x = halves(device, dtype, 1, (s.n_c, s.h * s.w))?;
        let dy = halves(device, dtype, 2, (s.n_c, s.out_h() * s.out_w()))?;
        let x = Operand::Dense(&x);
        Ok(vec![
            pool::avg_forward(&s, x, dtype, true)?,
            pool::avg_backward(&s, &dy, true)?,
            pool::max_forward(&s, x, dtype)?,
            pool::max_backward(&s, x, &dy)?,
        ])
    })
}

/// Sums over many values, whose results are rounded.
pub(super) fn products(device: &Device) -> Result<Vec<Tensor>> {
    in_both(|dtype| {
        let mut all = Vec::new();
        for (kernel, stride, groups) in [(3, 1, 1), (3, 2, 1), (1, 1, 1), (5, 1, 8)] {
            let pad = kernel / 2;
            let kernel = (kernel, kernel);
            let s = ConvShape { n: 4, c_in: 8, h: 12, w: 13, c_out: 16, kernel, stride, pad, groups };
            let x = halves(device, dtype, 1, (s.n, s.c_in, s.h, s.w))?;
            let w = halves(device, dtype, 2, (s.c_out, s.c_in / groups, kernel.0, kernel.1))?;
            let dy = halves(device, dtype, 3, (s.n, s.c_out, s.out_h(), s.out_w()))?;
            let (b, dw) = (numbers(device, 4, s.c_out)?, numbers(device, 5, w.shape().clone())?);
            let bits = spikes(device, 6, s.n * s.c_in, s.h * s.w)?;
            for (x, b) in [(Operand::Dense(&x), Some(&b)), (Operand::Spikes(&bits), None)] {
                all.push(conv::forward(&s, x, &w, b)?);
                conv::backward_weight(&s, x, &dy, &dw, true)?;
            }
            all.push(conv::backward_input(&s, &dy, &w, conv::Tiles::Two)?);
            all.push(dw);
        }
        let (rows, inputs, outputs) = (7, 65, 33);
        let (x, w) =
            (halves(device, dtype, 1, (rows, inputs))?, halves(device, dtype, 2, (outputs, inputs))?);
        let (b, dy) = (numbers(device, 3, outputs)?, halves(device, dtype, 4, (rows, outputs))?);
        let dw = numbers(device, 5, (outputs, inputs))?;
        linear::backward_weight(rows, Operand::Dense(&x), &dy, &dw, true)?;
        all.push(linear::forward(rows, Operand::Dense(&x), &w, Some(&b))?);
        all.push(linear::forward(rows, Operand::Dense(&x), &w, None)?);
        all.extend([linear::backward_input(&dy, &w)?, dw]);

        let s = AttentionShape { images: 2, channels: 48, tokens: 70, heads: 3 };
        let of = |seed| halves(device, dtype, seed, (s.images, s.channels, s.tokens));
        let (q, k, v, g) = (of(1)?, of(2)?, of(3)?, of(4)?);
        let [q, k, v] = [&q, &k, &v].map(Operand::Dense);
        all.push(attention::forward(&s, q, k, v, 0.3, dtype)?);
        all.extend(attention::backward(&s, q, k, v, &g, 0.3)?);

        let s = NormShape { groups: 2, n: 3, c: 4, plane: 50 };
        let (x, dy) = (halves(device, dtype, 1, (6, 4, 50))?, halves(device, dtype, 2, (6, 4, 50))?);
        let m = norm::moments(&s, &x)?;
        all.push(norm::backward(&s, &x, dy, true, &m, 1e-5, 0.5, None, None, None)?);
        all.extend([m.mean, m.var]);
        Ok(all)
    })
}
