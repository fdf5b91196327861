//! Halves: numbers of 16 bits that lie in memory, and what they are computed in.
//!
//! No kernel of the processor computes in `bf16` or `f16`. [`storage::read`] lends a half as the `f32`
//! it stands for, [`storage::write`] rounds what was written back to where it lies, and an output is
//! rounded once: an op of halves is the op of `f32` on widened inputs, its outputs rounded to even. That is slow and takes
//! room for the length of a call; it is what an accelerator, which reads halves into registers, is compared with.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use candle_core::{CpuStorage, DType, Shape, Tensor, WithDType};
use half::{bf16, f16};

use crate::cuda::on_cuda;
use crate::storage::{self, filled_chunks};
use crate::tasks;
use crate::{Error, Result};

/// Elements of one piece of work.
const BLOCK: usize = 1 << 14;

/// The type that numbers of `dtype` are computed and summed in: `f32` for halves, else their own.
#[must_use]
pub fn real(dtype: DType) -> DType {
    if is_half(dtype) { DType::F32 } else { dtype }
}

/// Whether `dtype` has 16 bits.
#[must_use]
pub fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::BF16 | DType::F16)
}

/// The type of a result that is made of numbers of both: the wider one.
#[must_use]
pub fn wider(a: DType, b: DType) -> DType {
    if is_half(a) { b } else { a }
}

/// A tensor of its own with the values of `x` in another type: widened, or rounded to even.
pub fn cast(x: &Tensor, dtype: DType) -> Result<Tensor> {
    const OP: &str = "held::cast";
    on_cuda!(x => crate::cuda::ops::elementwise::cast(OP, x, dtype));
    let (shape, len) = (x.shape().clone(), x.elem_count());
    crate::dispatch::dispatch!(OP, x, T => {
        let x = storage::read::<T>(OP, "x", x, len)?;
        made(x.to_vec(), shape, dtype)
    })
}

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Most bytes that halves took at once as `f32` since the last [`reset_widened_peak`]: copies that live as long as an op.
pub fn widened_peak() -> usize {
    PEAK.load(Relaxed)
}

/// Starts a new measurement of [`widened_peak`].
pub fn reset_widened_peak() {
    PEAK.store(LIVE.load(Relaxed), Relaxed);
}

/// Counts the bytes of a widened copy while it lives.
struct Counted(usize);

impl Counted {
    fn new(bytes: usize) -> Self {
        PEAK.fetch_max(LIVE.fetch_add(bytes, Relaxed) + bytes, Relaxed);
        Self(bytes)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LIVE.fetch_sub(self.0, Relaxed);
    }
}

/// Halves as numbers that a kernel reads or writes.
pub(crate) struct Wide<T> {
    values: Vec<T>,
    _counted: Counted,
}

impl<T> std::ops::Deref for Wide<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values
    }
}

impl<T> std::ops::DerefMut for Wide<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values
    }
}

/// The halves of a range of a storage as `f32`; `None` where they are no halves, or `T` is not `f32`.
pub(crate) fn widened<T: WithDType>(storage: &CpuStorage, range: std::ops::Range<usize>) -> Option<Wide<T>> {
    let mut values = match storage {
        CpuStorage::BF16(all) => expanded(&all[range], bf16::to_f32),
        CpuStorage::F16(all) => expanded(&all[range], f16::to_f32),
        _ => return None,
    };
    let counted = Counted::new(size_of_val(&*values));
    let values: &mut dyn Any = &mut values;
    Some(Wide { values: std::mem::take(values.downcast_mut::<Vec<T>>()?), _counted: counted })
}

/// Rounds `f32` to where halves lie; nothing where they are no halves, or `T` is not `f32`.
pub(crate) fn narrow<T: WithDType>(
    values: &Wide<T>,
    storage: &mut CpuStorage,
    range: std::ops::Range<usize>,
) {
    let values: &dyn Any = &values.values;
    let Some(values) = values.downcast_ref::<Vec<f32>>() else { return };
    match storage {
        CpuStorage::BF16(all) => put(values, &mut all[range], bf16::from_f32),
        CpuStorage::F16(all) => put(values, &mut all[range], f16::from_f32),
        _ => {}
    }
}

/// Makes a tensor of type `dtype` of what a kernel computed: taken over, or rounded.
pub(crate) fn made<T: WithDType>(values: Vec<T>, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
    if dtype == T::DTYPE {
        return storage::tensor(values, shape);
    }
    let all: &dyn Any = &values;
    let _counted = Counted::new(size_of_val(&*values));
    match (all.downcast_ref::<Vec<f32>>(), dtype) {
        (Some(values), DType::BF16) => storage::tensor(rounded(values, bf16::from_f32), shape),
        (Some(values), DType::F16) => storage::tensor(rounded(values, f16::from_f32), shape),
        _ => Err(Error::DType { op: "held::made", what: "result", expected: T::DTYPE, got: dtype }),
    }
}

fn expanded<H: Copy + Sync>(all: &[H], to: fn(H) -> f32) -> Vec<f32> {
    // SAFETY: each element of each chunk is written.
    unsafe {
        filled_chunks(all.len(), BLOCK, |i, out| {
            for (out, half) in out.iter_mut().zip(&all[i * BLOCK..]) {
                out.write(to(*half));
            }
        })
    }
}

fn rounded<H: Copy + Send>(values: &[f32], from: fn(f32) -> H) -> Vec<H> {
    // SAFETY: each element of each chunk is written.
    unsafe {
        filled_chunks(values.len(), BLOCK, |i, out| {
            for (out, value) in out.iter_mut().zip(&values[i * BLOCK..]) {
                out.write(from(*value));
            }
        })
    }
}

fn put<H: Send>(values: &[f32], all: &mut [H], from: fn(f32) -> H) {
    tasks::each_chunk(all, BLOCK, |i, all| {
        for (half, value) in all.iter_mut().zip(&values[i * BLOCK..]) {
            *half = from(*value);
        }
    });
}
