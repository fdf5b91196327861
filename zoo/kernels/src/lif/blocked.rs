//! All steps of a block of neurons together, in `f32`.
//!
//! Forward, the membrane of a block is one small buffer; backward, the block's membrane is computed again for
//! all steps into scratch and then walked back. A task is a fixed block of rows.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

use super::surrogate::{Slope, with_slope};
use super::{Backward, Cell, Input, LifShape, Reset, ResetGrad};
use crate::bits::pack_flags;
use crate::scratch::{Slot, with};
use crate::simd::{fetch_run, multiversion};
use crate::storage::{Disjoint, filled};
use crate::tasks::each_task;

/// Neurons of a block, forward: membrane and flags stay in the first-level cache. A multiple of 8.
const BLOCK: usize = 1024;

/// Neurons of a row below which each neuron of a block has its own affine beside it.
const SHORT: usize = 128;

/// Membranes of a block over all steps, backward.
const MEMBRANES: usize = 4096;

/// Neurons that are walked back together.
const LANES: usize = 16;

/// Neurons of a task.
const TASK: usize = 1 << 13;

/// The neuron's constants as the loops want them.
#[derive(Clone, Copy)]
struct Constants {
    decay: f32,
    gain: f32,
    threshold: f32,
    /// `u - threshold` from here on fires: 0, or the smallest positive number when strict.
    fires_from: f32,
    hard: bool,
    /// What a hard reset puts the membrane to.
    resets_to: f32,
    /// What a soft reset takes away.
    takes: f32,
    /// dv/du = 1 - cut * s + (level - slant * u) * h.
    cut: f32,
    level: f32,
    slant: f32,
}

impl Constants {
    fn of(cell: &Cell) -> Constants {
        let through = if cell.reset_grad == ResetGrad::Through { 1.0 } else { 0.0 };
        let threshold = cell.threshold as f32;
        let (hard, resets_to, takes, cut, level, slant) = match cell.reset {
            Reset::Soft => (false, 0.0, threshold, 0.0, -threshold * through, 0.0),
            Reset::Hard(v) => (true, v as f32, 0.0, 1.0, v as f32 * through, through),
            Reset::None => (false, 0.0, 0.0, 0.0, 0.0, 0.0),
        };
        Constants {
            decay: cell.decay as f32,
            gain: cell.input_gain as f32,
            threshold,
            fires_from: if cell.strict { f32::from_bits(1) } else { 0.0 },
            hard,
            resets_to,
            takes,
            cut,
            level,
            slant,
        }
    }

    #[inline(always)]
    fn charge(&self, v: f32, x: f32, (scale, shift): (f32, f32)) -> f32 {
        self.decay * v + self.gain * (x * scale + shift)
    }

    #[inline(always)]
    fn fires(&self, u: f32) -> bool {
        u - self.threshold >= self.fires_from
    }

    #[inline(always)]
    fn reset(&self, u: f32, fires: bool) -> f32 {
        let after = if self.hard { self.resets_to } else { u - self.takes };
        if fires { after } else { u }
    }
}

fn rows_per_task(s: &LifShape) -> usize {
    (TASK / s.plane).clamp(1, s.rows)
}

/// Runs `f` on the rows of each task.
fn each_rows(s: &LifShape, f: impl Fn(Range<usize>) + Sync + Send) {
    let rows = rows_per_task(s);
    each_task(s.rows.div_ceil(rows), s.steps * s.frame(), |task| {
        f(task * rows..s.rows.min((task + 1) * rows))
    });
}

/// A vector of `len` values that `fill` writes, or none; `fill` gets an empty buffer when none is wanted.
///
/// # Safety
/// `fill` must write every element.
unsafe fn optional(wanted: bool, len: usize, fill: impl FnOnce(&mut [MaybeUninit<f32>])) -> Option<Vec<f32>> {
    // SAFETY: the caller's contract.
    let values = unsafe { filled(if wanted { len } else { 0 }, fill) };
    wanted.then_some(values)
}

