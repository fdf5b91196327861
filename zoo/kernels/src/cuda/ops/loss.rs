//! Losses; see [`crate::loss`]. A loss stays on the device until it is read.

use candle_core::Tensor;
use cudarc::driver::CudaSlice;

use super::{Gpu, by_number, launch};
use crate::cuda::launch as grid;
use crate::error::ensure;
use crate::loss::Labels;
use crate::{Result, Scalar};

/// What each row should be called, on the device.
struct Classes {
    first: CudaSlice<u32>,
    mixed: Option<(CudaSlice<u32>, CudaSlice<f64>)>,
}

impl Classes {
    fn new(gpu: &Gpu, labels: Labels) -> Result<Self> {
        Ok(match labels {
            Labels::Classes(classes) => Classes { first: gpu.upload(classes)?, mixed: None },
            Labels::Mixed { first, second, shares } => {
                Classes { first: gpu.upload(first)?, mixed: Some((gpu.upload(second)?, gpu.upload(shares)?)) }
            }
        })
    }

    /// Addresses of the first classes, the second ones and the shares.
    fn at(&self, gpu: &Gpu) -> [u64; 3] {
        let (second, shares) = self
            .mixed
            .as_ref()
            .map_or((0, 0), |(second, shares)| (gpu.of_buffer(second), gpu.of_buffer(shares)));
        [gpu.of_buffer(&self.first), second, shares]
    }
}

/// The device of `b` rows; one block takes a row without a look at how many there are.
fn filled(op: &'static str, logits: &Tensor, b: usize) -> Result<Gpu> {
    ensure(b > 0, op, "there must be a row", || format!("{:?}", logits.shape()))?;
    Gpu::of(op, logits)
}

/// The sum of one number a row, divided.
fn total(gpu: &Gpu, rows: &CudaSlice<f64>, b: usize, divisor: usize) -> Result<Scalar> {
    let out = gpu.buffer::<f64>(1)?;
    launch!(
        gpu,
        LOSS,
        f32,
        0,
        "total",
        grid::blocks(gpu.op(), 1)?,
        [gpu.of_buffer(rows), b as u64, divisor as f64, gpu.of_buffer(&out)]
    );
    Ok(Scalar::device(gpu.wrapped(out, 1)))
}

/// The mean of the rows' losses, and the gradient.
pub(crate) fn softmax_cross_entropy(
    op: &'static str,
    logits: &Tensor,
    (b, k): (usize, usize),
    labels: Labels,
    smoothing: f64,
) -> Result<(Scalar, Tensor)> {
    let gpu = filled(op, logits, b)?;
    let (classes, losses) = (Classes::new(&gpu, labels)?, gpu.buffer::<f64>(b)?);
    by_number!(op, logits.dtype(), H, R => {
        let (z, grad) = (gpu.at::<H>("logits", logits, b * k)?, gpu.fresh::<R>((b, k))?);
        let (to, [first, second, shares]) = (gpu.at::<R>("grad", &grad, b * k)?, classes.at(&gpu));
        launch!(
            gpu, LOSS, H, 0, "cross_entropy", grid::blocks(op, b)?,
            [z, first, second, shares, smoothing, b as u64, k as u64, gpu.of_buffer(&losses), to]
        );
        Ok((total(&gpu, &losses, b, b)?, grad))
    })
}

/// The mean squared error, and the gradient; without labels every goal is `goal`.
pub(crate) fn mse(
    op: &'static str,
    logits: &Tensor,
    (b, k): (usize, usize),
    labels: Option<Labels>,
    goal: f64,
) -> Result<(Scalar, Tensor)> {
    let gpu = filled(op, logits, b)?;
    let classes = labels.map(|labels| Classes::new(&gpu, labels)).transpose()?;
    let losses = gpu.buffer::<f64>(b)?;
    by_number!(op, logits.dtype(), H, R => {
        let (z, grad) = (gpu.at::<H>("logits", logits, b * k)?, gpu.fresh::<R>((b, k))?);
        let [first, second, shares] = classes.as_ref().map_or([0; 3], |classes| classes.at(&gpu));
        let to = gpu.at::<R>("grad", &grad, b * k)?;
        launch!(
            gpu, LOSS, H, 0, "mse", grid::blocks(op, b)?,
            [z, first, second, shares, goal, b as u64, k as u64, gpu.of_buffer(&losses), to]
        );
        Ok((total(&gpu, &losses, b, b * k)?, grad))
    })
}

pub(crate) fn hits(
    op: &'static str,
    logits: &Tensor,
    (b, k): (usize, usize),
    classes: &[u32],
) -> Result<Scalar> {
    let gpu = filled(op, logits, b)?;
    let (classes, right) = (gpu.upload(classes)?, gpu.buffer::<f64>(b)?);
    by_number!(op, logits.dtype(), H => {
        let z = gpu.at::<H>("logits", logits, b * k)?;
        launch!(
            gpu, LOSS, H, 0, "hits", grid::elements(op, b)?,
            [z, gpu.of_buffer(&classes), b as u64, k as u64, gpu.of_buffer(&right)]
        );
        total(&gpu, &right, b, 1)
    })
}
