//! Random erasing on a normalised image, in timm's form.
//!
//! Z. Zhong et al., "Random erasing data augmentation", AAAI 2020; timm's `RandomErasing`: area uniform, aspect
//! log-uniform, ten tries.

use keys::Key;
use serde::Serialize;

/// What an erased place holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fill {
    /// Zero, the mean colour.
    Zero,
    /// A standard normal number for each value (timm's `pixel`).
    Noise,
}

/// The settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Erasing {
    /// How often an image is erased.
    pub probability: f64,
    /// Least and greatest share of the image's area.
    pub area: [f64; 2],
    /// Least height over width; the greatest is its inverse.
    pub aspect: f64,
    /// What comes in.
    pub fill: Fill,
}

impl Erasing {
    /// timm's settings with a probability.
    #[must_use]
    pub const fn timm(probability: f64, fill: Fill) -> Self {
        Self { probability, area: [0.02, 1.0 / 3.0], aspect: 0.3, fill }
    }

    /// The rectangle `[top, left, height, width]` that a key names, if any.
    fn rectangle(&self, [height, width]: [usize; 2], key: Key) -> Option<[usize; 4]> {
        let mut stream = key.stream();
        if !stream.chance(self.probability) {
            return None;
        }
        for _ in 0..10 {
            let area =
                (self.area[0] + (self.area[1] - self.area[0]) * stream.uniform()) * (height * width) as f64;
            let aspect = libm::exp(libm::log(self.aspect) * (1.0 - 2.0 * stream.uniform()));
            let rows = (area * aspect).sqrt().round_ties_even() as usize;
            let columns = (area / aspect).sqrt().round_ties_even() as usize;
            if rows < height && columns < width {
                let top = stream.below((height - rows + 1) as u32) as usize;
                let left = stream.below((width - columns + 1) as u32) as usize;
                return Some([top, left, rows, columns]);
            }
        }
        None
    }

    /// Erases one rectangle of an image `[C, H, W]`, as a key says.
    pub fn apply(&self, image: &mut [f32], [channels, height, width]: [usize; 3], key: Key) {
        let Some([top, left, rows, columns]) = self.rectangle([height, width], key) else { return };
        let mut noise = key.fork("noise").stream();
        for plane in image.chunks_exact_mut(height * width).take(channels) {
            for row in plane.chunks_exact_mut(width).skip(top).take(rows) {
                let place = &mut row[left..left + columns];
                match self.fill {
                    Fill::Zero => place.fill(0.0),
                    Fill::Noise => place.iter_mut().for_each(|value| *value = noise.normal() as f32),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectangle_within_the_bounds_is_erased_in_all_channels() {
        let erasing = Erasing::timm(0.25, Fill::Zero);
        let mut erased = 0;
        for index in 0..2_000 {
            let mut image = vec![1.0; 3 * 32 * 24];
            erasing.apply(&mut image, [3, 32, 24], Key::new(9).index(index));
            let zeros =
                |plane: usize| image[plane * 768..][..768].iter().filter(|&&value| value == 0.0).count();
            assert_eq!([zeros(0), zeros(1)], [zeros(2); 2]);
            if zeros(0) > 0 {
                erased += 1;
                // Area 0.02 to 1/3 of 768, and rounding of each side by one half.
                assert!((8..=290).contains(&zeros(0)), "{}", zeros(0));
            }
        }
        assert!((420..=580).contains(&erased), "{erased}");
    }

    #[test]
    fn noise_is_standard_normal_and_differs_by_value() {
        let erasing = Erasing { probability: 1.0, ..Erasing::timm(1.0, Fill::Noise) };
        let mut values = Vec::new();
        for index in 0..50 {
            let mut image = vec![9.0; 3 * 64 * 64];
            erasing.apply(&mut image, [3, 64, 64], Key::new(1).index(index));
            values.extend(image.into_iter().filter(|&value| value != 9.0));
        }
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let square = values.iter().map(|value| value * value).sum::<f32>() / values.len() as f32;
        assert!(values.len() > 10_000 && mean.abs() < 0.03 && (square - 1.0).abs() < 0.05, "{mean} {square}");
    }
}
