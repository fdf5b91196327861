//! The values that travel through a network.
//!
//! A value is a shape, a dtype and, in a run, its numbers; in a plan the numbers are absent and everything else is
//! the same. The leading axis is time: `[T, B, ...]`, or `[1, B, ...]` for a value that is constant in time, which
//! is never copied T times.

use std::cell::Cell;
use std::rc::Rc;

use candle_core::{DType, Tensor};
use kernels::bits::{Bits, Operand};
use kernels::held;
use kernels::norm::NormShape;

use crate::error::{Error, Result};
use crate::ledger::{Category, Ledger};
use crate::saved::Origin;
use crate::tape::Slot;

/// A shape, a dtype and, outside a plan, numbers: real, or spikes one bit each.
#[derive(Clone, Debug)]
pub struct Value {
    shape: Rc<[usize]>,
    dtype: DType,
    data: Data,
    buffer: Rc<Buffer>,
    pub(crate) slot: Option<Slot>,
    /// How to compute it again, where that is done in place of keeping it.
    pub(crate) origin: Option<Rc<Origin>>,
}

#[derive(Clone, Debug)]
enum Data {
    Dense(Option<Tensor>),
    Spikes(Option<Bits>),
    /// `x * scale + shift` per channel, not yet computed: a norm whose reader folds it in.
    Folded(Rc<Folded>),
    /// `factor * spikes`, not written out: for readers that multiply what they made of the spikes.
    Scaled(Rc<Scaled>),
}

/// Spikes of one height that is not 1.
#[derive(Debug)]
pub(crate) struct Scaled {
    pub(crate) spikes: Value,
    pub(crate) factor: f64,
}

/// A normalised value that is computed by whoever reads it.
#[derive(Debug)]
pub(crate) struct Folded {
    pub(crate) x: Value,
    /// `[groups, C]`; absent in a plan.
    pub(crate) affine: Option<(Tensor, Tensor)>,
    pub(crate) groups: usize,
}

/// The bytes behind one or more values.
#[derive(Debug)]
struct Buffer {
    id: u64,
    bytes: usize,
    category: Cell<Category>,
    saves: Cell<usize>,
    ledger: Rc<Ledger>,
}

impl Buffer {
    fn new(ledger: &Rc<Ledger>, bytes: usize, category: Category) -> Rc<Self> {
        ledger.hold(category, bytes);
        Rc::new(Self {
            id: ledger.serial(),
            bytes,
            category: Cell::new(category),
            saves: Cell::new(0),
            ledger: Rc::clone(ledger),
        })
    }

    /// The category it is booked under now.
    fn booked(&self) -> Category {
        let own = self.category.get();
        // A save never hides what is held anyway.
        let kept = matches!(own, Category::Parameters | Category::Input | Category::State | Category::Traces);
        if self.saves.get() > 0 && !kept { Category::Saved } else { own }
    }

    fn rebook(&self, change: impl FnOnce(&Self)) {
        let before = self.booked();
        change(self);
        let after = self.booked();
        if before != after {
            self.ledger.release(before, self.bytes);
            self.ledger.hold(after, self.bytes);
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.ledger.release(self.booked(), self.bytes);
    }
}

impl Value {
    pub(crate) fn dense_of(
        ledger: &Rc<Ledger>,
        category: Category,
        shape: &[usize],
        dtype: DType,
        tensor: Option<Tensor>,
    ) -> Self {
        let bytes = shape.iter().product::<usize>() * dtype.size_in_bytes();
        if category == Category::Passing {
            ledger.make(bytes);
        }
        Self {
            shape: shape.into(),
            dtype,
            data: Data::Dense(tensor),
            buffer: Buffer::new(ledger, bytes, category),
            slot: None,
            origin: None,
        }
    }

    pub(crate) fn spikes_of(ledger: &Rc<Ledger>, shape: &[usize], dtype: DType, bits: Option<Bits>) -> Self {
        let (rows, plane) = rows_and_plane(shape);
        ledger.make(rows * plane * dtype.size_in_bytes());
        Self {
            shape: shape.into(),
            dtype,
            data: Data::Spikes(bits),
            buffer: Buffer::new(ledger, Bits::bytes_for(rows, plane), Category::Passing),
            slot: None,
            origin: None,
        }
    }

