//! Losses; see [`crate::loss`]. A loss is a number of the host, so these wait for the device once.

use candle_core::Tensor;
use cudarc::driver::CudaSlice;

use super::{Gpu, by_number, launch};
use crate::Result;
use crate::cuda::launch as grid;
use crate::error::ensure;
use crate::loss::Labels;

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

/// Sum of the rows' losses, and the gradient.
pub(crate) fn softmax_cross_entropy(
    op: &'static str,
    logits: &Tensor,
    (b, k): (usize, usize),
    labels: Labels,
    smoothing: f64,
) -> Result<(f64, Tensor)> {
    let gpu = filled(op, logits, b)?;
    let (classes, losses) = (Classes::new(&gpu, labels)?, gpu.buffer::<f64>(b)?);
    by_number!(op, logits.dtype(), H, R => {
        let (z, grad) = (gpu.at::<H>("logits", logits, b * k)?, gpu.fresh::<R>((b, k))?);
        let (to, [first, second, shares]) = (gpu.at::<R>("grad", &grad, b * k)?, classes.at(&gpu));
        launch!(
            gpu, LOSS, H, 0, "cross_entropy", grid::blocks(op, b)?,
            [z, first, second, shares, smoothing, b as u64, k as u64, gpu.of_buffer(&losses), to]
        );
        Ok((gpu.download(&losses)?.iter().sum(), grad))
    })
}

/// Sum of the squared errors, and the gradient; without labels every goal is `goal`.
pub(crate) fn mse(
    op: &'static str,
    logits: &Tensor,
    (b, k): (usize, usize),
    labels: Option<Labels>,
    goal: f64,
) -> Result<(f64, Tensor)> {
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
        Ok((gpu.download(&losses)?.iter().sum(), grad))
    })
}

pub(crate) fn argmax(op: &'static str, logits: &Tensor, (b, k): (usize, usize)) -> Result<Vec<u32>> {
    let gpu = filled(op, logits, b)?;
    by_number!(op, logits.dtype(), H => {
        let (z, best) = (gpu.at::<H>("logits", logits, b * k)?, gpu.buffer::<u32>(b)?);
        launch!(
            gpu, LOSS, H, 0, "argmax", grid::elements(op, b)?,
            [z, b as u64, k as u64, gpu.of_buffer(&best)]
        );
        gpu.download(&best)
    })
}
