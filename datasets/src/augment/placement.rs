//! Where an image lies in its crop, and small images on their way into a batch.
//!
//! An epoch of a set that is held in memory has little more to do than memory has. So each number is written once, behind
//! the last one: a batch is not cleared before it is filled, and a buffer that is used again keeps nothing.

use std::hint::black_box;

use keys::Key;
use pulp::Arch;

use super::{Scale, scale::Channel};

/// What happens to the geometry of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Mirrored left to right.
    pub(crate) mirrored: bool,
    /// Rows that the crop's window moves down against the image, `-shift..=shift`.
    pub(crate) down: isize,
    /// Columns that the crop's window moves right against the image, `-shift..=shift`.
    pub(crate) right: isize,
}

impl Placement {
    /// The image as it lies in the file.
    pub(crate) const AS_IS: Self = Self { mirrored: false, down: 0, right: 0 };

    /// The placement that a key names. All three numbers are drawn whatever the protocol asks for, so that turning the
    /// mirror off does not move the crops.
    pub(crate) fn draw((flip, shift): (bool, usize), key: Key) -> Self {
        let mut stream = key.stream();
        let mirrored = stream.chance(0.5) && flip;
        let span = 2 * shift as u32 + 1;
        let mut offset = || stream.below(span) as isize - shift as isize;
        Self { mirrored, down: offset(), right: offset() }
    }
}

/// Small images of one shape on their way into a batch, each in its placement.
pub(crate) struct Small<'a> {
    /// Images `[C, H, W]`; what a crop uncovers is black, as byte 0 is.
    pub(crate) images: &'a [(&'a [u8], Placement)],
    pub(crate) shape: [usize; 3],
    /// The largest that any placement has.
    pub(crate) shift: usize,
    pub(crate) scale: &'a Scale,
}

impl Small<'_> {
    /// Appends all images.
    pub(crate) fn append_to(&self, target: &mut Vec<f32>) {
        let arch = Arch::new();
        let fused = !matches!(arch, Arch::Scalar);
        arch.dispatch(Append { small: self, fused, target });
    }
}

/// A call of [`Small::append_to`]; a closure's body would not be compiled again for each instruction set.
struct Append<'a> {
    small: &'a Small<'a>,
    /// Whether the processor multiplies and adds at once; where not, a table is quicker than arithmetic.
    fused: bool,
    target: &'a mut Vec<f32>,
}

impl pulp::NullaryFnOnce for Append<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        // Rows of a known length are a few vectors each, without a loop and without a rest.
        match self.small.shape[2] {
            32 => self.images(32),
            28 => self.images(28),
            width => self.images(width),
        }
    }
}

impl Append<'_> {
    #[inline(always)]
    fn images(self, width: usize) {
        let Self { small: &Small { images, shape: [channels, height, _], shift, scale }, fused, target } =
            self;
        let (stride, plane) = (width + 2 * shift, (width + 2 * shift) * (height + 2 * shift));
        // The image within a black border as wide as the largest shift, so that every crop has whole rows.
        let mut bordered = vec![0; channels * plane];
        for (at, &(image, placement)) in images.iter().enumerate() {
            // A byte of each channel of the next image, which lies anywhere: its page is found and its first lines are on
            // their way while this one is computed. More bytes gain no more.
            let next = images.get(at + 1).map_or(image, |&(next, _)| next);
            black_box(next.iter().step_by(height * width).fold(0, |sum, byte| sum ^ byte));
            for (from, to) in image.chunks_exact(height * width).zip(bordered.chunks_exact_mut(plane)) {
                let rows = to[shift * stride..].chunks_exact_mut(stride);
                for (from, to) in from.chunks_exact(width).zip(rows) {
                    to[shift..shift + width].copy_from_slice(from);
                }
            }
            let top = shift.saturating_add_signed(placement.down);
            // In a mirrored image the window moves the other way.
            let right = if placement.mirrored { -placement.right } else { placement.right };
            let left = shift.saturating_add_signed(right);
            for (Channel { table, formula }, plane) in
                scale.channels().iter().zip(bordered.chunks_exact(plane))
            {
                let rows = (&plane[top * stride..], [stride, left, width, height]);
                match *formula {
                    Some(formula) if fused => {
                        append_rows(rows, placement.mirrored, move |byte| formula.value(byte), target);
                    }
                    _ => append_rows(rows, placement.mirrored, |byte| table[usize::from(byte)], target),
                }
            }
        }
    }
}

