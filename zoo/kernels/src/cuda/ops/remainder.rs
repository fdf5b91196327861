//! Carried states on a grid, and what undoes them; see [`crate::remainder`].

use candle_core::Tensor;

use super::{Gpu, by_number, by_real, launch};
use crate::Result;
use crate::cuda::launch as grid;
use crate::error::ensure;
use crate::remainder::Layout;

/// What the floors lost, on a device: one stream after the other, [`grid::RUN`] elements each.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    /// The bytes, and where each stream begins and the last one ends; nothing where no channel needs a stream.
    kept: Option<(Tensor, Tensor)>,
    payload: usize,
}

impl Streams {
    /// Bytes of the streams and of their places.
    pub(crate) fn bytes(&self) -> usize {
        self.payload + self.kept.as_ref().map_or(0, |(_, starts)| size_of::<u32>() * starts.elem_count())
    }

    /// Bytes of the streams alone.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.payload
    }
}

pub(crate) fn factors(op: &'static str, alpha: &Tensor) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, alpha)?, alpha.elem_count());
    by_real!(op, alpha.dtype(), R => {
        let (at, out) = (gpu.at::<R>("alpha", alpha, len)?, gpu.fresh::<R>(alpha.shape())?);
        let to = gpu.at::<R>("out", &out, len)?;
        launch!(gpu, REMAINDER, R, 0, "factors", grid::elements(op, len)?, [at, to, len as u64]);
        Ok(out)
    })
}

pub(crate) fn start(op: &'static str, f: &Tensor, bits: i32) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, f)?, f.elem_count());
    by_number!(op, f.dtype(), H, R => {
        let (at, out) = (gpu.at::<H>("f", f, len)?, gpu.fresh::<R>(f.shape())?);
        let (up, down, to) = (2f64.powi(bits), 2f64.powi(-bits), gpu.at::<R>("out", &out, len)?);
        launch!(
            gpu, REMAINDER, H, 0, "start", grid::elements(op, len)?,
            [at, up as R, down as R, to, len as u64]
        );
        Ok(out)
    })
}

pub(crate) fn carry(
    op: &'static str,
    s: &Layout,
    f: &Tensor,
    prev: &Tensor,
    alpha: &Tensor,
) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, f)?, s.n * s.ch * s.plane);
    by_number!(op, f.dtype(), H, R => {
        let at = [gpu.at::<H>("f", f, len)?, gpu.at::<R>("prev", prev, len)?, gpu.at::<R>("alpha", alpha, s.ch)?];
        let out = gpu.fresh::<R>(f.shape())?;
        let (up, down, to) = (2f64.powi(s.bits), 2f64.powi(-s.bits), gpu.at::<R>("out", &out, len)?);
        launch!(
            gpu, REMAINDER, H, 0, "carry", grid::elements(op, len)?,
            [at[0], at[1], at[2], s.ch as u64, s.plane.max(1) as u64, up as R, down as R, to, len as u64]
        );
        Ok(out)
    })
}

/// Writes down what [`carry`] loses. Waits for the device: for the lengths of the streams. A factor that can't be one is not
/// looked for: [`carry`] gives states that are no numbers for it, and [`recover`] refuses it.
pub(crate) fn encode(op: &'static str, s: &Layout, prev: &Tensor, alpha: &Tensor) -> Result<Streams> {
    let (gpu, len) = (Gpu::of(op, prev)?, s.len());
    by_real!(op, prev.dtype(), R => {
        let (at, factors) = (gpu.at::<R>("prev", prev, len)?, gpu.at::<R>("alpha", alpha, s.ch)?);
        let streams = len.div_ceil(grid::RUN);
        if streams == 0 {
            return Ok(Streams { kept: None, payload: 0 });
        }
        let (up, each) = (2f64.powi(s.bits) as R, grid::elements(op, streams)?);
        let lengths = gpu.buffer::<u32>(streams)?;
        launch!(
            gpu, REMAINDER, R, 0, "stream_bytes", each,
            [at, factors, s.ch as u64, s.plane as u64, up, gpu.of_buffer(&lengths), len as u64]
        );
        let mut starts = vec![0u32; 1];
        let mut end = 0usize;
        for length in gpu.download(&lengths)? {
            end += length as usize;
            starts.push(end as u32);
        }
        if end == 0 {
            return Ok(Streams { kept: None, payload: 0 });
        }
        ensure(u32::try_from(end).is_ok(), op, "the streams of a level must fit 4 GiB", || end.to_string())?;
        let (bytes, starts) = (gpu.fresh_bytes(end)?, gpu.wrapped(gpu.upload(&starts)?, starts.len()));
        let (places, to) = (gpu.at_plain::<u32>("starts", &starts, streams + 1)?, gpu.at_plain::<u8>("streams", &bytes, end)?);
        launch!(
            gpu, REMAINDER, R, 0, "encode", each,
            [at, factors, s.ch as u64, s.plane as u64, up, places, to, len as u64]
        );
        Ok(Streams { kept: Some((bytes, starts)), payload: end })
    })
}

/// What [`carry`] had before. Waits for the device: whether the streams fit is a number of the host.
pub(crate) fn recover(
    op: &'static str,
    s: &Layout,
    c: &Tensor,
    f: &Tensor,
    alpha: &Tensor,
    lost: &Streams,
) -> Result<Tensor> {
    let (gpu, len) = (Gpu::of(op, c)?, s.len());
    let streams = len.div_ceil(grid::RUN);
    by_number!(op, f.dtype(), H, R => {
        let at = [gpu.at::<R>("c", c, len)?, gpu.at::<H>("f", f, len)?, gpu.at::<R>("alpha", alpha, s.ch)?];
        let out = gpu.fresh::<R>(c.shape())?;
        let to = gpu.at::<R>("out", &out, len)?;
        let (bytes, starts) = match &lost.kept {
            Some((bytes, starts)) => (
                gpu.at_plain::<u8>("streams", bytes, lost.payload)?,
                gpu.at_plain::<u32>("starts", starts, streams + 1)?,
            ),
            None => (0, 0),
        };
        if streams == 0 {
            return Ok(out);
        }
        let misfits = gpu.buffer::<u8>(streams)?;
        let (up, down) = (2f64.powi(s.bits), 2f64.powi(-s.bits));
        launch!(
            gpu, REMAINDER, H, 0, "recover", grid::elements(op, streams)?,
            [
                at[0], at[1], at[2], s.ch as u64, s.plane as u64, up as R, down as R, bytes, starts,
                gpu.of_buffer(&misfits), to, len as u64,
            ]
        );
        let misfits = gpu.download(&misfits)?.iter().filter(|misfit| **misfit != 0).count();
        ensure(misfits == 0, op, "streams must end where the states do", || format!("{misfits} that don't"))?;
        Ok(out)
    })
}