/// Packed spikes of `steps * rows` rows, and the last membrane when it is to be kept.
pub(super) fn forward(
    s: &LifShape,
    cell: &Cell,
    input: &Input<f32>,
    keep: bool,
) -> (Vec<u8>, Option<Vec<f32>>) {
    let (k, mut last) = (Constants::of(cell), None);
    // SAFETY: tasks are blocks of rows; together they write every byte of every row at every step, and every
    // value of the last membrane.
    let spikes = unsafe {
        filled(s.steps * s.rows * s.plane.div_ceil(8), |spikes| {
            let spikes = Disjoint::new(spikes);
            last = optional(keep, s.frame(), |last| {
                let last = Disjoint::new(last);
                let last = keep.then_some(&last);
                each_rows(s, |rows| {
                    if s.plane < SHORT {
                        forward_short_rows(s, &k, input, rows, &spikes, last);
                    } else {
                        forward_rows(s, &k, input, rows, &spikes, last);
                    }
                });
            });
        })
    };
    (spikes, last)
}

multiversion! {
    fn forward_rows(
        s: &LifShape,
        k: &Constants,
        input: &Input<f32>,
        rows: Range<usize>,
        spikes: &Disjoint<MaybeUninit<u8>>,
        last: Option<&Disjoint<MaybeUninit<f32>>>,
    ) {
        let (mut membrane, mut flags, width) = ([0.0f32; BLOCK], [0u8; BLOCK], s.plane.div_ceil(8));
        for r in rows {
            for first in (0..s.plane).step_by(BLOCK) {
                let many = BLOCK.min(s.plane - first);
                let (v, flags, at) = (&mut membrane[..many], &mut flags[..many], r * s.plane + first);
                match input.v0 {
                    Some(v0) => v.copy_from_slice(&v0[at..at + many]),
                    None => v.fill(0.0),
                }
                for t in 0..s.steps {
                    let affine = input.affine_at(s, t, r).unwrap_or((1.0, 0.0));
                    let from = Input::<f32>::frame_at(s, t) + at;
                    for ((v, x), flag) in v.iter_mut().zip(&input.x[from..from + many]).zip(flags.iter_mut()) {
                        let u = k.charge(*v, *x, affine);
                        let fires = k.fires(u);
                        *v = k.reset(u, fires);
                        *flag = fires as u8;
                    }
                    let byte = (t * s.rows + r) * width + first / 8;
                    // SAFETY: these bytes are this row's at this step, and blocks are whole bytes.
                    pack_flags(flags, unsafe { spikes.part(byte..byte + many.div_ceil(8)) });
                }
                if let Some(last) = last {
                    // SAFETY: these membranes are this task's alone.
                    unsafe { last.part(at..at + many) }.write_copy_of_slice(v);
                }
            }
        }
    }
}

multiversion! {
    /// As `forward_rows`, several rows at once: their neurons lie one after the other.
    fn forward_short_rows(
        s: &LifShape,
        k: &Constants,
        input: &Input<f32>,
        rows: Range<usize>,
        spikes: &Disjoint<MaybeUninit<u8>>,
        last: Option<&Disjoint<MaybeUninit<f32>>>,
    ) {
        let (mut membrane, mut flags, width) = ([0.0f32; BLOCK], [0u8; BLOCK], s.plane.div_ceil(8));
        let (mut scales, mut shifts) = ([1.0f32; BLOCK], [0.0f32; BLOCK]);
        for first in rows.clone().step_by(BLOCK / s.plane) {
            let rows = first..rows.end.min(first + BLOCK / s.plane);
            let (at, many) = (first * s.plane, rows.len() * s.plane);
            let (v, flags) = (&mut membrane[..many], &mut flags[..many]);
            match input.v0 {
                Some(v0) => v.copy_from_slice(&v0[at..at + many]),
                None => v.fill(0.0),
            }
            for t in 0..s.steps {
                if t == 0 || input.affine_steps > 1 {
                    let each = scales.chunks_exact_mut(s.plane).zip(shifts.chunks_exact_mut(s.plane));
                    let affines = input.affines_from(s, t, first).take(rows.len());
                    for ((scales, shifts), (scale, shift)) in each.zip(affines) {
                        scales.fill(scale);
                        shifts.fill(shift);
                    }
                }
                let from = Input::<f32>::frame_at(s, t) + at;
                let each = v.iter_mut().zip(&input.x[from..from + many]).zip(flags.iter_mut());
                for (((v, x), flag), (scale, shift)) in each.zip(scales.iter().zip(&shifts)) {
                    let u = k.charge(*v, *x, (*scale, *shift));
                    let fires = k.fires(u);
                    *v = k.reset(u, fires);
                    *flag = fires as u8;
                }
                let byte = (t * s.rows + first) * width;
                // SAFETY: these bytes are these rows' at this step.
                let bytes = unsafe { spikes.part(byte..byte + rows.len() * width) };
                if s.plane.is_multiple_of(8) {
                    pack_flags(flags, bytes);
                } else {
                    for (flags, bytes) in flags.chunks_exact(s.plane).zip(bytes.chunks_exact_mut(width)) {
                        pack_flags(flags, bytes);
                    }
                }
            }
            if let Some(last) = last {
                // SAFETY: these membranes are this task's alone.
                unsafe { last.part(at..at + many) }.write_copy_of_slice(v);
            }
        }
    }
}

