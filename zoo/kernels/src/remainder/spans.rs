//! The arithmetic on rows: whole numbers of grid steps in, whole numbers out.
//!
//! Products with `|n| <= 64` stay below `2^30` and are computed in i32. Larger factors, which lose nothing, take f64:
//! `64 q` is below `2^40` there, so a quotient that is not whole is at least `2^-15` away from being so, far more than
//! its rounding.

use std::mem::MaybeUninit;

use super::UNITS;
use super::code::{Code, Reader, Writer};
use crate::real::Real;
use crate::simd::multiversion;

/// A number type whose whole values become integers.
pub(super) trait Whole: Real {
    /// The integer of a whole number; magnitudes beyond `2^30`, which no state has, are cut to it.
    fn whole(self) -> i32;
    fn of_whole(value: i32) -> Self;
}

macro_rules! whole {
    ($T:ident) => {
        impl Whole for $T {
            #[inline(always)]
            fn whole(self) -> i32 {
                const MOST: $T = (1 << 30) as $T;
                // As comparisons these vectorise; a NaN fails both and is cut too.
                let cut = if self > -MOST { self } else { -MOST };
                let cut = if cut < MOST { cut } else { MOST };
                // SAFETY: the value lies in [-2^30, 2^30] and is no NaN.
                unsafe { cut.to_int_unchecked() }
            }
            #[inline(always)]
            fn of_whole(value: i32) -> Self {
                value as $T
            }
        }
    };
}
whole!(f32);
whole!(f64);

/// Elements between the stages of a code, which meet in arrays on the stack.
const STAGE: usize = 512;

/// `n / 64` on a grid of spacing `2^-bits`.
#[derive(Clone, Copy)]
pub(super) struct Factor {
    n: i32,
    bits: i32,
}

impl Factor {
    pub(super) fn new(n: i32, bits: i32) -> Self {
        Self { n, bits }
    }

    fn up<T: Real>(self) -> T {
        T::of(2f64.powi(self.bits))
    }

    fn down<T: Real>(self) -> T {
        T::of(2f64.powi(-self.bits))
    }

    /// Writes each element of `out`.
    pub(super) fn start<T: Whole>(self, f: &[T], out: &mut [MaybeUninit<T>]) {
        start_span(f, self.up(), self.down(), out);
    }

    /// Writes each element of `out`.
    pub(super) fn carry<T: Whole>(self, f: &[T], prev: &[T], out: &mut [MaybeUninit<T>]) {
        if self.n.abs() <= UNITS {
            carry_span(f, prev, self.n, self.up(), self.down(), out);
        } else {
            carry_wide_span(f, prev, f64::from(self.n), self.up(), self.down(), out);
        }
    }

    pub(super) fn encode<T: Whole>(self, prev: &[T], writer: &mut Writer) {
        let Some(code) = Code::of(self.n.unsigned_abs()) else { return };
        let mut residues = [0; STAGE];
        for prev in prev.chunks(STAGE) {
            let residues = &mut residues[..prev.len()];
            residues_span(prev, self.n, self.up(), residues);
            push_span(writer, code, residues);
        }
    }

    /// Writes each element of `out`.
    pub(super) fn recover<T: Whole>(
        self,
        c: &[T],
        f: &[T],
        reader: &mut Reader<'_>,
        out: &mut [MaybeUninit<T>],
    ) {
        let Some(code) = Code::of(self.n.unsigned_abs()) else {
            return recover_wide_span(c, f, f64::from(self.n), self.up(), self.down(), out);
        };
        let (mut firsts, mut states) = ([0; STAGE], [0; STAGE]);
        for ((c, f), out) in c.chunks(STAGE).zip(f.chunks(STAGE)).zip(out.chunks_mut(STAGE)) {
            let (firsts, states) = (&mut firsts[..c.len()], &mut states[..c.len()]);
            intervals_span(c, f, self.n.abs(), self.up(), firsts, states);
            pull_span(reader, code, firsts);
            states_span(firsts, states, self.n.signum(), self.down(), out);
        }
    }
}

