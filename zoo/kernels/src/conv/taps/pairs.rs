//! Which pixels a convolution's taps join.

use std::ops::Range;

use super::super::ConvShape;

/// A pixel that a tap reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) tap: usize,
    pub(super) from: usize,
}

/// The pairs of each pixel of the map that is written, taps in order.
pub(super) struct Pairs {
    all: Vec<Pair>,
    /// Where each pixel's pairs end.
    ends: Vec<usize>,
    /// Columns of the map that is read and of the one that is written.
    columns: [usize; 2],
}

impl Pairs {
    /// Output pixels, and the input pixels that each reads.
    pub(super) fn forward(s: &ConvShape) -> Self {
        Self::new(s, [s.out_h(), s.out_w()], [s.h, s.w], |p, k| (p * s.stride + k).checked_sub(s.pad))
    }

    /// Input pixels, and the output pixels that each was read by.
    pub(super) fn backward(s: &ConvShape) -> Self {
        Self::new(s, [s.h, s.w], [s.out_h(), s.out_w()], |p, k| {
            let at = (p + s.pad).checked_sub(k).filter(|at| at.is_multiple_of(s.stride))?;
            Some(at / s.stride)
        })
    }

    /// `reads` gives the place along an axis that a tap of a pixel reads.
    fn new(
        s: &ConvShape,
        to: [usize; 2],
        from: [usize; 2],
        reads: impl Fn(usize, usize) -> Option<usize>,
    ) -> Self {
        let (mut all, mut ends) = (Vec::new(), Vec::with_capacity(to[0] * to[1]));
        for (row, column) in (0..to[0]).flat_map(|row| (0..to[1]).map(move |column| (row, column))) {
            for (p, q) in (0..s.kernel.0).flat_map(|p| (0..s.kernel.1).map(move |q| (p, q))) {
                let place = reads(row, p).zip(reads(column, q));
                if let Some((i, j)) = place.filter(|(i, j)| *i < from[0] && *j < from[1]) {
                    all.push(Pair { tap: p * s.kernel.1 + q, from: i * from[1] + j });
                }
            }
            ends.push(all.len());
        }
        Self { all, ends, columns: [from[1], to[1]] }
    }

    /// The pairs of a pixel.
    pub(super) fn of(&self, pixel: usize) -> &[Pair] {
        let start = if pixel == 0 { 0 } else { self.ends[pixel - 1] };
        &self.all[start..self.ends[pixel]]
    }

    /// Pixels that are written.
    pub(super) fn pixels(&self) -> usize {
        self.ends.len()
    }

    /// The rows that some rows' pixels read.
    pub(super) fn rows(&self, of: &Range<usize>) -> Range<usize> {
        let [columns, wide] = self.columns;
        let read =
            (of.start * wide..of.end * wide).flat_map(|pixel| self.of(pixel)).map(|pair| pair.from / columns);
        let (least, most) =
            read.fold((usize::MAX, 0), |(least, most), row| (least.min(row), most.max(row + 1)));
        least.min(most)..most
    }

    /// The most rows that any `many` rows one after the other, counted from the first, read.
    pub(super) fn most_rows(&self, many: usize) -> usize {
        let high = self.ends.len() / self.columns[1];
        let parts = (0..high).step_by(many.max(1));
        parts.map(|row| self.rows(&(row..high.min(row + many))).len()).max().unwrap_or(0).max(1)
    }
}
