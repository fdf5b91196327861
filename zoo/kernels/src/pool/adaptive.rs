//! Averages over as many bins as are asked for, whatever the size of the plane.
//!
//! ```text
//! y[r, i, j] = mean of x[r, p, q] over  floor(i*h/oh) <= p < ceil((i+1)*h/oh)  and the same of columns
//! x [rows, h, w]   y [rows, oh, ow]
//! ```
//!
//! Bins overlap where the sizes do not divide, and a plane smaller than the bins is up-sampled: one value is in
//! several bins. PyTorch's `AdaptiveAvgPool2d` cuts the same way.

use std::ops::Range;

use candle_core::{DType, Tensor};

use super::{by_operand, map_planes};
use crate::bits::{Lent, lend};
use crate::cuda::on_cuda;
use crate::dispatch::{dispatch, refusal};
use crate::error::ensure;
use crate::real::Real;
use crate::storage::read;
use crate::{Operand, Result, held};

/// Sizes of an adaptive average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveShape {
    /// Planes: images times channels.
    pub rows: usize,
    /// Rows and columns of an input plane.
    pub plane: [usize; 2],
    /// Rows and columns of bins.
    pub out: [usize; 2],
}

impl AdaptiveShape {
    fn check(&self, op: &'static str) -> Result<()> {
        let holds = self.rows > 0 && !self.plane.contains(&0) && !self.out.contains(&0);
        ensure(holds, op, "planes and bins must be positive", || format!("{self:?}"))
    }

    fn inputs(&self) -> usize {
        self.plane[0] * self.plane[1]
    }

    fn outputs(&self) -> usize {
        self.out[0] * self.out[1]
    }

    /// Calls `f(output index, rows, columns)` for each bin.
    #[inline(always)]
    fn each_bin(&self, mut f: impl FnMut(usize, Range<usize>, Range<usize>)) {
        let bin = |axis: usize, i: usize| {
            let (n, bins) = (self.plane[axis], self.out[axis]);
            i * n / bins..((i + 1) * n).div_ceil(bins)
        };
        for i in 0..self.out[0] {
            for j in 0..self.out[1] {
                f(i * self.out[1] + j, bin(0, i), bin(1, j));
            }
        }
    }
}

/// Computes the averages `[rows, oh * ow]`; `dtype` is that of the result for spikes.
pub fn adaptive_avg_forward(s: &AdaptiveShape, x: Operand, dtype: DType) -> Result<Tensor> {
    const OP: &str = "pool::adaptive_avg_forward";
    s.check(OP)?;
    on_cuda!(x.tensor() => crate::cuda::ops::pool::adaptive_forward(OP, s, x, dtype));
    let dtype = x.dtype_or(dtype);
    by_operand!(OP, x, dtype, T => {
        let x = lend::<T>(OP, x, s.rows * s.inputs())?;
        let y = map_planes((s.rows, s.inputs(), s.outputs()), &x, |x, y, _| {
            if let [x] = *x {
                // From zero and by a count of one, as below.
                return y.fill(<T as Real>::ZERO + x);
            }
            s.each_bin(|o, rows, columns| {
                let count = <T as Real>::of((rows.len() * columns.len()) as f64);
                let mut sum = <T as Real>::ZERO;
                for row in rows {
                    let line = &x[row * s.plane[1]..(row + 1) * s.plane[1]];
                    line[columns.clone()].iter().for_each(|x| sum += *x);
                }
                y[o] = sum / count;
            });
        });
        held::made(y, (s.rows, s.outputs()), dtype)
    })
}

/// Computes the gradient of the input `[rows, h * w]`.
pub fn adaptive_avg_backward(s: &AdaptiveShape, dy: &Tensor) -> Result<Tensor> {
    const OP: &str = "pool::adaptive_avg_backward";
    s.check(OP)?;
    on_cuda!(dy => crate::cuda::ops::pool::adaptive_backward(OP, s, dy));
    let dtype = dy.dtype();
    dispatch!(OP, dy, T => {
        let dy = Lent::Dense(read::<T>(OP, "dy", dy, s.rows * s.outputs())?);
        let dx = map_planes((s.rows, s.outputs(), s.inputs()), &dy, |dy, dx, _| {
            if let [dx] = dx {
                return dy.iter().for_each(|dy| *dx += *dy);
            }
            s.each_bin(|o, rows, columns| {
                let share = dy[o] / <T as Real>::of((rows.len() * columns.len()) as f64);
                for row in rows {
                    let line = &mut dx[row * s.plane[1]..(row + 1) * s.plane[1]];
                    line[columns.clone()].iter_mut().for_each(|dx| *dx += share);
                }
            });
        });
        held::made(dx, (s.rows, s.inputs()), dtype)
    })
}
