//! Cutout as OTTT's and SLTT's code has it: a rectangle of one grey value.
//!
//! T. DeVries, G. Taylor, "Improved regularization of convolutional neural networks with Cutout", 2017, has a black square
//! of fixed size. The code that OTTT and SLTT share draws area, aspect and value, as random erasing does.

use keys::Key;
use serde::Serialize;

use crate::format::picture::Rgb;

/// The settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cutout {
    /// How often an image is cut.
    pub probability: f64,
    /// Least and greatest share of the image's area.
    pub area: [f64; 2],
    /// Least and greatest height over width, uniform.
    pub aspect: [f64; 2],
}

impl Cutout {
    /// Fills one rectangle of an image, as a key says.
    pub fn apply(&self, image: &mut Rgb, key: Key) {
        let mut stream = key.stream();
        if !stream.chance(self.probability) {
            return;
        }
        let uniform = |[low, high]: [f64; 2], draw: f64| low + (high - low) * draw;
        let area = uniform(self.area, stream.uniform()) * (image.width * image.height) as f64;
        let aspect = uniform(self.aspect, stream.uniform());
        let width = ((area / aspect).sqrt() as usize).min(image.width);
        let height = ((area * aspect).sqrt() as usize).min(image.height);
        let left = stream.below((image.width - width) as u32) as usize;
        let top = stream.below((image.height - height) as u32) as usize;
        let value = stream.below(256) as u8;
        for row in image.pixels.chunks_exact_mut(image.width * 3).skip(top).take(height) {
            row[left * 3..(left + width) * 3].fill(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rectangle_of_the_drawn_area_is_filled_half_of_the_time() {
        let cutout = Cutout { probability: 0.5, area: [0.02, 0.4], aspect: [0.4, 2.5] };
        let source =
            Rgb { width: 32, height: 32, pixels: (0..3072_u32).map(|at| (at * 31 % 256) as u8).collect() };
        let mut cut = 0;
        for index in 0..1_000 {
            let mut image = source.clone();
            cutout.apply(&mut image, Key::new(5).index(index));
            if image == source {
                continue;
            }
            cut += 1;
            let changed = image.pixels.iter().zip(&source.pixels).filter(|(a, b)| a != b).count();
            // No more than the greatest area, and no less than the least after cutting off, but for equal values.
            assert!((20..=1228).contains(&changed), "{changed}");
        }
        assert!((420..=580).contains(&cut), "{cut}");
    }
}