/// Where the spikes' gradient is read, and that of the current written: apart, or one over the other.
struct Flow<'a> {
    ds: *const f32,
    di: *mut f32,
    of: PhantomData<&'a mut [f32]>,
}

// SAFETY: tasks read and write the elements of their own neurons alone (the contract of `at`).
unsafe impl Sync for Flow<'_> {}

impl<'a> Flow<'a> {
    fn apart(ds: &'a [f32], di: &'a mut [MaybeUninit<f32>]) -> Self {
        Flow { ds: ds.as_ptr(), di: di.as_mut_ptr().cast(), of: PhantomData }
    }

    fn in_place(ds: &'a mut [f32]) -> Self {
        let di = ds.as_mut_ptr();
        Flow { ds: di, di, of: PhantomData }
    }

    /// Gradients from element `from` on and where the results from element `to` on go.
    ///
    /// # Safety
    /// Both must lie inside, and no other task may touch what is read or written there.
    #[inline(always)]
    unsafe fn at(&self, from: usize, to: usize) -> (*const f32, *mut f32) {
        // SAFETY: the caller's contract.
        unsafe { (self.ds.add(from), self.di.add(to)) }
    }
}

/// See [`super::backward`].
pub(super) fn backward(call: &Backward<f32>, ds: &[f32]) -> (Vec<f32>, Option<Vec<f32>>) {
    let len = if call.per_step { call.s.steps } else { 1 } * call.s.frame();
    let mut dv0 = None;
    // SAFETY: `run` writes every element.
    let di = unsafe { filled(len, |di| dv0 = run(call, &Flow::apart(ds, di))) };
    (di, dv0)
}

/// The same, over the spikes' gradient.
pub(super) fn backward_in_place(call: &Backward<f32>, ds: &mut [f32]) -> Option<Vec<f32>> {
    run(call, &Flow::in_place(ds))
}

/// Writes every element of the current's gradient; gives that of the first membrane when it is wanted.
fn run(call: &Backward<f32>, flow: &Flow) -> Option<Vec<f32>> {
    let (s, k) = (call.s, Constants::of(call.cell));
    let block = MEMBRANES / s.steps / LANES * LANES;
    let block = block.clamp(64, 2048).min(rows_per_task(s) * s.plane);
    // SAFETY: tasks are blocks of rows and together write every element.
    unsafe {
        optional(call.want_dv0, s.frame(), |dv0| {
            let dv0 = Disjoint::new(dv0);
            let dv0 = call.want_dv0.then_some(&dv0);
            each_rows(s, |rows| {
                with(Slot::Membrane, (s.steps + 4) * block, |scratch| {
                    with_slope!(call.cell.surrogate, f32, h => {
                        backward_rows(call, &k, h, rows, block, scratch, flow, dv0)
                    })
                });
            });
        })
    }
}

