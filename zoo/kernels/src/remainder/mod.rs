//! Carried states on a grid, and what undoes them: the index in an interval that a product with `n / 64` loses.
//!
//! ```text
//! C[0] = round(f * 2^bits)                             start
//! C[t] = round(f * 2^bits) + floor(n C[t-1] / 64)      carry      n = round(64 alpha[ch]), not 0, sign kept
//! q    = C[t] - round(f * 2^bits)
//! C[t-1] = lo(q) + i,  i = 0 .. m(q) - 1               recover    every C with floor(n C / 64) = q
//! ```
//!
//! A state is a whole number C of grid steps, kept as `C * 2^-bits`; while `|C| < 2^24` an f32 holds it exactly. For
//! `|n| < 64` about `64 / |n|` states lead to one `q`. Which of them it was, i, is written before C[t-1] is dropped,
//! in a truncated binary code of m(q) symbols (one symbol costs nothing); q and n give m(q) back, so the code needs no
//! header. For `|n| >= 64` the product is one to one and nothing is written. The forward pass reads no stream, so
//! whoever keeps the states instead computes the same bits.
//!
//! Tensors are `[n, ch, plane]`. They are cut in chunks of [`CHUNK`] elements, one stream each, whatever the number of
//! threads; on a CUDA device, where one thread writes a stream, in shorter ones ([`crate::cuda::launch::RUN`]).

mod code;
mod spans;

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Tensor;

use crate::Result;
use crate::cuda::on_cuda;
use crate::dispatch::dispatch;
use crate::elementwise::BLOCK;
use crate::error::ensure;
use crate::real::Real;
use crate::storage::{self, filled_chunks, read};
use crate::tasks::map_tasks;

use code::{Code, Reader, Writer};
use spans::{Factor, Whole};

/// Factors are multiples of `1 / UNITS`.
pub const UNITS: i32 = 64;

/// Elements of one stream.
pub const CHUNK: usize = 1 << 14;

/// Factors are below this in magnitude, which keeps every product exact in f64.
const LARGEST: f64 = 512.0;

/// The shape `[n, ch, plane]` of a state and the spacing `2^-bits` of its grid.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Leading axes folded into one.
    pub n: usize,
    /// Channels.
    pub ch: usize,
    /// Elements of a channel.
    pub plane: usize,
    /// Fractional bits of the grid.
    pub bits: i32,
}

/// What the floors of one level and step lost, in streams of bits.
#[derive(Clone, Debug)]
pub struct Remainders(Streams);

/// Where the streams are.
#[derive(Clone, Debug)]
enum Streams {
    /// One a chunk; none at all where no channel needs one.
    Host(Box<[Box<[u8]>]>),
    /// On the device of the states, in streams of its own length.
    #[cfg(feature = "cuda")]
    Cuda(crate::cuda::ops::remainder::Streams),
}

impl Remainders {
    /// Bytes of the streams and of their places and lengths.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Streams::Host(streams) => self.payload_bytes() + streams.len() * size_of::<Box<[u8]>>(),
            #[cfg(feature = "cuda")]
            Streams::Cuda(streams) => streams.bytes(),
        }
    }

    /// Bytes of the streams alone, each filled up to whole bytes.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        match &self.0 {
            Streams::Host(streams) => streams.iter().map(|stream| stream.len()).sum(),
            #[cfg(feature = "cuda")]
            Streams::Cuda(streams) => streams.payload_bytes(),
        }
    }

    /// The bytes to expect on the host for channels of the given factors when states are spread evenly over residues; exact for
    /// factors `2^-k`, which cost k bits an element whatever the state.
    #[must_use]
    pub fn expected_bytes(layout: &Layout, alpha: &[f64]) -> usize {
        let cost = |row: usize| {
            let n = alpha.get(row % layout.ch.max(1)).map_or(1, |&alpha| units(alpha));
            Code::of(n.unsigned_abs()).map_or(0, Code::bits_of_64)
        };
        let chunks = layout.len().div_ceil(CHUNK);
        let payload: usize = (0..chunks)
            .map(|chunk| {
                let sum: usize = layout.segments(chunk).map(|(row, part)| part.len() * cost(row)).sum();
                // 64 times as many bits.
                sum.div_ceil(64 * 8)
            })
            .sum();
        if payload == 0 { 0 } else { payload + chunks * size_of::<Box<[u8]>>() }
    }
}

