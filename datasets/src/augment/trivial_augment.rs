//! TrivialAugment, wide, as torchvision has it.
//!
//! S. Müller, F. Hutter, "TrivialAugment: tuning-free yet state-of-the-art data augmentation", ICCV 2021; torchvision's
//! `TrivialAugmentWide`: one of 14 operations at one of 31 magnitudes, either sign where there is one, nearest sampling,
//! black fill.

use keys::Key;

use super::{
    affine::{Sampling, rotate, transform},
    colour,
};
use crate::format::picture::Rgb;

const BINS: u32 = 31;

/// Changes an image as a key says.
pub fn apply(image: &mut Rgb, key: Key) {
    let mut stream = key.stream();
    let operation = stream.below(14);
    let level = f64::from(stream.below(BINS)) / f64::from(BINS - 1);
    let sign = if stream.chance(0.5) { -1.0 } else { 1.0 };
    let moved = |image: &mut Rgb, matrix| transform(image, matrix, Sampling::Nearest, [0; 3]);
    let enhanced = 1.0 + sign * level * 0.99;
    match operation {
        // torchvision's identity.
        0 => {}
        // Its shears are angles whose tangent is the level, about the upper left corner.
        1 => moved(image, [1.0, sign * level * 0.99, 0.0, 0.0, 1.0, 0.0]),
        2 => moved(image, [1.0, 0.0, 0.0, sign * level * 0.99, 1.0, 0.0]),
        // Its translations are whole pixels.
        3 => moved(image, [1.0, 0.0, -(sign * level * 32.0).trunc(), 0.0, 1.0, 0.0]),
        4 => moved(image, [1.0, 0.0, 0.0, 0.0, 1.0, -(sign * level * 32.0).trunc()]),
        5 => rotate(image, sign * level * 135.0, Sampling::Nearest, [0; 3]),
        6 => colour::brightness(image, enhanced),
        7 => colour::colour(image, enhanced),
        8 => colour::contrast(image, enhanced),
        9 => colour::sharpness(image, enhanced),
        10 => colour::posterize(image, 8 - (level * 6.0).round_ties_even() as u32),
        11 => colour::solarize(image, (255.0 * (1.0 - level)).ceil() as u32),
        12 => colour::auto_contrast(image),
        _ => colour::equalize(image),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_a_function_of_the_key_and_change_most_images() {
        let source = Rgb {
            width: 40,
            height: 40,
            pixels: (0..4800_u32).map(|at| (at * at / 7 % 256) as u8).collect(),
        };
        let image = |index| {
            let mut image = source.clone();
            apply(&mut image, Key::new(1).index(index));
            image
        };
        let changed = (0..140).filter(|&index| {
            assert_eq!(image(index), image(index));
            image(index) != source
        });
        // One operation of 14 is none, and a contrast that is full stays.
        assert!((100..=135).contains(&changed.count()));
    }
}
