//! One image from bytes to numbers: mirror, shift, scale.

use keys::Key;

use crate::{Card, Protocol};

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
    pub(crate) fn draw(protocol: &Protocol, key: Key) -> Self {
        let mut stream = key.stream();
        let mirrored = stream.chance(0.5) && protocol.flip;
        let span = 2 * protocol.shift as u32 + 1;
        let mut offset = || stream.below(span) as isize - protocol.shift as isize;
        Self { mirrored, down: offset(), right: offset() }
    }
}

/// The value of each byte, a table a channel: 256 divisions in place of one a pixel.
pub(crate) struct Scale(Vec<[f32; 256]>);

impl Scale {
    /// `byte / 255`, then `(value - mean) / std` of the channel where the protocol normalises.
    pub(crate) fn new(card: &Card, normalise: bool) -> Self {
        let table = |channel: usize| {
            std::array::from_fn(|byte| {
                let value = byte as f32 / 255.0;
                if normalise { (value - card.mean[channel]) / card.std[channel] } else { value }
            })
        };
        Self((0..card.shape[0]).map(table).collect())
    }

    /// Writes one image `[C, H, W]` in its placement; what the crop uncovers is black, as byte 0 is.
    pub(crate) fn write(
        &self,
        image: &[u8],
        [channels, height, width]: [usize; 3],
        placement: Placement,
        target: &mut [f32],
    ) {
        debug_assert_eq!(image.len(), channels * height * width);
        debug_assert_eq!(target.len(), image.len());
        let plane = height * width;
        for (channel, table) in self.0.iter().enumerate() {
            let from = &image[channel * plane..][..plane];
            let to = &mut target[channel * plane..][..plane];
            for (row, to) in to.chunks_exact_mut(width).enumerate() {
                match row.checked_add_signed(placement.down).filter(|&row| row < height) {
                    Some(row) => write_row(table, &from[row * width..][..width], placement, to),
                    None => to.fill(table[0]),
                }
            }
        }
    }
}

fn write_row(table: &[f32; 256], from: &[u8], placement: Placement, to: &mut [f32]) {
    for (column, to) in to.iter_mut().enumerate() {
        let column = column.checked_add_signed(placement.right);
        // Mirrored after the crop is moved: the two orders differ in nothing but the sign of an even distribution.
        let byte = column.and_then(|column| {
            let column = if placement.mirrored { from.len().checked_sub(column + 1)? } else { column };
            from.get(column)
        });
        *to = table[usize::from(byte.copied().unwrap_or(0))];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find;

    fn placed(placement: Placement) -> Vec<u8> {
        let scale = Scale(vec![std::array::from_fn(|byte| byte as f32)]);
        let mut target = [0.0; 6];
        scale.write(&[1, 2, 3, 4, 5, 6], [1, 2, 3], placement, &mut target);
        target.iter().map(|&value| value as u8).collect()
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
        let with = Protocol { normalise: false, flip: true, shift: 2, train_limit: None, test_limit: None };
        let without = Protocol { flip: false, ..with };
        let mut seen = [[0_u32; 5]; 5];
        let mut mirrored = 0;
        for index in 0..10_000 {
            let key = Key::new(1).index(index);
            let placement = Placement::draw(&with, key);
            assert_eq!(Placement::draw(&without, key), Placement { mirrored: false, ..placement });
            seen[(placement.down + 2) as usize][(placement.right + 2) as usize] += 1;
            mirrored += u32::from(placement.mirrored);
        }
        // 400 expected a cell with a deviation of 19.6, 5,000 mirrored with one of 50: five deviations each.
        assert!(seen.iter().flatten().all(|count| (300..=500).contains(count)), "{seen:?}");
        assert!((4_750..=5_250).contains(&mirrored), "{mirrored}");
    }

    #[test]
    fn scale_follows_its_formula() {
        let card = find("cifar10").unwrap().card;
        let scale = Scale::new(card, true);
        assert_eq!(scale.0[2][51], (0.2 - 0.4465) / 0.2616);
        assert_eq!(Scale::new(card, false).0[0][255], 1.0);
    }
}
