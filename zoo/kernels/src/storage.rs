//! Slices of a tensor's CPU storage, to read and to write where it lies.
//!
//! Writing in place keeps the storage: parameters, gradients and traces are updated where they are, and every
//! alias of the tensor sees the new values. New tensors take over the buffer that a kernel filled, without a
//! copy. `Disjoint` lets parallel tasks fill separate parts of one buffer.

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, Range};

use candle_core::{
    CpuStorage, DType, Device, InplaceOp1, Layout, Shape, Storage, StorageRef, Tensor, WithDType,
};

use crate::tasks::each_chunk;
use crate::{Error, Result, held};

/// A tensor's elements, borrowed to read; halves as the `f32` that they stand for.
pub struct Slice<'a, T>(Lent<'a, T>);

enum Lent<'a, T> {
    Own(StorageRef<'a>, Range<usize>),
    Wide(held::Wide<T>),
}

impl<T: WithDType> Deref for Slice<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let (guard, range) = match &self.0 {
            Lent::Own(guard, range) => (guard, range.clone()),
            Lent::Wide(values) => return values,
        };
        match &**guard {
            // `read` has checked the type and the bounds, so both fallbacks are out of reach.
            Storage::Cpu(cpu) => T::cpu_storage_as_slice(cpu).map_or(&[], |all| &all[range]),
            _ => &[],
        }
    }
}

/// Borrows the `len` elements of contiguous CPU tensor `t`, called `what` in the errors of `op`. Halves are lent as `f32`.
pub fn read<'a, T: WithDType>(
    op: &'static str,
    what: &'static str,
    t: &'a Tensor,
    len: usize,
) -> Result<Slice<'a, T>> {
    let range = span::<T>(op, what, t, len)?;
    let (guard, _) = t.storage_and_layout();
    let wide = match &*guard {
        Storage::Cpu(cpu) if held::is_half(t.dtype()) => held::widened(cpu, range.clone()),
        _ => None,
    };
    Ok(Slice(wide.map_or(Lent::Own(guard, range), Lent::Wide)))
}

/// Borrows an optional tensor, see [`read`].
pub fn read_opt<'a, T: WithDType>(
    op: &'static str,
    what: &'static str,
    t: Option<&'a Tensor>,
    len: usize,
) -> Result<Option<Slice<'a, T>>> {
    t.map(|t| read(op, what, t, len)).transpose()
}

/// Lends the `len` elements of contiguous CPU tensor `t` to `f`, to change where they lie. Halves are lent as `f32` and
/// rounded when `f` is done.
///
/// No [`Slice`] of the same storage may be alive: compare with [`distinct`] first.
pub fn write<T: WithDType, R>(
    op: &'static str,
    what: &'static str,
    t: &Tensor,
    len: usize,
    f: impl FnOnce(&mut [T]) -> R,
) -> Result<R> {
    span::<T>(op, what, t, len)?;
    let lend = Lend { op, run: Cell::new(Some(f)), out: Cell::new(None), of: PhantomData::<T> };
    t.inplace_op1(&lend)?;
    lend.out.take().ok_or_else(|| Error::Rule {
        op,
        rule: "a tensor that is written must lie on the CPU",
        got: format!("{:?}", t.device().location()),
    })
}

/// Refuses when `written` and one of `read` share their storage.
pub fn distinct(
    op: &'static str,
    written: (&'static str, &Tensor),
    read: &[(&'static str, &Tensor)],
) -> Result<()> {
    for (with, t) in read {
        if shares(written.1, t) {
            return Err(Error::Aliased { op, what: written.0, with });
        }
    }
    Ok(())
}

/// Whether two tensors lie in the same storage.
pub fn shares(a: &Tensor, b: &Tensor) -> bool {
    let address = |t: &Tensor| std::ptr::from_ref::<Storage>(&t.storage_and_layout().0).addr();
    address(a) == address(b)
}

/// Makes a CPU tensor of `values`, which it takes over.
pub(crate) fn tensor<T: WithDType>(values: Vec<T>, shape: impl Into<Shape>) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape.into(), &Device::Cpu)?)
}

fn span<T: WithDType>(op: &'static str, what: &'static str, t: &Tensor, len: usize) -> Result<Range<usize>> {
    if !t.device().is_cpu() {
        return Err(Error::NoKernel { op, device: format!("{:?}", t.device().location()) });
    }
    extent_of(op, what, t, len, (T::DTYPE, held::real(t.dtype())))
}

