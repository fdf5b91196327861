//! Dropout; see [`crate::elementwise::dropout`]. The mask is drawn by the threads that use it.

use candle_core::{DType, Tensor};
use keys::Key;

use super::{Gpu, by_number, launch};
use crate::bits::Bits;
use crate::cuda::launch as grid;
use crate::{Operand, Result};

pub(crate) fn dropout(
    op: &'static str,
    x: Operand,
    (steps, n): (usize, usize),
    key: Key,
    rate: f64,
    dtype: DType,
) -> Result<Tensor> {
    let gpu = Gpu::of(op, x.tensor())?;
    by_number!(op, x.dtype_or(dtype), H, R => {
        let (from, y) = (gpu.values::<H>(x, steps * n)?, gpu.fresh::<H>(steps * n)?);
        let to = gpu.at::<H>("y", &y, steps * n)?;
        launch!(
            gpu, DROPOUT, H, 0, "mask", grid::elements(op, n.div_ceil(2))?,
            [
                from.at, from.kind, from.plane, key.words(), keys::bound(rate), (1.0 / (1.0 - rate)) as R,
                steps as u64, to, n as u64,
            ]
        );
        Ok(y)
    })
}

/// Masks where the tensor lies.
pub(crate) fn assign(
    op: &'static str,
    x: &Tensor,
    (steps, n): (usize, usize),
    key: Key,
    rate: f64,
) -> Result<()> {
    let gpu = Gpu::of(op, x)?;
    by_number!(op, x.dtype(), H, R => {
        let at = gpu.at::<H>("x", x, steps * n)?;
        launch!(
            gpu, DROPOUT, H, 0, "mask", grid::elements(op, n.div_ceil(2))?,
            [
                at, 0i32, 1u64, key.words(), keys::bound(rate), (1.0 / (1.0 - rate)) as R, steps as u64, at,
                n as u64,
            ]
        );
        Ok(())
    })
}

/// The spikes that the mask keeps; the steps divide the rows.
pub(crate) fn spikes(op: &'static str, x: &Bits, steps: usize, key: Key, rate: f64) -> Result<Bits> {
    let (gpu, rows) = (Gpu::of(op, x.tensor())?, x.rows() / steps);
    let (from, out) = (gpu.bits(x)?, gpu.fresh_bits(x.rows(), x.plane())?);
    let to = gpu.bits(&out)?;
    launch!(
        gpu,
        DROPOUT,
        f32,
        0,
        "mask_bits",
        grid::elements(op, Bits::bytes_for(rows, x.plane()))?,
        [from, x.plane() as u64, key.words(), keys::bound(rate), steps as u64, rows as u64, to]
    );
    Ok(out)
}