multiversion! {
    /// The neurons of all rows lie one after the other: a block of them may have several rows, or a part of one.
    fn backward_rows<H: Slope<f32>>(
        call: &Backward<f32>,
        k: &Constants,
        h: H,
        rows: Range<usize>,
        block: usize,
        scratch: &mut [f32],
        flow: &Flow,
        dv0: Option<&Disjoint<MaybeUninit<f32>>>,
    ) {
        let (s, input) = (call.s, call.input);
        let (membranes, buffers) = scratch.split_at_mut(s.steps * block);
        let (buffers, affines) = buffers.split_at_mut(2 * block);
        let (gv, sum) = buffers.split_at_mut(block);
        let neurons = rows.start * s.plane..rows.end * s.plane;
        for at in neurons.clone().step_by(block) {
            let many = block.min(neurons.end - at);
            let (gv, sum) = (&mut gv[..many], &mut sum[..many]);
            recompute(s, k, input, at, membranes.chunks_mut(block), gv, affines);
            fetch_run(flow.ds.wrapping_add((s.steps - 1) * s.frame() + at), many);
            match call.dlast {
                Some(dlast) => gv.copy_from_slice(&dlast[at..at + many]),
                None => gv.fill(0.0),
            }
            if !call.per_step {
                sum.fill(0.0);
            }
            for t in (0..s.steps).rev() {
                let (place, u) = (t * s.frame() + at, &membranes[t * block..t * block + many]);
                match t.checked_sub(1) {
                    Some(before) => fetch_run(flow.ds.wrapping_add(before * s.frame() + at), many),
                    // The next block's first current.
                    None => fetch_run(input.x.as_ptr().wrapping_add(at + many), many),
                }
                if call.per_step {
                    // SAFETY: these neurons are this task's alone, at every step.
                    let (ds, di) = unsafe { flow.at(place, place) };
                    // SAFETY: as above; `many` elements of each lie inside.
                    walk_back(*k, h, gv, u, |i, n| unsafe { load(ds.add(i), n) }, |i, n, g| unsafe { store(g, di.add(i), n) });
                } else {
                    // SAFETY: as above; nothing is written before all steps are done.
                    let (ds, _) = unsafe { flow.at(place, 0) };
                    // SAFETY: as above.
                    walk_back(*k, h, gv, u, |i, n| unsafe { load(ds.add(i), n) }, |i, n, g| {
                        sum[i..i + n].iter_mut().zip(g).for_each(|(sum, g)| *sum += g);
                    });
                }
                if !call.cell.time_gradient {
                    gv.fill(0.0);
                }
            }
            if !call.per_step {
                // SAFETY: as above.
                let (_, di) = unsafe { flow.at(0, at) };
                // SAFETY: as above; scratch is a buffer of its own.
                unsafe { di.copy_from_nonoverlapping(sum.as_ptr(), many) };
            }
            if let Some(dv0) = dv0 {
                // SAFETY: as above.
                unsafe { dv0.part(at..at + many) }.write_copy_of_slice(gv);
            }
        }
    }
}

/// The `n` values at `from`, zeros behind them.
///
/// # Safety
/// They must lie inside their buffer.
#[inline(always)]
unsafe fn load(from: *const f32, n: usize) -> [f32; LANES] {
    if n == LANES {
        // SAFETY: the caller's contract; an array of `f32` is aligned as an `f32` is.
        return unsafe { from.cast::<[f32; LANES]>().read() };
    }
    // SAFETY: only values below `n` are read.
    std::array::from_fn(|lane| if lane < n { unsafe { *from.add(lane) } } else { 0.0 })
}

/// Writes the first `n` of `values` to `to`.
///
/// # Safety
/// They must lie inside their buffer.
#[inline(always)]
unsafe fn store(values: [f32; LANES], to: *mut f32, n: usize) {
    if n == LANES {
        // SAFETY: the caller's contract; an array of `f32` is aligned as an `f32` is.
        return unsafe { to.cast::<[f32; LANES]>().write(values) };
    }
    // SAFETY: as above.
    values[..n].iter().enumerate().for_each(|(lane, value)| unsafe { *to.add(lane) = *value });
}

/// One step back: turns the spikes' gradient that `read(first, how many)` gives into the current's, which `write` takes,
/// and moves the membrane's a step earlier.
///
/// Lanes are copied out and back, which tells the compiler that the buffers do not overlap; its own check at run
/// time picks the scalar loop for neighbours in scratch.
#[inline(always)]
fn walk_back<H: Slope<f32>>(
    k: Constants,
    h: H,
    gv: &mut [f32],
    u: &[f32],
    read: impl Fn(usize, usize) -> [f32; LANES],
    mut write: impl FnMut(usize, usize, [f32; LANES]),
) {
    let (gv, gv_tail) = gv.as_chunks_mut::<LANES>();
    let (u, u_tail) = u.as_chunks::<LANES>();
    let tail = u.len() * LANES;
    for (i, (gv, u)) in gv.iter_mut().zip(u).enumerate() {
        let gs;
        (gs, *gv) = lanes_back(k, h, read(i * LANES, LANES), *gv, *u);
        write(i * LANES, LANES, gs);
    }
    if !u_tail.is_empty() {
        let padded = |tail: &[f32]| std::array::from_fn(|lane| tail.get(lane).copied().unwrap_or(0.0));
        let n = u_tail.len();
        let (gs, v) = lanes_back(k, h, read(tail, n), padded(gv_tail), padded(u_tail));
        write(tail, n, gs);
        gv_tail.copy_from_slice(&v[..n]);
    }
}

