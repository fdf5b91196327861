//! Parameter updates; see [`crate::update`].

use candle_core::Tensor;
use cudarc::driver::{CudaSlice, DeviceRepr};

use super::{Gpu, Number, by_real, launch};
use crate::cuda::launch as grid;
use crate::update::{Moving, Trust};
use crate::{Error, Result, Scalar};

/// `struct Moving` of `update.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Averages<T>([T; 7]);

// SAFETY: seven numbers in a row, in the order that the source declares; passed by value.
unsafe impl<T: Number> DeviceRepr for Averages<T> {}

impl<T: Number> From<Moving<T>> for Averages<T> {
    fn from(k: Moving<T>) -> Self {
        Averages([k.b1, k.b2, k.rest1, k.rest2, k.unbias1, k.unbias2, k.eps])
    }
}

#[expect(clippy::too_many_arguments, reason = "the equation's operands")]
pub(crate) fn sgd(
    op: &'static str,
    p: &Tensor,
    g: &Tensor,
    velocity: Option<&Tensor>,
    lr: f64,
    momentum: f64,
    weight_decay: f64,
    nesterov: bool,
) -> Result<()> {
    let (gpu, len) = (Gpu::of(op, p)?, p.elem_count());
    by_real!(op, p.dtype(), T => {
        let (at, g) = (gpu.at::<T>("p", p, len)?, gpu.at::<T>("g", g, len)?);
        match velocity {
            Some(v) => {
                let v = gpu.at::<T>("velocity", v, len)?;
                launch!(
                    gpu, UPDATE, T, 0, "sgd", grid::elements(op, len)?,
                    [at, g, v, lr as T, momentum as T, weight_decay as T, i32::from(nesterov), len as u64]
                );
            }
            None => launch!(
                gpu, UPDATE, T, 0, "descend", grid::elements(op, len)?,
                [at, g, lr as T, weight_decay as T, len as u64]
            ),
        }
        Ok(())
    })
}

/// The four tensors of an update, in the order p, g, m, v.
fn four<T: Number>(gpu: &Gpu, [p, g, m, v]: [&Tensor; 4], len: usize) -> Result<[u64; 4]> {
    Ok([
        gpu.at::<T>("p", p, len)?,
        gpu.at::<T>("g", g, len)?,
        gpu.at::<T>("m", m, len)?,
        gpu.at::<T>("v", v, len)?,
    ])
}

pub(crate) fn adam(
    op: &'static str,
    tensors: [&Tensor; 4],
    at: crate::update::Averages,
    lr: f64,
    wd: f64,
    decoupled: bool,
) -> Result<()> {
    let (gpu, len) = (Gpu::of(op, tensors[0])?, tensors[0].elem_count());
    let (pull, keep) = if decoupled { (0.0, 1.0 - lr * wd) } else { (wd, 1.0) };
    by_real!(op, tensors[0].dtype(), T => {
        let [p, g, m, v] = four::<T>(&gpu, tensors, len)?;
        launch!(
            gpu, UPDATE, T, 0, "adam", grid::elements(op, len)?,
            [p, g, m, v, Averages::from(Moving::<T>::new(at)), lr as T, pull as T, keep as T, len as u64]
        );
        Ok(())
    })
}

pub(crate) fn lamb(
    op: &'static str,
    tensors: [&Tensor; 4],
    at: crate::update::Averages,
    lr: f64,
    wd: f64,
    trust: Trust,
) -> Result<()> {
    let (gpu, len) = (Gpu::of(op, tensors[0])?, tensors[0].elem_count());
    by_real!(op, tensors[0].dtype(), T => {
        let [p, g, m, v] = four::<T>(&gpu, tensors, len)?;
        let direction = gpu.buffer::<T>(len)?;
        let u = gpu.of_buffer(&direction);
        launch!(
            gpu, UPDATE, T, 0, "lamb_direction", grid::elements(op, len)?,
            [p, g, m, v, Averages::from(Moving::<T>::new(at)), wd as T, u, len as u64]
        );
        let (weight, change) = (squares::<T>(&gpu, p, len)?, squares::<T>(&gpu, u, len)?);
        let trust = match trust {
            Trust::Off => 0i32,
            Trust::Free => 1,
            Trust::Clipped => 2,
        };
        launch!(
            gpu, UPDATE, T, 0, "lamb_step", grid::elements(op, len)?,
            [p, u, gpu.of_buffer(&weight), gpu.of_buffer(&change), weight.len() as u64, lr, trust, len as u64]
        );
        Ok(())
    })
}

