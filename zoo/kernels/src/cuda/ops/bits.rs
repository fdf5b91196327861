//! Values of one bit; see [`crate::bits`].

use candle_core::{DType, Tensor};

use super::{Gpu, by_number, launch};
use crate::Result;
use crate::bits::Bits;
use crate::cuda::launch as grid;

pub(crate) fn pack(op: &'static str, dense: &Tensor, rows: usize, plane: usize) -> Result<Bits> {
    let gpu = Gpu::of(op, dense)?;
    by_number!(op, dense.dtype(), H => {
        let (x, out) = (gpu.at::<H>("dense", dense, rows * plane)?, gpu.fresh_bits(rows, plane)?);
        let to = gpu.bits(&out)?;
        launch!(gpu, BITS, H, 0, "pack", grid::elements(op, out.bytes())?, [x, rows as u64, plane as u64, to]);
        Ok(out)
    })
}

pub(crate) fn unpack(op: &'static str, bits: &Bits, dtype: DType) -> Result<Tensor> {
    let (gpu, rows, plane) = (Gpu::of(op, bits.tensor())?, bits.rows(), bits.plane());
    by_number!(op, dtype, H => {
        let (x, out) = (gpu.bits(bits)?, gpu.fresh::<H>((rows, plane))?);
        let to = gpu.at::<H>("out", &out, rows * plane)?;
        launch!(
            gpu, BITS, H, 0, "unpack", grid::elements(op, rows * plane)?,
            [x, plane as u64, to, (rows * plane) as u64]
        );
        Ok(out)
    })
}

/// Waits for the device: the answer is a number of the host.
pub(crate) fn count_ones(op: &'static str, bits: &Bits) -> Result<u64> {
    let (gpu, blocks) = (Gpu::of(op, bits.tensor())?, grid::parts(bits.bytes()));
    let (x, counts) = (gpu.bits(bits)?, gpu.buffer::<f64>(blocks.blocks.0 as usize)?);
    launch!(gpu, BITS, f32, 0, "count_ones", blocks, [x, gpu.of_buffer(&counts), bits.bytes() as u64]);
    // Whole numbers below 2^53.
    Ok(gpu.download(&counts)?.iter().sum::<f64>() as u64)
}

pub(crate) fn row_mask(op: &'static str, x: &Bits, mask: &Bits) -> Result<Bits> {
    let gpu = Gpu::of(op, x.tensor())?;
    let (at, keep, out) = (gpu.bits(x)?, gpu.bits(mask)?, gpu.fresh_bits(x.rows(), x.plane())?);
    let (to, width) = (gpu.bits(&out)?, x.plane().div_ceil(8).max(1) as u64);
    launch!(
        gpu,
        BITS,
        f32,
        0,
        "row_mask",
        grid::elements(op, x.bytes())?,
        [at, keep, width, to, x.bytes() as u64]
    );
    Ok(out)
}

pub(crate) fn row_overlap(op: &'static str, a: &Bits, b: &Bits, dtype: DType) -> Result<Tensor> {
    let (gpu, rows, width) = (Gpu::of(op, a.tensor())?, a.rows(), a.plane().div_ceil(8));
    by_number!(op, dtype, H => {
        let (a, b, out) = (gpu.bits(a)?, gpu.bits(b)?, gpu.fresh::<H>(rows)?);
        let to = gpu.at::<H>("out", &out, rows)?;
        launch!(gpu, BITS, H, 0, "row_overlap", grid::elements(op, rows)?, [a, b, width as u64, to, rows as u64]);
        Ok(out)
    })
}

pub(crate) fn gate(op: &'static str, dy: &Tensor, open: &Bits, reuse_dy: bool) -> Result<Tensor> {
    let (gpu, plane, len) = (Gpu::of(op, dy)?, open.plane(), open.rows() * open.plane());
    by_number!(op, dy.dtype(), H => {
        let (from, bits) = (gpu.at::<H>("dy", dy, len)?, gpu.bits(open)?);
        let out = if reuse_dy { dy.clone() } else { gpu.fresh::<H>(dy.shape())? };
        let to = gpu.at::<H>("out", &out, len)?;
        launch!(
            gpu, BITS, H, 0, "gate", grid::elements(op, len)?,
            [from, bits, plane.max(1) as u64, to, len as u64]
        );
        Ok(out)
    })
}

/// The rows of all parts, one part after the other.
pub(crate) fn concat(parts: &[Bits], rows: usize, plane: usize) -> Result<Bits> {
    let packed: Vec<&Tensor> = parts.iter().map(Bits::tensor).collect();
    // Contiguous parts along the first axis: candle copies buffer to buffer, without a kernel.
    Bits::of_tensor(Tensor::cat(&packed, 0)?, rows, plane)
}
