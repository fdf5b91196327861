//! Nearest-neighbour upsampling: `y[r, i, j] = x[r, i / factor, j / factor]`.

use candle_core::Tensor;

use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::error::ensure;
use crate::real::Real;
use crate::storage::read;
use crate::tasks::each_chunk;
use crate::{Result, held};

/// Repeats each value of `x` `[rows, h, w]` `factor` times both ways, `[rows, h * factor, w * factor]`.
pub fn upsample_nearest(x: &Tensor, rows: usize, h: usize, w: usize, factor: usize) -> Result<Tensor> {
    const OP: &str = "elementwise::upsample_nearest";
    ensure(factor > 0, OP, "the factor must be positive", || factor.to_string())?;
    on_cuda!(x => crate::cuda::ops::channels::upsample(OP, x, (rows, h, w), factor, false));
    let dtype = x.dtype();
    dispatch!(OP, x, T => {
        let x = read::<T>(OP, "x", x, rows * h * w)?;
        let (x, wide) = (&*x, w * factor);
        let mut out = vec![<T as Real>::ZERO; rows * h * factor * wide];
        each_chunk(&mut out, factor * wide * h, |row, out| {
            for (i, lines) in out.chunks_mut(factor * wide).enumerate() {
                let from = &x[(row * h + i) * w..(row * h + i + 1) * w];
                let (first, copies) = lines.split_at_mut(wide);
                first.chunks_mut(factor).zip(from).for_each(|(out, x)| out.fill(*x));
                copies.chunks_mut(wide).for_each(|copy| copy.copy_from_slice(first));
            }
        });
        held::made(out, (rows, h * factor, wide), dtype)
    })
}

/// Sums the gradient `[rows, h * factor, w * factor]` of each repeated value, `[rows, h, w]`.
pub fn upsample_backward(dy: &Tensor, rows: usize, h: usize, w: usize, factor: usize) -> Result<Tensor> {
    const OP: &str = "elementwise::upsample_backward";
    ensure(factor > 0, OP, "the factor must be positive", || factor.to_string())?;
    on_cuda!(dy => crate::cuda::ops::channels::upsample(OP, dy, (rows, h, w), factor, true));
    let dtype = dy.dtype();
    dispatch!(OP, dy, T => {
        let dy = read::<T>(OP, "dy", dy, rows * h * w * factor * factor)?;
        let (dy, wide) = (&*dy, w * factor);
        let mut dx = vec![<T as Real>::ZERO; rows * h * w];
        each_chunk(&mut dx, h * w, |row, dx| {
            for (line, dy) in dy[row * h * factor * wide..].chunks(wide).take(h * factor).enumerate() {
                let dx = &mut dx[line / factor * w..(line / factor + 1) * w];
                for (dx, dy) in dx.iter_mut().zip(dy.chunks(factor)) {
                    dy.iter().for_each(|g| *dx += *g);
                }
            }
        });
        held::made(dx, (rows, h, w), dtype)
    })
}