/// Sums of squares of `len` values, in parts.
fn squares<T: Number>(gpu: &Gpu, x: u64, len: usize) -> Result<CudaSlice<f64>> {
    let blocks = grid::parts(len);
    let parts = gpu.buffer::<f64>(blocks.blocks.0 as usize)?;
    launch!(gpu, UPDATE, T, 0, "squares", blocks, [x, gpu.of_buffer(&parts), len as u64]);
    Ok(parts)
}

pub(crate) fn clip_units(
    op: &'static str,
    p: &Tensor,
    g: &Tensor,
    units: usize,
    factor: f64,
    eps: f64,
) -> Result<()> {
    let (gpu, len) = (Gpu::of(op, g)?, g.elem_count());
    by_real!(op, g.dtype(), T => {
        let (p, g) = (gpu.at::<T>("p", p, len)?, gpu.at::<T>("g", g, len)?);
        launch!(
            gpu, UPDATE, T, 0, "clip_units", grid::blocks(op, units)?,
            [p, g, (len / units.max(1)) as u64, factor, eps]
        );
        Ok(())
    })
}

pub(crate) fn average(op: &'static str, average: &Tensor, x: &Tensor, decay: f64) -> Result<()> {
    let (gpu, len) = (Gpu::of(op, average)?, average.elem_count());
    by_real!(op, average.dtype(), T => {
        let (at, x) = (gpu.at::<T>("average", average, len)?, gpu.at::<T>("x", x, len)?);
        launch!(
            gpu, UPDATE, T, 0, "average", grid::elements(op, len)?,
            [at, x, decay as T, (1.0 - decay) as T, len as u64]
        );
        Ok(())
    })
}

pub(crate) fn swap(op: &'static str, a: &Tensor, b: &Tensor) -> Result<()> {
    let (gpu, len) = (Gpu::of(op, a)?, a.elem_count());
    by_real!(op, a.dtype(), T => {
        let (a, b) = (gpu.at::<T>("a", a, len)?, gpu.at::<T>("b", b, len)?);
        launch!(gpu, UPDATE, T, 0, "swap", grid::elements(op, len)?, [a, b, len as u64]);
        Ok(())
    })
}

/// The norm of all tensors together, each summed in parts of its own.
pub(crate) fn norm_of(op: &'static str, all: &[&Tensor]) -> Result<Scalar> {
    let gpu = Gpu::of(op, all[0])?;
    by_real!(op, all[0].dtype(), R => {
        let grids: Vec<grid::Grid> = all.iter().map(|x| grid::parts(x.elem_count())).collect();
        let count = grids.iter().map(|grid| grid.blocks.0 as usize).sum::<usize>();
        let (parts, norm) = (gpu.buffer::<f64>(count)?, gpu.buffer::<f64>(1)?);
        let mut to = gpu.of_buffer(&parts);
        for (x, blocks) in all.iter().zip(grids) {
            let len = x.elem_count();
            let at = gpu.at::<R>("x", x, len)?;
            launch!(gpu, UPDATE, R, 0, "squares", blocks, [at, to, len as u64]);
            to += u64::from(blocks.blocks.0) * size_of::<f64>() as u64;
        }
        launch!(
            gpu, UPDATE, R, 0, "root_of_parts", grid::blocks(op, 1)?,
            [gpu.of_buffer(&parts), count as u64, gpu.of_buffer(&norm)]
        );
        Ok(Scalar::device(gpu.wrapped(norm, 1)))
    })
}

pub(crate) fn shorten(op: &'static str, x: &Tensor, norm: &Scalar, most: f64, eps: f64) -> Result<()> {
    let (gpu, len) = (Gpu::of(op, x)?, x.elem_count());
    by_real!(op, x.dtype(), R => {
        let Some(norm) = norm.on_device() else {
            return Err(Error::NoKernel { op, device: "a norm of the host".to_owned() });
        };
        let (at, norm) = (gpu.at::<R>("x", x, len)?, gpu.at::<f64>("norm", norm, 1)?);
        launch!(
            gpu, UPDATE, R, 0, "shorten", grid::elements(op, len)?,
            [at, norm, most, eps, len as u64]
        );
        Ok(())
    })
}