#[inline(always)]
fn lanes_back<H: Slope<f32>>(
    k: Constants,
    h: H,
    mut gs: [f32; LANES],
    mut gv: [f32; LANES],
    u: [f32; LANES],
) -> ([f32; LANES], [f32; LANES]) {
    for lane in 0..LANES {
        let u = u[lane];
        let slope = h.at(u, u - k.threshold);
        let cut = if k.fires(u) { k.cut } else { 0.0 };
        let gu = gs[lane] * slope + gv[lane] * ((1.0 - cut) + (k.level - k.slant * u) * slope);
        gv[lane] = k.decay * gu;
        gs[lane] = k.gain * gu;
    }
    (gs, gv)
}

/// Computes the membranes before the reset of the neurons from `at` on, one line a step; `affines` has room for two numbers
/// a neuron.
#[inline(always)]
fn recompute<'a>(
    s: &LifShape,
    k: &Constants,
    input: &Input<f32>,
    at: usize,
    lines: impl Iterator<Item = &'a mut [f32]>,
    v: &mut [f32],
    affines: &mut [f32],
) {
    let many = v.len();
    match input.v0 {
        Some(v0) => v.copy_from_slice(&v0[at..at + many]),
        None => v.fill(0.0),
    }
    let (scales, shifts) = affines.split_at_mut(affines.len() / 2);
    let (scales, shifts) = (&mut scales[..many], &mut shifts[..many]);
    for (t, line) in lines.enumerate() {
        let (x, line) = (&input.x[Input::<f32>::frame_at(s, t) + at..][..many], &mut line[..many]);
        if t + 1 < s.steps {
            fetch_run(input.x[Input::<f32>::frame_at(s, t + 1) + at..].as_ptr(), many);
        }
        if input.affine.is_none() {
            charge_line(k, (1.0, 0.0), x, v, line);
        } else if s.plane < SHORT {
            if t == 0 || input.affine_steps > 1 {
                each_row(s, input, t, at..at + many, |(scale, shift), part| {
                    scales[part.clone()].fill(scale);
                    shifts[part].fill(shift);
                });
            }
            charge_short_rows(k, scales, shifts, x, v, line);
        } else {
            each_row(s, input, t, at..at + many, |affine, part| {
                charge_line(k, affine, &x[part.clone()], &mut v[part.clone()], &mut line[part]);
            });
        }
    }
}

/// Runs `f(affine, part of the block)` on the rows of step `t` that a block of neurons belongs to.
#[inline(always)]
fn each_row(
    s: &LifShape,
    input: &Input<f32>,
    t: usize,
    block: Range<usize>,
    mut f: impl FnMut((f32, f32), Range<usize>),
) {
    let row = block.start / s.plane;
    let mut first = 0;
    for (i, affine) in input.affines_from(s, t, row).enumerate() {
        let end = ((row + i + 1) * s.plane).min(block.end) - block.start;
        f(affine, first..end);
        first = end;
        if first == block.len() {
            return;
        }
    }
}

multiversion! {
    /// One step of [`recompute`]: a function of its own, at whose border the compiler knows that the buffers do not overlap.
    fn charge_line(k: &Constants, affine: (f32, f32), x: &[f32], v: &mut [f32], line: &mut [f32]) {
        for ((v, x), line) in v.iter_mut().zip(x).zip(line) {
            let u = k.charge(*v, *x, affine);
            *v = k.reset(u, k.fires(u));
            *line = u;
        }
    }
}

multiversion! {
    /// The same, each neuron with an affine of its own.
    fn charge_short_rows(
        k: &Constants,
        scales: &[f32],
        shifts: &[f32],
        x: &[f32],
        v: &mut [f32],
        line: &mut [f32],
    ) {
        let affines = scales.iter().zip(shifts);
        for (((v, x), line), (scale, shift)) in v.iter_mut().zip(x).zip(line).zip(affines) {
            let u = k.charge(*v, *x, (*scale, *shift));
            *v = k.reset(u, k.fires(u));
            *line = u;
        }
    }
}