    pub(crate) fn folded_of(ledger: &Rc<Ledger>, folded: Folded) -> Self {
        let channels = folded.x.channels();
        let bytes = 2 * folded.groups * channels * held::real(folded.x.dtype).size_in_bytes();
        ledger.make(folded.x.len() * folded.x.dtype.size_in_bytes());
        Self {
            shape: Rc::clone(&folded.x.shape),
            dtype: folded.x.dtype,
            data: Data::Folded(Rc::new(folded)),
            buffer: Buffer::new(ledger, bytes, Category::Passing),
            slot: None,
            origin: None,
        }
    }

    pub(crate) fn scaled_of(ledger: &Rc<Ledger>, spikes: Value, factor: f64) -> Self {
        ledger.make(spikes.len() * spikes.dtype.size_in_bytes());
        Self {
            shape: Rc::clone(&spikes.shape),
            dtype: spikes.dtype,
            buffer: Buffer::new(ledger, 0, Category::Passing),
            data: Data::Scaled(Rc::new(Scaled { spikes: spikes.detached(), factor })),
            slot: None,
            origin: None,
        }
    }

    /// `[T, B, ...]`.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The type of its numbers; for spikes, that of the dense view.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Length of the time axis: T, or 1 for a value that is constant in time.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Length of the batch axis; 1 where there is none.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.shape.get(1).copied().unwrap_or(1)
    }