impl Layout {
    pub(crate) fn len(&self) -> usize {
        self.n * self.ch * self.plane
    }

    /// The rows `(row, elements)` that a chunk touches; elements count from the tensor's first.
    fn segments(&self, chunk: usize) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
        let (plane, end) = (self.plane.max(1), self.len().min((chunk + 1) * CHUNK));
        let mut at = chunk * CHUNK;
        std::iter::from_fn(move || {
            let row = at / plane;
            let part = at..end.min((row + 1) * plane);
            at = part.end;
            (!part.is_empty()).then_some((row, part))
        })
    }
}

/// `n = round(64 alpha)`, halves away from zero; 1 or -1 where that is 0.
fn units(alpha: f64) -> i32 {
    match (alpha * f64::from(UNITS)).round() as i32 {
        0 if alpha < 0.0 => -1,
        0 => 1,
        n => n,
    }
}

/// The numbers n of all channels.
fn all_units<T: Whole>(op: &'static str, alpha: &Tensor, ch: usize) -> Result<Vec<i32>> {
    units_of::<T>(op, &read::<T>(op, "alpha", alpha, ch)?)
}

/// The numbers n of factors on the host.
fn units_of<T: Real>(op: &'static str, alpha: &[T]) -> Result<Vec<i32>> {
    let mut wide = alpha.iter().map(|alpha| alpha.wide());
    let out_of_range = wide.find(|alpha| alpha.is_nan() || alpha.abs() >= LARGEST);
    ensure(out_of_range.is_none(), op, "a factor must be below 512 in magnitude", || {
        format!("{:e}", out_of_range.unwrap_or_default())
    })?;
    Ok(alpha.iter().map(|alpha| units(alpha.wide())).collect())
}

/// The factors `n / 64` that stand for `alpha`.
pub fn factors(alpha: &Tensor) -> Result<Tensor> {
    const OP: &str = "remainder::factors";
    on_cuda!(alpha => crate::cuda::ops::remainder::factors(OP, alpha));
    dispatch!(OP, alpha, T => {
        let ch = alpha.elem_count();
        let factors: Vec<T> = all_units::<T>(OP, alpha, ch)?
            .into_iter()
            .map(|n| <T as Real>::of(f64::from(n) / f64::from(UNITS)))
            .collect();
        storage::tensor(factors, alpha.shape().clone())
    })
}

/// Computes `round(f)` on the grid, with one zero: the state that nothing came before.
pub fn start(f: &Tensor, bits: i32) -> Result<Tensor> {
    const OP: &str = "remainder::start";
    on_cuda!(f => crate::cuda::ops::remainder::start(OP, f, bits));
    dispatch!(OP, f, T => {
        let (shape, len) = (f.shape().clone(), f.elem_count());
        let f = read::<T>(OP, "f", f, len)?;
        let (f, grid) = (&*f, Factor::new(UNITS, bits));
        // SAFETY: `start` writes each element of its chunk.
        let out = unsafe { filled_chunks(len, BLOCK, |i, out| grid.start::<T>(&f[i * BLOCK..], out)) };
        storage::tensor(out, shape)
    })
}

/// Computes `round(f) + floor(alpha[ch] * prev)` on the grid.
///
/// The result is exact while it is below `2^24` grid steps; the caller refuses one that is not.
pub fn carry(layout: &Layout, f: &Tensor, prev: &Tensor, alpha: &Tensor) -> Result<Tensor> {
    const OP: &str = "remainder::carry";
    on_cuda!(f => crate::cuda::ops::remainder::carry(OP, layout, f, prev, alpha));
    dispatch!(OP, f, T => {
        let (shape, len) = (f.shape().clone(), layout.len());
        let (f, prev) = (read::<T>(OP, "f", f, len)?, read::<T>(OP, "prev", prev, len)?);
        let units = all_units::<T>(OP, alpha, layout.ch)?;
        let (f, prev, plane) = (&*f, &*prev, layout.plane);
        let rows = (BLOCK / plane.max(1)).max(1);
        // SAFETY: rows cover the chunk, and `carry` writes each element of its row.
        let out = unsafe {
            filled_chunks(len, rows * plane, |task, out| {
                for (k, out) in out.chunks_mut(plane).enumerate() {
                    let row = task * rows + k;
                    let at = row * plane..(row + 1) * plane;
                    let factor = Factor::new(units[row % layout.ch], layout.bits);
                    factor.carry::<T>(&f[at.clone()], &prev[at], out);
                }
            })
        };
        storage::tensor(out, shape)
    })
}