multiversion! {
    fn start_span<T: Whole>(f: &[T], up: T, down: T, out: &mut [MaybeUninit<T>]) {
        for (out, f) in out.iter_mut().zip(f) {
            // Zero is added so that there is one zero.
            out.write((*f * up).round_even() * down + T::ZERO);
        }
    }
}

multiversion! {
    fn carry_span<T: Whole>(f: &[T], prev: &[T], n: i32, up: T, down: T, out: &mut [MaybeUninit<T>]) {
        for ((out, f), prev) in out.iter_mut().zip(f).zip(prev) {
            // An arithmetic shift is a floor. Both terms are whole and exact; a sum too large to be exact stays too large.
            let kept = (*prev * up).whole().wrapping_mul(n) >> 6;
            out.write((T::of_whole(kept) + (*f * up).round_even()) * down);
        }
    }
}

multiversion! {
    fn carry_wide_span<T: Whole>(f: &[T], prev: &[T], n: f64, up: T, down: T, out: &mut [MaybeUninit<T>]) {
        for ((out, f), prev) in out.iter_mut().zip(f).zip(prev) {
            let kept = ((*prev * up).wide() * n / 64.0).floor();
            out.write(T::of(kept + (*f * up).round_even().wide() + 0.0) * down);
        }
    }
}

multiversion! {
    fn residues_span<T: Whole>(prev: &[T], n: i32, up: T, residues: &mut [u8]) {
        for (residue, prev) in residues.iter_mut().zip(prev) {
            *residue = ((*prev * up).whole().wrapping_mul(n) & 63) as u8;
        }
    }
}

multiversion! {
    fn push_span(writer: &mut Writer, code: &Code, residues: &[u8]) {
        writer.push(code, residues);
    }
}

multiversion! {
    /// The first state `ceil(64 q / a)` of the interval of each q, and its residue.
    fn intervals_span<T: Whole>(c: &[T], f: &[T], a: i32, up: T, firsts: &mut [u8], states: &mut [i32]) {
        // The product with the inverse is off by less than 2^-21. A little is taken away, so that a whole quotient is not
        // pushed above itself; one that is not whole is at least 1/63 above the whole number below it.
        let (inverse, little) = (1.0 / f64::from(a), 1.0 / f64::from(1 << 18));
        for (((c, f), first), state) in c.iter().zip(f).zip(firsts).zip(states) {
            let q64 = (*c * up).whole().wrapping_sub((*f * up).round_even().whole()).wrapping_mul(64);
            *state = (f64::from(q64) * inverse - little).ceil().whole();
            *first = state.wrapping_mul(a).wrapping_sub(q64) as u8;
        }
    }
}

multiversion! {
    fn pull_span(reader: &mut Reader<'_>, code: &Code, firsts: &mut [u8]) {
        reader.pull(code, firsts);
    }
}

multiversion! {
    fn states_span<T: Whole>(indices: &[u8], states: &[i32], sign: i32, down: T, out: &mut [MaybeUninit<T>]) {
        for ((out, state), index) in out.iter_mut().zip(states).zip(indices) {
            out.write(T::of_whole(state.wrapping_add(i32::from(*index)).wrapping_mul(sign)) * down);
        }
    }
}

multiversion! {
    fn recover_wide_span<T: Whole>(c: &[T], f: &[T], n: f64, up: T, down: T, out: &mut [MaybeUninit<T>]) {
        let (a, sign) = (n.abs(), n.signum());
        for ((out, c), f) in out.iter_mut().zip(c).zip(f) {
            let q = (*c * up).wide() - (*f * up).round_even().wide();
            out.write(T::of((64.0 * q / a).ceil() * sign + 0.0) * down);
        }
    }
}
