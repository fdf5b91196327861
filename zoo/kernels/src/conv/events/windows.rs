//! Windows of an output gradient, and the spikes that see them.
//!
//! A window is some output rows of an image, or several small images, in scratch as `[lines, columns, LANES]` with the
//! frame that a 3x3 filter needs around them: with stride 1 a line above and below and a column on each side, with
//! stride 2 a line below and a column on the right. A spike is then an offset, and the vectors that it adds lie at fixed
//! distances from it: with stride 1 all nine, with stride 2 one, two or four, by the parity of its row and column.

use std::ops::Range;

use super::{ConvShape, LANES, word_at};
use crate::turn::{Extent, turn};

/// Pixels of a window with its frame: with so many the first-level cache holds it.
const WINDOW: usize = 352;

/// Pixels of a word of spikes, and those whose places are compressed at a time.
const WORD: usize = 64;
const MANY: usize = 16;

/// How images are cut into windows.
#[derive(Clone, Copy)]
pub(super) struct Windows {
    /// Images of a window.
    pub(super) images: usize,
    /// Output rows of each; all of them when there are several images.
    rows: usize,
    /// Lines above and columns left of an image.
    before: usize,
    /// Values of a line.
    pub(super) line: usize,
}

impl Windows {
    pub(super) fn of(s: &ConvShape) -> Self {
        let before = 2 - s.stride;
        let (lines, columns) = (s.out_h() + before + 1, s.out_w() + before + 1);
        let line = columns * LANES;
        if lines * columns <= WINDOW {
            return Self { images: WINDOW / (lines * columns), rows: s.out_h(), before, line };
        }
        let rows = (WINDOW / columns).saturating_sub(before + 1).max(2);
        // Equal parts: a frame around one last row would cost as much as around a full window.
        Self { images: 1, rows: s.out_h().div_ceil(s.out_h().div_ceil(rows)), before, line }
    }

    /// Values of an image's part of a window.
    fn image_len(&self) -> usize {
        (self.rows + self.before + 1) * self.line
    }

    pub(super) fn len(&self) -> usize {
        self.images * self.image_len()
    }

    /// Room for the places of the spikes of a channel in a window, and what [`Spikes::list`] writes behind the last.
    pub(super) fn events(&self, s: &ConvShape) -> usize {
        self.images * self.rows * s.w + MANY
    }

    /// Runs `f(images, output rows)` on the windows of some images, in order.
    pub(super) fn each(
        &self,
        s: &ConvShape,
        images: Range<usize>,
        mut f: impl FnMut(Range<usize>, Range<usize>),
    ) {
        for first in images.clone().step_by(self.images) {
            for row in (0..s.out_h()).step_by(self.rows) {
                f(first..images.end.min(first + self.images), row..s.out_h().min(row + self.rows));
            }
        }
    }

    /// Copies a block of channels of the output gradient, pixel by pixel, with zeros around it.
    pub(super) fn fill(
        &self,
        s: &ConvShape,
        dy: &[f32],
        outputs: &Range<usize>,
        images: &Range<usize>,
        rows: &Range<usize>,
        window: &mut [f32],
    ) {
        let (plane, wide) = (s.out_h() * s.out_w(), s.out_w());
        let seen = (rows.start.saturating_sub(self.before))..s.out_h().min(rows.end + 1);
        let above = seen.start + self.before - rows.start;
        let mut pixels = [0.0; MANY * LANES];
        for (image, window) in images.clone().zip(window.chunks_exact_mut(self.image_len())) {
            let (inside, below) = window.split_at_mut((above + seen.len()) * self.line);
            inside[..above * self.line].fill(0.0);
            below.fill(0.0);
            for line in inside[above * self.line..].chunks_exact_mut(self.line) {
                line[..self.before * LANES].fill(0.0);
                line[(self.before + wide) * LANES..].fill(0.0);
            }
            let (mut at, mut column) = (above * self.line + self.before * LANES, 0);
            for first in (seen.start * wide..seen.end * wide).step_by(MANY) {
                let many = MANY.min(seen.end * wide - first);
                let from = &dy[(image * s.c_out + outputs.start) * plane + first..];
                let extent = Extent { rows: outputs.len(), columns: many, row: plane };
                turn(from, extent, &mut pixels, LANES, LANES);
                for pixel in pixels.as_chunks::<LANES>().0.iter().take(many) {
                    window[at + column * LANES..][..LANES].copy_from_slice(pixel);
                    column += 1;
                    if column == wide {
                        (at, column) = (at + self.line, 0);
                    }
                }
            }
        }
    }
}

