//! Binary values, one bit each.
//!
//! Spikes travel and are saved like this: a 32nd of an `f32` tensor. Row `r` of `plane` values starts on a byte;
//! value `i` of a row is bit `i % 8` of byte `i / 8`; the padding bits of the last byte are 0.

use candle_core::{DType, Tensor};

use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::error::ensure;
use crate::real::Real;
use crate::scratch;
use crate::simd::multiversion;
use crate::storage::{self, filled_chunks, read};
use crate::tasks;
use crate::tasks::map_tasks;
use crate::{Error, Result, held};

/// Rows that one parallel task packs or expands.
const ROWS_PER_TASK: usize = 64;

/// `rows` rows of `plane` binary values, one bit each.
#[derive(Clone, Debug)]
pub struct Bits {
    /// U8, `[rows, ceil(plane / 8)]`.
    packed: Tensor,
    rows: usize,
    plane: usize,
}

/// What an op reads: numbers, or spikes as bits (then the op computes in the type of its other operands).
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a> {
    /// Numbers.
    Dense(&'a Tensor),
    /// Zeros and ones.
    Spikes(&'a Bits),
}

impl Bits {
    /// Rows of values.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values of a row.
    pub fn plane(&self) -> usize {
        self.plane
    }

    /// Bytes that the packed values take.
    pub fn bytes(&self) -> usize {
        Bits::bytes_for(self.rows, self.plane)
    }

    /// The packed bytes, U8 `[rows, ceil(plane / 8)]`.
    pub fn tensor(&self) -> &Tensor {
        &self.packed
    }

    /// Bytes that `rows` rows of `plane` values take.
    pub fn bytes_for(rows: usize, plane: usize) -> usize {
        rows * plane.div_ceil(8)
    }

    /// Packs numbers: whatever is not zero becomes 1.
    pub fn pack(dense: &Tensor, rows: usize, plane: usize) -> Result<Bits> {
        on_cuda!(dense => crate::cuda::ops::bits::pack("bits::pack", dense, rows, plane));
        dispatch!("bits::pack", dense, T => {
            let x = read::<T>("bits::pack", "dense", dense, rows * plane)?;
            let (x, width) = (&*x, plane.div_ceil(8));
            // SAFETY: `pack_row` writes each byte of its row.
            let packed = unsafe {
                filled_chunks(rows * width, ROWS_PER_TASK * width, |task, out| {
                    for (i, out) in out.chunks_mut(width).enumerate() {
                        let row = task * ROWS_PER_TASK + i;
                        pack_row(&x[row * plane..(row + 1) * plane], out);
                    }
                })
            };
            Bits::of_bytes(packed, rows, plane)
        })
    }

    /// Takes over bytes that are laid out as described above.
    pub(crate) fn of_bytes(packed: Vec<u8>, rows: usize, plane: usize) -> Result<Bits> {
        Ok(Bits { packed: storage::tensor(packed, (rows, plane.div_ceil(8)))?, rows, plane })
    }

    /// Takes over a U8 tensor of `[rows, ceil(plane / 8)]`, on any device.
    #[cfg(feature = "cuda")]
    pub(crate) fn of_tensor(packed: Tensor, rows: usize, plane: usize) -> Result<Bits> {
        storage::extent::<u8>("bits", "packed", &packed, Bits::bytes_for(rows, plane))?;
        Ok(Bits { packed, rows, plane })
    }

    /// Expands to zeros and ones, `[rows, plane]`.
    pub fn unpack(&self, dtype: DType) -> Result<Tensor> {
        on_cuda!(self.packed => crate::cuda::ops::bits::unpack("bits::unpack", self, dtype));
        match held::real(dtype) {
            DType::F32 => self.expand::<f32>(dtype),
            DType::F64 => self.expand::<f64>(dtype),
            got => Err(Error::DType { op: "bits::unpack", what: "dtype", expected: DType::F32, got }),
        }
    }

    fn expand<T: Real>(&self, dtype: DType) -> Result<Tensor> {
        let bytes = self.read("bits::unpack")?;
        held::made(self.dense::<T>(&bytes), (self.rows, self.plane), dtype)
    }

    /// All values as numbers; `bytes` is what [`Bits::read`] lends.
    pub(crate) fn dense<T: Real>(&self, bytes: &[u8]) -> Vec<T> {
        let (plane, width) = (self.plane, self.plane.div_ceil(8));
        let mut out = vec![T::ZERO; self.rows * plane];
        tasks::each_chunk(&mut out, ROWS_PER_TASK * plane, |task, out| {
            for (i, out) in out.chunks_mut(plane).enumerate() {
                let row = task * ROWS_PER_TASK + i;
                expand_span(&bytes[row * width..(row + 1) * width], 0, out);
            }
        });
        out
    }

    /// Lends the packed bytes.
    pub(crate) fn read<'a>(&'a self, op: &'static str) -> Result<storage::Slice<'a, u8>> {
        read::<u8>(op, "spikes", &self.packed, self.bytes())
    }

    /// Rows `first_row .. first_row + rows`: a view, no copy.
    pub fn narrow(&self, first_row: usize, rows: usize) -> Result<Bits> {
        ensure(first_row + rows <= self.rows, "bits::narrow", "the rows must lie inside", || {
            format!("{first_row} + {rows} of {}", self.rows)
        })?;
        Ok(Bits { packed: self.packed.narrow(0, first_row, rows)?, rows, plane: self.plane })
    }

    /// The rows of all parts, one part after the other.
    pub fn concat(parts: &[Bits]) -> Result<Bits> {
        let plane = parts.first().map_or(0, |part| part.plane);
        ensure(
            !parts.is_empty() && parts.iter().all(|p| p.plane == plane),
            "bits::concat",
            "parts must share one plane",
            || format!("{:?}", parts.iter().map(|p| p.plane).collect::<Vec<_>>()),
        )?;
        let rows = parts.iter().map(|p| p.rows).sum();
        on_cuda!(parts[0].packed => crate::cuda::ops::bits::concat(parts, rows, plane));
        let mut packed = Vec::with_capacity(Bits::bytes_for(rows, plane));
        for part in parts {
            packed.extend_from_slice(&part.read("bits::concat")?);
        }
        Bits::of_bytes(packed, rows, plane)
    }

    /// How many values are 1. Waits for a device.
    pub fn count_ones(&self) -> Result<u64> {
        const TASK: usize = 1 << 14;
        crate::scalar::waited(1);
        on_cuda!(self.packed => crate::cuda::ops::bits::count_ones("bits::count_ones", self));
        let bytes = self.read("bits::count_ones")?;
        let bytes = &*bytes;
        let tasks = bytes.len().div_ceil(TASK);
        let sums = map_tasks(tasks, bytes.len(), |i| ones(&bytes[i * TASK..bytes.len().min((i + 1) * TASK)]));
        Ok(sums.iter().sum())
    }
}

impl<'a> Operand<'a> {
    /// The tensor that tells where the values lie.
    #[cfg(feature = "cuda")]
    pub(crate) fn tensor(&self) -> &'a Tensor {
        match *self {
            Operand::Dense(x) => x,
            Operand::Spikes(bits) => bits.tensor(),
        }
    }

    /// The type an op computes in when it has no other operand to say so.
    pub fn dtype_or(&self, spikes: DType) -> DType {
        match self {
            Operand::Dense(x) => x.dtype(),
            Operand::Spikes(_) => spikes,
        }
    }
}

/// What an op reads, as slices.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a, T> {
    Dense(&'a [T]),
    /// Packed bytes and the number of values of a row.
    Spikes(&'a [u8], usize),
}

impl<'a, T: Real> Source<'a, T> {
    /// Row `row` of `plane` values: where it lies, or expanded into `kept`.
    pub(crate) fn row<'b>(&self, row: usize, plane: usize, kept: &'b mut Vec<T>) -> &'b [T]
    where
        'a: 'b,
    {
        match *self {
            Source::Dense(x) => &x[row * plane..(row + 1) * plane],
            Source::Spikes(..) => {
                kept.resize(plane, T::ZERO);
                self.expand(row * plane, kept);
                kept
            }
        }
    }

    /// The packed bytes of row `row` of `plane` values, where they are spikes in rows of that size.
    pub(crate) fn packed(&self, row: usize, plane: usize) -> Option<&'a [u8]> {
        match *self {
            Source::Spikes(bytes, own) if own == plane => {
                let width = plane.div_ceil(8);
                Some(&bytes[row * width..(row + 1) * width])
            }
            _ => None,
        }
    }

    /// All `len` values as numbers of their own: for the plain loops.
    pub(crate) fn to_vec(self, len: usize) -> Vec<T> {
        let mut out = scratch::fresh(len);
        self.expand(0, &mut out);
        out
    }

    /// Writes values `first .. first + out.len()` of the flattened rows to `out`.
    #[inline]
    pub(crate) fn expand(&self, first: usize, out: &mut [T]) {
        match *self {
            Source::Dense(x) => out.copy_from_slice(&x[first..first + out.len()]),
            // A row of one value is a byte: as many of them as an image has channels.
            Source::Spikes(bytes, 1) => {
                for (out, bits) in out.iter_mut().zip(&bytes[first..]) {
                    *out = T::octet(*bits)[0];
                }
            }
            Source::Spikes(bytes, plane) => {
                let width = plane.div_ceil(8);
                let (mut row, mut at, mut rest) = (first / plane, first % plane, out);
                while !rest.is_empty() {
                    let take = (plane - at).min(rest.len());
                    let (now, later) = rest.split_at_mut(take);
                    expand_span(&bytes[row * width..(row + 1) * width], at, now);
                    (row, at, rest) = (row + 1, 0, later);
                }
            }
        }
    }
}

