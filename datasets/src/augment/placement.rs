//! One image from bytes to numbers: mirror, shift, scale.
//!
//! The quick path of small images: one pass from bytes to a batch, a row at a time.

use keys::Key;

use crate::format::picture::Rgb;

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

/// The value of each byte, a table a channel: 256 divisions in place of one a pixel.
pub(crate) struct Scale(Vec<[f32; 256]>);

impl Scale {
    /// `byte / 255`, then `(value - mean) / std` of the channel where there are statistics.
    pub(crate) fn new(channels: usize, statistics: Option<(&[f32], &[f32])>) -> Self {
        let table = |channel: usize| {
            std::array::from_fn(|byte| {
                let value = byte as f32 / 255.0;
                match statistics {
                    Some((mean, std)) => (value - mean[channel]) / std[channel],
                    None => value,
                }
            })
        };
        Self((0..channels).map(table).collect())
    }

    /// Writes an interleaved image as planes, mirrored or not.
    pub(crate) fn write_rgb(&self, image: &Rgb, mirrored: bool, target: &mut [f32]) {
        let (width, plane) = (image.width, image.width * image.height);
        let (red, rest) = target.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        let table = |channel: usize| self.0.get(channel).unwrap_or(&self.0[0]);
        let tables = [table(0), table(1), table(2)];
        for (row, from) in image.pixels.chunks_exact(width * 3).enumerate() {
            let places = row * width..(row + 1) * width;
            let (red, green, blue) =
                (&mut red[places.clone()], &mut green[places.clone()], &mut blue[places]);
            let write = |((red, green), blue): ((&mut f32, &mut f32), &mut f32), pixel: &[u8; 3]| {
                *red = tables[0][usize::from(pixel[0])];
                *green = tables[1][usize::from(pixel[1])];
                *blue = tables[2][usize::from(pixel[2])];
            };
            let to = red.iter_mut().zip(green).zip(blue);
            let from = from.as_chunks::<3>().0;
            if mirrored {
                to.zip(from.iter().rev()).for_each(|(to, from)| write(to, from));
            } else {
                to.zip(from).for_each(|(to, from)| write(to, from));
            }
        }
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

/// One row: black where the crop looks beyond the image, else the image's bytes through the table.
fn write_row(table: &[f32; 256], from: &[u8], placement: Placement, to: &mut [f32]) {
    let width = from.len();
    let uncovered = placement.right.unsigned_abs().min(width);
    let kept = width - uncovered;
    // Where the kept part begins in the source and in the target. Mirrored after the crop is moved: the two orders differ
    // in nothing but the sign of an even distribution.
    let (source, target) = if placement.right >= 0 { (uncovered, 0) } else { (0, uncovered) };
    let (black, place) = if target == 0 {
        let (place, black) = to.split_at_mut(kept);
        (black, place)
    } else {
        to.split_at_mut(uncovered)
    };
    black.fill(table[0]);
    if placement.mirrored {
        // The window's columns count from the other end.
        let end = width - source;
        let from = from[end - kept..end].iter().rev();
        place.iter_mut().zip(from).for_each(|(to, &byte)| *to = table[usize::from(byte)]);
    } else {
        let from = &from[source..source + kept];
        place.iter_mut().zip(from).for_each(|(to, &byte)| *to = table[usize::from(byte)]);
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

    #[test]
    fn interleaved_images_become_planes() {
        let scale = Scale::new(3, None);
        let image = Rgb { width: 2, height: 1, pixels: vec![0, 51, 102, 153, 204, 255] };
        let mut planes = [9.0; 6];
        scale.write_rgb(&image, false, &mut planes);
        assert_eq!(planes, [0.0, 0.6, 0.2, 0.8, 0.4, 1.0]);
        scale.write_rgb(&image, true, &mut planes);
        assert_eq!(planes, [0.6, 0.0, 0.8, 0.2, 1.0, 0.4]);
    }

    #[test]
    fn scale_follows_its_formula() {
        let card = find("cifar10").unwrap().card;
        let scale = Scale::new(3, Some((card.mean, card.std)));
        assert_eq!(scale.0[2][51], (0.2 - 0.4465) / 0.2616);
        assert_eq!(Scale::new(3, None).0[0][255], 1.0);
    }
}
