//! Colour jitter: brightness, contrast and saturation, each by a factor, in a drawn order (torchvision's `ColorJitter`).

use keys::Key;

use super::colour;
use crate::format::picture::Rgb;

/// Changes brightness, contrast and saturation each by a factor uniform on `[max(0, 1 - strength), 1 + strength]`.
pub fn apply(image: &mut Rgb, strength: f64, key: Key) {
    let mut stream = key.stream();
    let mut order = [0, 1, 2];
    stream.shuffle(&mut order);
    let low = (1.0 - strength).max(0.0);
    let factors = [(); 3].map(|()| low + (1.0 + strength - low) * stream.uniform());
    for which in order {
        let change = [colour::brightness, colour::contrast, colour::colour][which];
        change(image, factors[which]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strength_zero_changes_nothing_and_a_key_always_the_same() {
        let source = Rgb { width: 4, height: 2, pixels: (0..24).map(|at| at * 10).collect() };
        let image = |strength, index| {
            let mut image = source.clone();
            apply(&mut image, strength, Key::new(2).index(index));
            image
        };
        for index in 0..20 {
            assert_eq!(image(0.0, index), source);
            assert_eq!(image(0.4, index), image(0.4, index));
            assert_ne!(image(0.4, index), image(0.4, index + 20));
        }
    }
}