/// Spikes that add the same vectors: with stride 1 all, with stride 2 those of one parity of rows and columns.
#[derive(Clone, Copy)]
pub(super) struct Class {
    /// Parities, if they matter.
    parity: Option<(usize, usize)>,
}

impl Class {
    /// The classes of a stride.
    pub(super) fn all(stride: usize) -> &'static [Class] {
        const ONE: [Class; 1] = [Class { parity: None }];
        const FOUR: [Class; 4] = [
            Class { parity: Some((0, 0)) },
            Class { parity: Some((0, 1)) },
            Class { parity: Some((1, 0)) },
            Class { parity: Some((1, 1)) },
        ];
        if stride == 1 { &ONE } else { &FOUR }
    }

    /// Rows and columns of the taps: how many a spike meets, and the tap at its place; those at the next places are
    /// `stride` less.
    pub(super) fn taps(self) -> [(usize, usize); 2] {
        let of = |parity| if parity == 0 { (1, 1) } else { (2, 2) };
        self.parity.map_or([(3, 2); 2], |(row, column)| [of(row), of(column)])
    }

    fn holds(self, row: usize, column: usize) -> bool {
        self.parity.is_none_or(|parity| parity == (row % 2, column % 2))
    }
}

/// The pixels of a class.
struct Pixels {
    /// One bit a pixel of an image.
    masks: Vec<u64>,
    /// How many come before each word.
    before: Vec<usize>,
    /// Where the vectors that each adds begin in an image's window, in values; padded.
    offsets: Vec<u32>,
}

impl Pixels {
    fn of(s: &ConvShape, windows: &Windows, class: Class) -> Self {
        let mut pixels =
            Self { masks: vec![0; (s.h * s.w).div_ceil(WORD)], before: Vec::new(), offsets: Vec::new() };
        for (pixel, (row, column)) in (0..s.h * s.w).map(|pixel| (pixel, (pixel / s.w, pixel % s.w))) {
            if pixel % WORD == 0 {
                pixels.before.push(pixels.offsets.len());
            }
            if class.holds(row, column) {
                pixels.masks[pixel / WORD] |= 1 << (pixel % WORD);
                pixels.offsets.push((row / s.stride * windows.line + column / s.stride * LANES) as u32);
            }
        }
        pixels.offsets.resize(pixels.offsets.len() + MANY, 0);
        pixels
    }
}

/// The spikes of a layer: rows of `h * w` bits, one an image and channel.
pub(super) struct Spikes<'a> {
    s: &'a ConvShape,
    windows: &'a Windows,
    bits: &'a [u8],
    classes: Vec<Pixels>,
}

/// Spikes of a window: a channel and a class, images and output rows.
pub(super) struct Seen<'a> {
    pub(super) channel: usize,
    pub(super) class: usize,
    pub(super) images: &'a Range<usize>,
    pub(super) rows: &'a Range<usize>,
}

impl<'a> Spikes<'a> {
    pub(super) fn new(s: &'a ConvShape, windows: &'a Windows, bits: &'a [u8]) -> Self {
        let classes = Class::all(s.stride).iter().map(|class| Pixels::of(s, windows, *class)).collect();
        Self { s, windows, bits, classes }
    }

    /// Writes the places of spikes to `to`, which has room for [`Windows::events`], and says how many: where in the
    /// window the vectors of each begin. Those of all its taps lie inside.
    pub(super) fn list(&self, seen: &Seen<'_>, to: &mut [u32]) -> usize {
        assert!(to.len() >= self.windows.events(self.s));
        #[cfg(target_arch = "x86_64")]
        if crate::simd::level() == crate::simd::Level::Avx512 {
            // SAFETY: `level` has asked the processor; there is room.
            return unsafe { self.list_wide(seen, to) };
        }
        self.list_narrow(seen, to)
    }

    fn list_narrow(&self, seen: &Seen<'_>, to: &mut [u32]) -> usize {
        self.each_word(seen, to, |mut word, mask, offsets, base, to| {
            let mut many = 0;
            while word != 0 {
                let earlier = (word & word.wrapping_neg()) - 1;
                to[many] = offsets[(mask & earlier).count_ones() as usize].wrapping_add(base);
                many += 1;
                word &= word - 1;
            }
            many
        })
    }