/// An operand's storage, borrowed.
pub(crate) enum Lent<'a, T> {
    Dense(storage::Slice<'a, T>),
    Spikes(storage::Slice<'a, u8>, usize),
}

impl<T: Real> Lent<'_, T> {
    pub(crate) fn source(&self) -> Source<'_, T> {
        match self {
            Lent::Dense(x) => Source::Dense(x),
            Lent::Spikes(bytes, plane) => Source::Spikes(bytes, *plane),
        }
    }
}

/// Borrows an operand of `len` values.
pub(crate) fn lend<'a, T: Real>(op: &'static str, x: Operand<'a>, len: usize) -> Result<Lent<'a, T>> {
    match x {
        Operand::Dense(x) => Ok(Lent::Dense(read(op, "x", x, len)?)),
        Operand::Spikes(bits) => {
            ensure(bits.rows * bits.plane == len, op, "the spikes must match the shape", || {
                format!("{} rows of {}, expected {len} values", bits.rows, bits.plane)
            })?;
            Ok(Lent::Spikes(bits.read(op)?, bits.plane))
        }
    }
}

/// Gathers eight bytes of 0 or 1 into one byte, the first byte in the lowest bit.
#[inline(always)]
pub(crate) fn gather(flags: [u8; 8]) -> u8 {
    // Byte i moves to bit 56 + i; no two products meet, so there are no carries.
    (u64::from_le_bytes(flags).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
}

/// Packs flags of 0 or 1, writing each byte of `out`; missing flags of the last byte are 0.
#[inline(always)]
pub(crate) fn pack_flags(flags: &[u8], out: &mut [std::mem::MaybeUninit<u8>]) {
    let (octets, tail) = flags.as_chunks::<8>();
    for (byte, octet) in out.iter_mut().zip(octets) {
        byte.write(gather(*octet));
    }
    if !tail.is_empty() {
        let last = tail.iter().rev().fold(0, |byte, flag| byte << 1 | flag);
        out[octets.len()].write(last);
    }
}

multiversion! {
    /// Packs one row of numbers, writing each byte of `out`.
    pub(crate) fn pack_row<T: Real>(x: &[T], out: &mut [std::mem::MaybeUninit<u8>]) {
        let mut flags = [0u8; 512];
        for (x, out) in x.chunks(512).zip(out.chunks_mut(64)) {
            for (flag, x) in flags.iter_mut().zip(x) {
                *flag = (*x != T::ZERO) as u8;
            }
            pack_flags(&flags[..x.len()], out);
        }
    }
}

multiversion! {
    fn ones(bytes: &[u8]) -> u64 {
        let (words, tail) = bytes.as_chunks::<8>();
        let words: u64 = words.iter().map(|w| u64::from_le_bytes(*w).count_ones() as u64).sum();
        words + tail.iter().map(|b| b.count_ones() as u64).sum::<u64>()
    }
}

/// Writes the values from bit `first` of one row on to `out`, through a table of bytes.
#[inline]
pub(crate) fn expand_span<T: Real>(row: &[u8], first: usize, out: &mut [T]) {
    let (mut byte, skip) = (first / 8, first % 8);
    let mut out = out;
    if skip > 0 {
        let (head, rest) = out.split_at_mut(out.len().min(8 - skip));
        head.copy_from_slice(&T::octet(row[byte])[skip..skip + head.len()]);
        (out, byte) = (rest, byte + 1);
    }
    let (octets, tail) = out.as_chunks_mut::<8>();
    for (octet, bits) in octets.iter_mut().zip(&row[byte..]) {
        *octet = *T::octet(*bits);
    }
    if !tail.is_empty() {
        tail.copy_from_slice(&T::octet(row[byte + octets.len()])[..tail.len()]);
    }
}
