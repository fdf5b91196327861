//! RandAugment as timm has it, `rand-mM-nN-mstdS-inc1`.
//!
//! E. Cubuk et al., "RandAugment: practical automated data augmentation with a reduced search space", 2020; semantics of
//! timm's `auto_augment.py` with the *increasing* operations: each of N layers draws one of 15 operations, applies it with
//! probability 1/2, at a magnitude drawn from N(M, S) and kept in 0..=10.

use keys::{Key, Stream};
use serde::Serialize;

use super::{
    affine::{Sampling, rotate, transform},
    colour,
};
use crate::format::picture::Rgb;

/// The settings of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RandAugment {
    /// N, the number of layers.
    pub layers: u32,
    /// M, the mean magnitude, of 10.
    pub magnitude: f64,
    /// S, the magnitude's standard deviation.
    pub deviation: f64,
    /// How moved images are read; `None` draws bilinear or bicubic each time.
    pub sampling: Option<Sampling>,
}

const LEVELS: f64 = 10.0;

/// The 15 operations, in timm's order.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Operation {
    AutoContrast,
    Equalize,
    Invert,
    Rotate,
    Posterize,
    Solarize,
    SolarizeAdd,
    Colour,
    Contrast,
    Brightness,
    Sharpness,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
}

const OPERATIONS: [Operation; 15] = [
    Operation::AutoContrast,
    Operation::Equalize,
    Operation::Invert,
    Operation::Rotate,
    Operation::Posterize,
    Operation::Solarize,
    Operation::SolarizeAdd,
    Operation::Colour,
    Operation::Contrast,
    Operation::Brightness,
    Operation::Sharpness,
    Operation::ShearX,
    Operation::ShearY,
    Operation::TranslateX,
    Operation::TranslateY,
];

impl RandAugment {
    /// Changes an image as a key says; what moves in from outside has the colour `fill`.
    pub fn apply(&self, image: &mut Rgb, key: Key, fill: [u8; 3]) {
        for layer in 0..self.layers {
            // A layer has its own stream: how many numbers one takes does not move the next.
            let mut stream = key.index(u64::from(layer)).stream();
            let operation = OPERATIONS[stream.below(OPERATIONS.len() as u32) as usize];
            if !stream.chance(0.5) {
                continue;
            }
            let level = (self.magnitude + self.deviation * stream.normal()).clamp(0.0, LEVELS) / LEVELS;
            let sign = if stream.chance(0.5) { -1.0 } else { 1.0 };
            let sampling = self.sampling.unwrap_or_else(|| drawn(&mut stream));
            run(operation, image, level, sign, (sampling, fill));
        }
    }
}

fn drawn(stream: &mut Stream) -> Sampling {
    if stream.chance(0.5) { Sampling::Bilinear } else { Sampling::Bicubic }
}

/// One operation at a level in `[0, 1]`.
fn run(operation: Operation, image: &mut Rgb, level: f64, sign: f64, (sampling, fill): (Sampling, [u8; 3])) {
    let (width, height) = (image.width as f64, image.height as f64);
    // Away from 1, the unchanged image, in either direction.
    let enhanced = (1.0 + sign * level * 0.9).max(0.1);
    let moved = |image: &mut Rgb, matrix| transform(image, matrix, sampling, fill);
    match operation {
        Operation::AutoContrast => colour::auto_contrast(image),
        Operation::Equalize => colour::equalize(image),
        Operation::Invert => colour::invert(image),
        Operation::Rotate => rotate(image, sign * level * 30.0, sampling, fill),
        Operation::Posterize => colour::posterize(image, 4 - (level * 4.0) as u32),
        Operation::Solarize => colour::solarize(image, 256 - (level * 256.0) as u32),
        Operation::SolarizeAdd => colour::solarize_add(image, (level * 110.0) as u32),
        Operation::Colour => colour::colour(image, enhanced),
        Operation::Contrast => colour::contrast(image, enhanced),
        Operation::Brightness => colour::brightness(image, enhanced),
        Operation::Sharpness => colour::sharpness(image, enhanced),
        Operation::ShearX => moved(image, [1.0, sign * level * 0.3, 0.0, 0.0, 1.0, 0.0]),
        Operation::ShearY => moved(image, [1.0, 0.0, 0.0, sign * level * 0.3, 1.0, 0.0]),
        Operation::TranslateX => moved(image, [1.0, 0.0, sign * level * 0.45 * width, 0.0, 1.0, 0.0]),
        Operation::TranslateY => moved(image, [1.0, 0.0, 0.0, 0.0, 1.0, sign * level * 0.45 * height]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Rgb {
        let pixels = (0..12 * 10 * 3_u32).map(|at| (at * 37 % 251) as u8).collect();
        Rgb { width: 12, height: 10, pixels }
    }

    const M9: RandAugment = RandAugment { layers: 2, magnitude: 9.0, deviation: 0.5, sampling: None };

    #[test]
    fn the_same_key_gives_the_same_image() {
        let images = |key: Key| {
            let mut image = ramp();
            M9.apply(&mut image, key, [1, 2, 3]);
            image
        };
        let mut unlike = 0;
        for index in 0..200 {
            let key = Key::new(3).index(index);
            assert_eq!(images(key), images(key));
            unlike += u32::from(images(key) != ramp());
        }
        // Two layers of chance one half leave an image with chance one quarter; few operations do nothing.
        assert!((120..=180).contains(&unlike), "{unlike}");
    }

    #[test]
    fn levels_are_those_of_the_increasing_set() {
        let at = |operation, level, sign| {
            let mut image = Rgb { width: 2, height: 1, pixels: vec![0, 100, 127, 128, 200, 255] };
            run(operation, &mut image, level, sign, (Sampling::Bilinear, [9; 3]));
            image.pixels
        };
        // Magnitude 9 of 10: 4 - int(3.6) = 1 bit, threshold 256 - 230 = 26, 99 added, factors 1.81 and 0.19.
        assert_eq!(at(Operation::Posterize, 0.9, 1.0), [0, 0, 0, 128, 128, 128]);
        assert_eq!(at(Operation::Solarize, 0.9, 1.0), [0, 155, 128, 127, 55, 0]);
        assert_eq!(at(Operation::SolarizeAdd, 0.9, 1.0), [99, 199, 226, 128, 200, 255]);
        assert_eq!(at(Operation::Brightness, 0.9, 1.0), [0, 181, 229, 231, 255, 255]);
        assert_eq!(at(Operation::Brightness, 0.9, -1.0), [0, 19, 24, 24, 38, 48]);
        // 0.9 pixels to the right: the first is fill, the second nine tenths of the first and one of itself.
        assert_eq!(at(Operation::TranslateX, 1.0, -1.0), [9, 9, 9, 12, 110, 139]);
        assert_eq!(at(Operation::Posterize, 1.0, 1.0), [0; 6]);
    }
}