/// Which elements of its storage `t` has, if it is contiguous and has the type and the length asked for; on any device.
#[cfg(feature = "cuda")]
pub(crate) fn extent<T: WithDType>(
    op: &'static str,
    what: &'static str,
    t: &Tensor,
    len: usize,
) -> Result<Range<usize>> {
    extent_of(op, what, t, len, (T::DTYPE, t.dtype()))
}

/// The same, for a tensor that counts as one of type `lies`.
fn extent_of(
    op: &'static str,
    what: &'static str,
    t: &Tensor,
    len: usize,
    (expected, lies): (DType, DType),
) -> Result<Range<usize>> {
    if lies != expected {
        return Err(Error::DType { op, what, expected, got: t.dtype() });
    }
    if t.elem_count() != len {
        return Err(Error::Length { op, what, expected: len, got: t.elem_count(), shape: t.shape().clone() });
    }
    match t.layout().contiguous_offsets() {
        Some((start, end)) => Ok(start..end),
        None => Err(Error::Layout { op, what, stride: t.stride().to_vec() }),
    }
}

struct Lend<T, R, F> {
    op: &'static str,
    run: Cell<Option<F>>,
    out: Cell<Option<R>>,
    of: PhantomData<T>,
}

impl<T: WithDType, R, F: FnOnce(&mut [T]) -> R> InplaceOp1 for Lend<T, R, F> {
    fn name(&self) -> &'static str {
        self.op
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("{}: a tensor that is written must be contiguous", self.op)
        };
        if let Some(mut wide) = held::widened::<T>(storage, start..end) {
            if let Some(f) = self.run.take() {
                self.out.set(Some(f(&mut wide)));
                held::narrow(&wide, storage, start..end);
            }
            return Ok(());
        }
        let Some(all) = typed_mut::<T>(storage) else {
            candle_core::bail!("{}: a tensor that is written must be {:?}", self.op, T::DTYPE)
        };
        if let Some(f) = self.run.take() {
            self.out.set(Some(f(&mut all[start..end])));
        }
        Ok(())
    }
}

fn typed_mut<T: WithDType>(storage: &mut CpuStorage) -> Option<&mut [T]> {
    use std::any::Any;
    let all: &mut dyn Any = match storage {
        CpuStorage::F32(v) => v,
        CpuStorage::F64(v) => v,
        CpuStorage::U8(v) => v,
        CpuStorage::U32(v) => v,
        CpuStorage::I64(v) => v,
        _ => return None,
    };
    all.downcast_mut::<Vec<T>>().map(Vec::as_mut_slice)
}

/// A buffer that parallel tasks fill in separate parts.
pub(crate) struct Disjoint<'a, T> {
    start: *mut T,
    len: usize,
    of: PhantomData<&'a mut [T]>,
}

// SAFETY: the parts handed out never overlap (the contract of `part`), so sharing the handle shares no element.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    pub(crate) fn new(all: &'a mut [T]) -> Self {
        Disjoint { start: all.as_mut_ptr(), len: all.len(), of: PhantomData }
    }

    /// The elements of `range`.
    ///
    /// # Safety
    /// No two parts that are alive at the same time may overlap.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "the point of the type; the contract keeps the parts apart")]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: in bounds by the assertion, alone by the contract.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.end - range.start) }
    }

    /// The first element's address, for kernels that write by strides.
    #[inline(always)]
    pub(crate) fn pointer(&self) -> *mut T {
        self.start
    }
}

/// Makes a vector of `len` elements that `fill` writes, without zeroing it first.
///
/// # Safety
/// `fill` must write every element.
pub(crate) unsafe fn filled<T: Copy>(len: usize, fill: impl FnOnce(&mut [MaybeUninit<T>])) -> Vec<T> {
    let mut values = Vec::with_capacity(len);
    fill(&mut values.spare_capacity_mut()[..len]);
    // SAFETY: the capacity is at least `len`, and `fill` has written every element.
    unsafe { values.set_len(len) };
    values
}

/// Makes a vector of `len` elements, filled in chunks of `chunk` by `fill(index of the chunk, chunk)`.
///
/// # Safety
/// `fill` must write every element of its chunk.
pub(crate) unsafe fn filled_chunks<T: Copy + Send>(
    len: usize,
    chunk: usize,
    fill: impl Fn(usize, &mut [MaybeUninit<T>]) + Sync,
) -> Vec<T> {
    // SAFETY: the chunks cover the buffer, and each is filled by the caller's contract.
    unsafe { filled(len, |all| each_chunk(all, chunk, fill)) }
}