    /// # Safety
    /// The processor has AVX-512F, BMI2 and POPCNT, and `to` has room for [`Windows::events`].
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,bmi2,popcnt")]
    unsafe fn list_wide(&self, seen: &Seen<'_>, to: &mut [u32]) -> usize {
        use std::arch::x86_64::*;
        self.each_word(seen, to, |word, mask, offsets, base, to| {
            let (mut word, mut many) = (_pext_u64(word, mask), 0);
            let base = _mm512_set1_epi32(base.cast_signed());
            // As many turns as there are pixels, not as there are spikes: the processor foresees them.
            for first in (0..mask.count_ones() as usize).step_by(MANY) {
                // SAFETY: at most `first` places have been written, and the offsets and the room are padded.
                unsafe {
                    let all = _mm512_loadu_si512(offsets.as_ptr().add(first).cast());
                    let found = _mm512_maskz_compress_epi32(word as u16, _mm512_add_epi32(all, base));
                    _mm512_storeu_si512(to.as_mut_ptr().add(many).cast(), found);
                }
                many += (word as u16).count_ones() as usize;
                word >>= MANY;
            }
            many
        })
    }

    /// Runs `put(spikes, pixels of the class, their offsets, what to add to them, room)` on each word, which says how
    /// many places it has written.
    #[inline(always)]
    fn each_word(
        &self,
        seen: &Seen<'_>,
        to: &mut [u32],
        put: impl Fn(u64, u64, &[u32], u32, &mut [u32]) -> usize,
    ) -> usize {
        let (s, class) = (self.s, &self.classes[seen.class]);
        let width = (s.h * s.w).div_ceil(8);
        let pixels = seen.rows.start * s.stride * s.w..s.h.min(seen.rows.end * s.stride) * s.w;
        // Wraps for windows that begin below the first row; the sum does not.
        let mut base = ((seen.rows.start * self.windows.line) as u32).wrapping_neg();
        let mut many = 0;
        for image in seen.images.clone() {
            let row = (image * s.c_in + seen.channel) * width;
            for first in (pixels.start / WORD * WORD..pixels.end).step_by(WORD) {
                // Bits of the next row fall to the mask.
                let mask = class.masks[first / WORD];
                let mut word = word_at(self.bits, row + first / 8) & mask;
                if first < pixels.start {
                    word &= !0 << (pixels.start - first);
                }
                if first + WORD > pixels.end {
                    word &= !0 >> (first + WORD - pixels.end);
                }
                let offsets = &class.offsets[class.before[first / WORD]..];
                many += put(word, mask, offsets, base, &mut to[many..]);
            }
            base = base.wrapping_add(self.windows.image_len() as u32);
        }
        many
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_lists_the_same_places() {
        for (h, w, stride) in [(4, 4, 1), (9, 13, 1), (40, 33, 1), (1, 1, 2), (9, 13, 2), (40, 32, 2)] {
            let s = ConvShape { n: 3, c_in: 2, h, w, c_out: 32, kernel: (3, 3), stride, pad: 1, groups: 1 };
            let bits: Vec<u8> = (0..6 * (h * w).div_ceil(8)).map(|i| (i * 89 % 251) as u8).collect();
            let windows = Windows::of(&s);
            let spikes = Spikes::new(&s, &windows, &bits);
            let mut all = 0;
            windows.each(&s, 0..3, |images, rows| {
                for class in 0..Class::all(stride).len() {
                    let seen = Seen { channel: 0, class, images: &images, rows: &rows };
                    let (mut narrow, mut any) = (vec![0; windows.events(&s)], vec![0; windows.events(&s)]);
                    let many = spikes.list_narrow(&seen, &mut narrow);
                    assert_eq!(many, spikes.list(&seen, &mut any));
                    assert_eq!(narrow[..many], any[..many]);
                    let reach = (0..2).map(|i| Class::all(stride)[class].taps()[i].0).collect::<Vec<_>>();
                    let reach = (reach[0] - 1) * windows.line + reach[1] * LANES;
                    assert!(narrow[..many].iter().all(|place| *place as usize + reach <= windows.len()));
                    all += many;
                }
            });
            let ones = |i: usize| (bits[i / 8] >> (i % 8) & 1) as usize;
            let width = (h * w).div_ceil(8) * 8;
            let expected: usize =
                (0..3).flat_map(|n| (0..h * w).map(move |i| n * 2 * width + i)).map(ones).sum();
            assert_eq!(all, expected, "every spike is seen once");
        }
    }
}