    /// Length of the channel axis; 1 where there is none.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.shape.get(2).copied().unwrap_or(1)
    }

    /// Values of one channel of one image: the axes behind the channels.
    #[must_use]
    pub fn plane(&self) -> usize {
        self.shape.iter().skip(3).product()
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there is no value at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is spikes.
    #[must_use]
    pub fn is_spikes(&self) -> bool {
        matches!(self.data, Data::Spikes(_))
    }

    /// Whether it is a batch of the data set, or a frame of one.
    pub(crate) fn is_input(&self) -> bool {
        self.buffer.booked() == Category::Input
    }

    /// Whether to keep it costs next to nothing: spikes, or a parameter.
    pub(crate) fn is_there_anyway(&self) -> bool {
        self.is_spikes() || matches!(self.slot, Some(Slot::Parameter(_)))
    }

    /// Bytes of its buffer.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.buffer.bytes + self.scaled().map_or(0, |scaled| scaled.spikes.bytes())
    }

    /// The identity of its buffer: views of one buffer share it, and no other value ever has it.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.buffer.id
    }

    /// The same numbers without a path for gradients.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { slot: None, ..self.clone() }
    }

    /// Books its bytes under another category.
    #[must_use]
    pub fn booked_as(self, category: Category) -> Self {
        self.buffer.rebook(|buffer| buffer.category.set(category));
        self
    }

    /// The spike bits; `None` in a plan or for real values.
    #[must_use]
    pub fn bits(&self) -> Option<&Bits> {
        match &self.data {
            Data::Spikes(bits) => bits.as_ref(),
            _ => None,
        }
    }

    /// The tensor of a dense value.
    ///
    /// # Errors
    /// In a plan, or for spikes and folded values.
    pub fn tensor(&self) -> Result<&Tensor> {
        match &self.data {
            Data::Dense(Some(tensor)) => Ok(tensor),
            Data::Dense(None) => Err(Error::Misuse("a planned value holds no numbers".into())),
            _ => Err(Error::Misuse("expected a dense value; call `ops::dense` first".into())),
        }
    }

    /// What a kernel reads: the dense tensor or the spike bits.
    ///
    /// # Errors
    /// In a plan, or for folded values.
    pub fn operand(&self) -> Result<Operand<'_>> {
        match &self.data {
            Data::Dense(Some(tensor)) => Ok(Operand::Dense(tensor)),
            Data::Spikes(Some(bits)) => Ok(Operand::Spikes(bits)),
            Data::Folded(_) => Err(Error::Misuse("a folded value was not made dense".into())),
            Data::Scaled(_) => Err(Error::Misuse("scaled spikes were not made dense".into())),
            _ => Err(Error::Misuse("a planned value holds no numbers".into())),
        }
    }

    pub(crate) fn folded(&self) -> Option<&Folded> {
        match &self.data {
            Data::Folded(folded) => Some(folded),
            _ => None,
        }
    }

    pub(crate) fn scaled(&self) -> Option<&Scaled> {
        match &self.data {
            Data::Scaled(scaled) => Some(scaled),
            _ => None,
        }
    }

    /// Whether this is the only handle to its numbers, so that an op may overwrite them.
    pub(crate) fn is_sole(&self) -> bool {
        Rc::strong_count(&self.buffer) == 1
    }

    /// The same buffer under another shape of as many elements.
    pub(crate) fn viewed(&self, shape: &[usize]) -> Result<Self> {
        let fits = shape.iter().product::<usize>() == self.len();
        let data = match (&self.data, fits) {
            (Data::Dense(Some(tensor)), true) => Data::Dense(Some(tensor.reshape(shape)?)),
            (Data::Dense(None), true) => Data::Dense(None),
            // The bits keep their own rows: kernels go by the number of values.
            (Data::Spikes(bits), true) => Data::Spikes(bits.clone()),
            _ => return Err(Error::shape("view", format!("as many values as {shape:?}"), &self.shape)),
        };
        Ok(Self { shape: shape.into(), data, origin: None, ..self.clone() })
    }

    /// One frame `[1, B, ...]` of numbers or spikes, without a copy and without a path for gradients (`ops::frame`
    /// records one); a value that is constant in time is its own frame.
    pub(crate) fn frame(&self, step: usize) -> Result<Self> {
        if self.steps() == 1 {
            return Ok(self.clone());
        }
        let mut shape = self.shape.to_vec();
        shape[0] = 1;
        let data = match &self.data {
            Data::Dense(Some(tensor)) if step < self.steps() => Data::Dense(Some(tensor.narrow(0, step, 1)?)),
            Data::Dense(None) if step < self.steps() => Data::Dense(None),
            Data::Spikes(Some(bits)) if step < self.steps() => {
                let rows = bits.rows() / self.steps();
                Data::Spikes(Some(bits.narrow(step * rows, rows)?))
            }
            Data::Spikes(None) if step < self.steps() => Data::Spikes(None),
            Data::Scaled(scaled) => {
                let (spikes, factor) = (scaled.spikes.frame(step)?, scaled.factor);
                Data::Scaled(Rc::new(Scaled { spikes, factor }))
            }
            _ => return Err(Error::shape("frame", format!("[more than {step} steps, B, ...]"), &self.shape)),
        };
        Ok(Self { shape: shape.into(), data, slot: None, origin: None, ..self.clone() })
    }

    /// Books its bytes as saved, until [`Value::unsave`] was called as often.
    pub(crate) fn save(&self) {
        for buffer in self.buffers() {
            buffer.rebook(|buffer| buffer.saves.set(buffer.saves.get() + 1));
        }
    }

    /// Takes one [`Value::save`] back.
    pub(crate) fn unsave(&self) {
        for buffer in self.buffers() {
            buffer.rebook(|buffer| buffer.saves.set(buffer.saves.get() - 1));
        }
    }

    fn buffers(&self) -> impl Iterator<Item = &Rc<Buffer>> {
        let folded = self.folded().map(|folded| &folded.x.buffer);
        std::iter::once(&self.buffer).chain(folded).chain(self.scaled().map(|scaled| &scaled.spikes.buffer))
    }

    /// A folded norm without what it normalises; `None` for anything else.
    pub(crate) fn unfolded(&self) -> Option<Self> {
        let Folded { x, affine, groups } = self.folded()?;
        let ledger = &self.buffer.ledger;
        let husk = Self {
            data: Data::Dense(None),
            buffer: Buffer::new(ledger, 0, Category::Passing),
            origin: None,
            ..x.detached()
        };
        let folded = Folded { x: husk, affine: affine.clone(), groups: *groups };
        Some(Self { data: Data::Folded(Rc::new(folded)), ..self.clone() })
    }

    /// The same folded norm of this value.
    pub(crate) fn refolded(&self, x: Self) -> Self {
        let Some(Folded { affine, groups, .. }) = self.folded() else { return self.clone() };
        let folded = Folded { x, affine: affine.clone(), groups: *groups };
        Self { data: Data::Folded(Rc::new(folded)), ..self.clone() }
    }

    /// Geometry for the norm kernels: `groups` statistics over equal parts of the leading axes.
    pub(crate) fn norm_shape(&self, groups: usize) -> NormShape {
        NormShape { groups, n: self.steps() * self.batch() / groups, c: self.channels(), plane: self.plane() }
    }
}

/// Rows and plane of the bit layout: a plane is an image of one channel, or the features of one sample.
#[must_use]
pub fn rows_and_plane(shape: &[usize]) -> (usize, usize) {
    let leading = if shape.len() >= 5 { 3 } else { shape.len() - 1 };
    (shape[..leading].iter().product(), shape[leading..].iter().product())
}
