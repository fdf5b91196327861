//! Pillow's `Image.transform(AFFINE)` at the image's own size, with a fill colour.
//!
//! The six numbers map a place of the result to a place of the source: `x' = a x + b y + c`, `y' = d x + e y + f`, both at
//! pixel centres. Outside the source is the fill colour. Pillow's bicubic kernel here has a = -1, other than that of its
//! `resize` (-1/2).

use serde::Serialize;

use crate::format::picture::Rgb;

/// How a place between pixels is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// The nearest pixel.
    Nearest,
    /// From two by two pixels.
    Bilinear,
    /// From four by four pixels.
    Bicubic,
}

/// Moves the image by the matrix `[a, b, c, d, e, f]`.
pub fn transform(image: &mut Rgb, [a, b, c, d, e, f]: [f64; 6], sampling: Sampling, fill: [u8; 3]) {
    let (width, height) = (image.width, image.height);
    let source = std::mem::take(&mut image.pixels);
    let read = Reader { pixels: source.as_chunks().0, width, height };
    image.pixels.reserve_exact(source.len());
    for y in 0..height {
        for x in 0..width {
            let (x, y) = (x as f64 + 0.5, y as f64 + 0.5);
            let place = [a * x + b * y + c, d * x + e * y + f];
            image.pixels.extend(read.at(place, sampling).unwrap_or(fill));
        }
    }
}

/// `Image.rotate`: counter-clockwise about the middle, in degrees.
pub fn rotate(image: &mut Rgb, degrees: f64, sampling: Sampling, fill: [u8; 3]) {
    if degrees == 0.0 {
        return;
    }
    let angle = -degrees.to_radians();
    // Pillow rounds to 15 digits, so that right angles are exact.
    let round = |value: f64| (value * 1e15).round() / 1e15;
    let (cos, sin) = (round(libm::cos(angle)), round(libm::sin(angle)));
    let (x, y) = (image.width as f64 / 2.0, image.height as f64 / 2.0);
    let matrix = [cos, sin, -x * cos - y * sin + x, -sin, cos, x * sin - y * cos + y];
    transform(image, matrix, sampling, fill);
}

struct Reader<'p> {
    pixels: &'p [[u8; 3]],
    width: usize,
    height: usize,
}

impl Reader<'_> {
    /// The colour at a place, `None` outside.
    fn at(&self, [x, y]: [f64; 2], sampling: Sampling) -> Option<[u8; 3]> {
        let inside = x >= 0.0 && y >= 0.0 && x < self.width as f64 && y < self.height as f64;
        if !inside {
            return None;
        }
        if sampling == Sampling::Nearest {
            return Some(self.pixels[y as usize * self.width + x as usize]);
        }
        let (x, y) = (x - 0.5, y - 0.5);
        let (column, row) = (x.floor(), y.floor());
        let (dx, dy) = (x - column, y - row);
        let (column, row) = (column as isize, row as isize);
        Some(std::array::from_fn(|channel| match sampling {
            Sampling::Bicubic => {
                let lines = [-1, 0, 1, 2].map(|step| {
                    let taps = [-1, 0, 1, 2].map(|right| self.clipped(column + right, row + step, channel));
                    cubic(taps, dx)
                });
                cubic(lines, dy) as u8
            }
            _ => {
                let lines = [0, 1].map(|step| {
                    let [left, right] = [0, 1].map(|right| self.clipped(column + right, row + step, channel));
                    left + (right - left) * dx
                });
                (lines[0] + (lines[1] - lines[0]) * dy) as u8
            }
        }))
    }

    /// A byte, with the border's beyond the border.
    fn clipped(&self, x: isize, y: isize, channel: usize) -> f64 {
        let x = x.clamp(0, self.width as isize - 1) as usize;
        let y = y.clamp(0, self.height as isize - 1) as usize;
        f64::from(self.pixels[y * self.width + x][channel])
    }
}

fn cubic([v1, v2, v3, v4]: [f64; 4], d: f64) -> f64 {
    v2 + d * (-v1 + v3 + d * (2.0 * (v1 - v2) + v3 - v4 + d * (-v1 + v2 - v3 + v4)))
}