/// Rows of bytes as numbers.
#[inline(always)]
fn append_rows(
    (plane, [stride, left, width, height]): (&[u8], [usize; 4]),
    mirrored: bool,
    value: impl Fn(u8) -> f32 + Copy,
    target: &mut Vec<f32>,
) {
    for row in plane.chunks(stride).take(height) {
        let row = &row[left..left + width];
        if mirrored {
            target.extend(row.iter().rev().map(|&byte| value(byte)));
        } else {
            target.extend(row.iter().map(|&byte| value(byte)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(placement: Placement) -> Vec<u8> {
        let scale = Scale::new(1, None);
        let mut target = Vec::new();
        let images = &[(&[1, 2, 3, 4, 5, 6][..], placement)];
        Small { images, shape: [1, 2, 3], shift: 1, scale: &scale }.append_to(&mut target);
        target.iter().map(|&value| (value * 255.0).round() as u8).collect()
    }

    #[test]
    fn placements_move_and_mirror_pixels() {
        assert_eq!(placed(Placement::AS_IS), [1, 2, 3, 4, 5, 6]);
        assert_eq!(placed(Placement { mirrored: true, down: 0, right: 0 }), [3, 2, 1, 6, 5, 4]);
        assert_eq!(placed(Placement { mirrored: false, down: 1, right: 0 }), [4, 5, 6, 0, 0, 0]);
        assert_eq!(placed(Placement { mirrored: false, down: -1, right: 1 }), [0, 0, 0, 2, 3, 0]);
        assert_eq!(placed(Placement { mirrored: true, down: 0, right: 1 }), [2, 1, 0, 5, 4, 0]);
        assert_eq!(placed(Placement { mirrored: true, down: 0, right: -1 }), [0, 3, 2, 0, 6, 5]);
    }

    #[test]
    fn draws_cover_the_whole_window_and_the_mirror_does_not_move_crops() {
        let mut seen = [[0_u32; 5]; 5];
        let mut mirrored = 0;
        for index in 0..10_000 {
            let key = Key::new(1).index(index);
            let placement = Placement::draw((true, 2), key);
            assert_eq!(Placement::draw((false, 2), key), Placement { mirrored: false, ..placement });
            seen[(placement.down + 2) as usize][(placement.right + 2) as usize] += 1;
            mirrored += u32::from(placement.mirrored);
        }
        // 400 expected a cell with a deviation of 19.6, 5,000 mirrored with one of 50: five deviations each.
        assert!(seen.iter().flatten().all(|count| (300..=500).contains(count)), "{seen:?}");
        assert!((4_750..=5_250).contains(&mirrored), "{mirrored}");
    }

    /// Every width, placement and way of computing, against the pixels one by one.
    #[test]
    fn rows_of_any_width_are_the_tables_values_in_their_places() {
        let statistics: (&[f32], &[f32]) = (&[0.4914, 0.4822], &[0.2470, 0.2435]);
        for (width, shift) in [(32_usize, 4), (28, 2), (7, 3), (33, 1), (32, 0)] {
            let (height, plane) = (5_usize, 5 * width);
            let image: Vec<u8> = (0..2 * plane).map(|place| (place * 151 % 256) as u8).collect();
            let scale = Scale::new(2, Some(statistics));
            let placements: Vec<_> =
                (0..60).map(|draw| Placement::draw((true, shift), Key::new(3).index(draw))).collect();
            let mut expected = Vec::new();
            for placement in &placements {
                for place in 0..2 * plane {
                    let (channel, row, column) = (place / plane, place % plane / width, place % width);
                    let row = row.checked_add_signed(placement.down).filter(|&row| row < height);
                    let column = column.checked_add_signed(placement.right).filter(|&at| at < width);
                    let column = column.map(|at| if placement.mirrored { width - 1 - at } else { at });
                    let place = row.zip(column).map(|(row, column)| channel * plane + row * width + column);
                    let byte = place.map_or(0, |place| usize::from(image[place]));
                    expected.push(scale.channels()[channel].table[byte].to_bits());
                }
            }
            let images: Vec<_> = placements.iter().map(|&placement| (&image[..], placement)).collect();
            let small = Small { images: &images, shape: [2, height, width], shift, scale: &scale };
            for fused in [true, false] {
                let mut found = Vec::new();
                Append { small: &small, fused, target: &mut found }.images(width);
                let found: Vec<u32> = found.iter().map(|value| value.to_bits()).collect();
                assert!(found == expected, "{width} {shift} {fused}");
            }
            let mut found = Vec::new();
            small.append_to(&mut found);
            let found: Vec<u32> = found.iter().map(|value| value.to_bits()).collect();
            assert!(found == expected, "{width} {shift}");
        }
    }
}