/// Writes down what [`carry`] loses of `prev`.
pub fn encode(layout: &Layout, prev: &Tensor, alpha: &Tensor) -> Result<Remainders> {
    const OP: &str = "remainder::encode";
    // For the lengths of the streams.
    crate::scalar::waited(1);
    on_cuda!(prev => Ok(Remainders(Streams::Cuda(crate::cuda::ops::remainder::encode(OP, layout, prev, alpha)?))));
    dispatch!(OP, prev, T => {
        let prev = read::<T>(OP, "prev", prev, layout.len())?;
        let units = all_units::<T>(OP, alpha, layout.ch)?;
        if units.iter().all(|n| Code::of(n.unsigned_abs()).is_none()) {
            return Ok(Remainders(Streams::Host(Box::default())));
        }
        let prev = &*prev;
        let streams = map_tasks(layout.len().div_ceil(CHUNK), layout.len(), |chunk| {
            let mut writer = Writer::new();
            for (row, part) in layout.segments(chunk) {
                Factor::new(units[row % layout.ch], layout.bits).encode::<T>(&prev[part], &mut writer);
            }
            writer.finish()
        });
        Ok(Remainders(Streams::Host(streams.into_boxed_slice())))
    })
}

/// What [`carry`] had as `prev`, from its result `c`, the same `f` and the remainders.
///
/// Refuses streams that do not end where the states do: then `c` or `f` is not what it was.
pub fn recover(
    layout: &Layout,
    c: &Tensor,
    f: &Tensor,
    alpha: &Tensor,
    remainders: &Remainders,
) -> Result<Tensor> {
    const OP: &str = "remainder::recover";
    // Whether the streams fit.
    crate::scalar::waited(1);
    #[cfg(feature = "cuda")]
    let streams = match &remainders.0 {
        Streams::Host(streams) if c.device().is_cpu() => streams,
        Streams::Cuda(streams) if c.device().is_cuda() => {
            return crate::cuda::ops::remainder::recover(OP, layout, c, f, alpha, streams);
        }
        _ => {
            return Err(crate::Error::NoKernel {
                op: OP,
                device: format!("states that lie elsewhere than their streams ({:?})", c.device().location()),
            });
        }
    };
    #[cfg(not(feature = "cuda"))]
    let Streams::Host(streams) = &remainders.0;
    dispatch!(OP, c, T => {
        let (shape, len) = (c.shape().clone(), layout.len());
        let (c, f) = (read::<T>(OP, "c", c, len)?, read::<T>(OP, "f", f, len)?);
        let units = all_units::<T>(OP, alpha, layout.ch)?;
        let chunks = len.div_ceil(CHUNK);
        let needed = units.iter().any(|n| Code::of(n.unsigned_abs()).is_some());
        ensure(streams.len() == if needed { chunks } else { 0 }, OP, "there must be one stream a chunk", || {
            format!("{} streams for {chunks} chunks", streams.len())
        })?;
        let (c, f) = (&*c, &*f);
        let misfits = AtomicUsize::new(0);
        // SAFETY: the segments of a chunk cover it, and the spans write each element of their part.
        let out = unsafe {
            filled_chunks(len, CHUNK, |chunk, out| {
                let mut reader = Reader::new(streams.get(chunk).map_or(&[], |stream| &**stream));
                let mut rest = out;
                for (row, part) in layout.segments(chunk) {
                    let (out, later) = std::mem::take(&mut rest).split_at_mut(part.len());
                    rest = later;
                    let factor = Factor::new(units[row % layout.ch], layout.bits);
                    factor.recover::<T>(&c[part.clone()], &f[part], &mut reader, out);
                }
                if !reader.is_at_end() {
                    misfits.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let misfits = misfits.into_inner();
        ensure(misfits == 0, OP, "streams must end where the states do", || format!("{misfits} that don't"))?;
        storage::tensor(out, shape)
    })
}
