//! Bytes of a channel as numbers: `byte / 255`, and the statistics.

use crate::format::picture::Rgb;

/// What the bytes of each channel become.
pub(crate) struct Scale(Vec<Channel>);

/// What the bytes of one channel become.
pub(crate) struct Channel {
    /// The value of each byte: 256 divisions in place of one a pixel.
    pub(crate) table: [f32; 256],
    /// The same numbers to the bit by arithmetic, which vectors can do and tables can't.
    pub(crate) formula: Option<Formula>,
}

/// `(byte / 255 - mean) / std`, each step rounded as a division rounds, without dividing.
#[derive(Clone, Copy)]
pub(crate) struct Formula {
    unit: Reciprocal,
    mean: f32,
    std: Reciprocal,
}

/// The reciprocal of a divisor, as a sum of two numbers. `x * high + x * low` with the sum rounded once is the rounded
/// quotient but for rare `x` (Brisebarre, Muller and Raina, "Accelerating correctly rounded floating-point division when the
/// divisor is known in advance", IEEE Transactions on Computers 53(8), 2004); of 256 each is looked at.
#[derive(Clone, Copy)]
struct Reciprocal {
    high: f32,
    low: f32,
}

impl Reciprocal {
    fn of(divisor: f32) -> Self {
        let whole = 1.0 / f64::from(divisor);
        let high = whole as f32;
        Self { high, low: (whole - f64::from(high)) as f32 }
    }

    #[inline(always)]
    fn times(self, x: f32) -> f32 {
        x.mul_add(self.high, x * self.low)
    }
}

impl Formula {
    #[inline(always)]
    pub(crate) fn value(self, byte: u8) -> f32 {
        self.std.times(self.unit.times(f32::from(byte)) - self.mean)
    }
}

impl Channel {
    /// `byte / 255`, then `(value - mean) / std`.
    fn new([mean, std]: [f32; 2]) -> Self {
        let table = std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std);
        let formula = Formula { unit: Reciprocal::of(255.0), mean, std: Reciprocal::of(std) };
        let same =
            (0..=255).zip(&table).all(|(byte, value)| formula.value(byte).to_bits() == value.to_bits());
        Self { table, formula: same.then_some(formula) }
    }
}

impl Scale {
    /// `byte / 255`, then `(value - mean) / std` of the channel where there are statistics.
    pub(crate) fn new(channels: usize, statistics: Option<(&[f32], &[f32])>) -> Self {
        // Less 0 and by 1, no number changes.
        let of = |channel| statistics.map_or([0.0, 1.0], |(mean, std)| [mean[channel], std[channel]]);
        Self((0..channels).map(|channel| Channel::new(of(channel))).collect())
    }

    pub(crate) fn channels(&self) -> &[Channel] {
        &self.0
    }

    /// Writes an interleaved image as planes, mirrored or not.
    pub(crate) fn write_rgb(&self, image: &Rgb, mirrored: bool, target: &mut [f32]) {
        let (width, plane) = (image.width, image.width * image.height);
        let (red, rest) = target.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        let table = |channel: usize| &self.0.get(channel).unwrap_or(&self.0[0]).table;
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DATASETS, find, pipeline::PIPELINES};

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
        assert_eq!(scale.0[2].table[51], (0.2 - 0.4465) / 0.2616);
        assert_eq!(Scale::new(3, None).0[0].table[255], 1.0);
    }

    #[test]
    fn arithmetic_gives_the_tables_numbers_for_all_sets_and_pipelines() {
        let sets = DATASETS.iter().map(|entry| (entry.card.mean, entry.card.std));
        let pipelines =
            PIPELINES.iter().map(|pipeline| (&pipeline.statistics.mean[..], &pipeline.statistics.std[..]));
        for (mean, std) in sets.chain(pipelines) {
            let scale = Scale::new(mean.len(), Some((mean, std)));
            assert!(scale.0.iter().all(|channel| channel.formula.is_some()), "{mean:?} {std:?}");
        }
        assert!(Scale::new(1, None).0[0].formula.is_some());
    }

    #[test]
    fn a_formula_that_is_not_the_table_is_not_used() {
        // Of a subnormal divisor the reciprocal is infinite, and infinity less infinity no number.
        let channel = Channel::new([0.5, 1e-40]);
        assert!(channel.formula.is_none());
        assert_eq!(channel.table[255], f32::INFINITY);
    }
}
