//! Luma and chroma samples to a row of RGB.

use std::ops::Range;

use super::part::Plane;

/// Rows on their way from samples to pixels.
#[derive(Default)]
pub(super) struct Lines {
    /// Chroma between two rows, with one sample more at each end.
    mixed: Vec<i16>,
    /// Blue and red chroma for each pixel.
    chroma: [Vec<i16>; 2],
    colours: [Vec<u8>; 3],
}

impl Lines {
    /// Writes some columns of a row `[W, 3]`.
    ///
    /// A chroma sample between its neighbours counts three times and the nearest neighbour once, first down, then across; at
    /// the edges the last sample stands for what is beyond.
    #[inline(always)]
    pub(super) fn paint(
        &mut self,
        [luma, blue, red]: &[Plane; 3],
        [across, down]: [usize; 2],
        (row, columns): (usize, &Range<usize>),
        line: &mut [u8],
    ) {
        let (first, end) = (columns.start / across, columns.end.div_ceil(across));
        self.mixed.resize(end - first + 2, 0);
        for (plane, chroma) in [blue, red].into_iter().zip(&mut self.chroma) {
            let own = row / down;
            let other = match (down, row % down) {
                (1, _) => own,
                (_, 0) => own.saturating_sub(1),
                _ => (own + 1).min(plane.rows - 1),
            };
            let (left, right) = (first.saturating_sub(1), (end + 1).min(plane.stride));
            let (own, other) = (&plane.row(own)[left..right], &plane.row(other)[left..right]);
            // Without a neighbour on the left the first place is the edge's.
            let missing = 1 - (first - left);
            blend(own, other, &mut self.mixed[missing..]);
            let last = self.mixed.len() - 1;
            if missing > 0 {
                self.mixed[0] = self.mixed[1];
            }
            if right == end {
                self.mixed[last] = self.mixed[last - 1];
            }
            chroma.resize((end - first) * across, 0);
            match across {
                1 => chroma.copy_from_slice(&self.mixed[1..last]),
                _ => spread(&self.mixed, chroma),
            }
        }
        let width = columns.len();
        let skipped = columns.start - first * across;
        let [blue, red] = self.chroma.each_ref().map(|chroma| &chroma[skipped..][..width]);
        self.colours.iter_mut().for_each(|colour| colour.resize(width, 0));
        let luma = &luma.row(row)[columns.clone()];
        colour(luma, [blue, red], &mut self.colours, &mut line[columns.start * 3..columns.end * 3]);
    }
}

#[inline(always)]
fn blend(own: &[u8], other: &[u8], into: &mut [i16]) {
    for ((to, &own), &other) in into.iter_mut().zip(own).zip(other) {
        *to = (3 * i16::from(own) + i16::from(other) + 2) >> 2;
    }
}

/// Two for each but the first and the last.
#[inline(always)]
fn spread(from: &[i16], into: &mut [i16]) {
    let pairs = into.as_chunks_mut::<2>().0;
    let count = pairs.len();
    let (before, own, after) = (&from[..count], &from[1..][..count], &from[2..][..count]);
    for ((pair, &own), (&before, &after)) in pairs.iter_mut().zip(own).zip(before.iter().zip(after)) {
        let own = 3 * own + 2;
        *pair = [(own + before) >> 2, (own + after) >> 2];
    }
}

/// ITU-R BT.601 with all 256 levels, times 2^14, as zune-jpeg rounds it. Each colour has its own loop: all at once are not
/// turned into vectors.
#[inline(always)]
fn colour(luma: &[u8], [blue, red]: [&[i16]; 2], colours: &mut [Vec<u8>; 3], into: &mut [u8]) {
    let level = |luma: u8, chroma: i32| (((i32::from(luma) << 14) + 8191 + chroma) >> 14).clamp(0, 255) as u8;
    let centred = |chroma: i16| i32::from(chroma) - 128;
    let [r, g, b] = colours;
    for ((r, &luma), &red) in r.iter_mut().zip(luma).zip(red) {
        *r = level(luma, 22970 * centred(red));
    }
    for ((g, &luma), (&blue, &red)) in g.iter_mut().zip(luma).zip(blue.iter().zip(red)) {
        *g = level(luma, -11700 * centred(red) - 5638 * centred(blue));
    }
    for ((b, &luma), &blue) in b.iter_mut().zip(luma).zip(blue) {
        *b = level(luma, 29032 * centred(blue));
    }
    for (((to, &r), &g), &b) in into.as_chunks_mut().0.iter_mut().zip(&*r).zip(&*g).zip(&*b) {
        *to = [r, g, b];
    }
}
