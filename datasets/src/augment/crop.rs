//! Which part of a photograph is seen: random-resized crops for training, a middle crop for judging.
//!
//! A crop is a box that the resizer reads from the picture itself. torchvision copies the box out first, so that the
//! filter ends at its edge; here it reads on beyond it. The border's values differ by that, and no pixel is copied twice.

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, TypedImageRef},
    pixels::U8x3,
};
use keys::Stream;
use serde::Serialize;

use crate::format::{jpeg::Part, picture::Rgb};

/// A filter of Pillow's `resize`, antialiased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// A triangle.
    Bilinear,
    /// Catmull-Rom, a = -1/2.
    Bicubic,
}

impl Filter {
    /// Pixels that it looks at on each side of a place, at its own size.
    fn radius(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }
}

/// A part of a picture in its pixels: left, top, width, height.
pub type Window = [f64; 4];

/// torchvision's `RandomResizedCrop`: an area uniform in `scale` of the picture's, an aspect log-uniform in `ratio`, ten
/// tries, else the middle with the nearest aspect allowed.
#[must_use]
pub fn random_resized(
    [width, height]: [usize; 2],
    scale: [f64; 2],
    ratio: [f64; 2],
    stream: &mut Stream,
) -> Window {
    let area = (width * height) as f64;
    let [low, high] = ratio.map(libm::log);
    for _ in 0..10 {
        let target = area * (scale[0] + (scale[1] - scale[0]) * stream.uniform());
        let aspect = libm::exp(low + (high - low) * stream.uniform());
        let columns = (target * aspect).sqrt().round_ties_even() as usize;
        let rows = (target / aspect).sqrt().round_ties_even() as usize;
        if (1..=width).contains(&columns) && (1..=height).contains(&rows) {
            let top = stream.below((height - rows + 1) as u32);
            let left = stream.below((width - columns + 1) as u32);
            return [f64::from(left), f64::from(top), columns as f64, rows as f64];
        }
    }
    let own = width as f64 / height as f64;
    let (columns, rows) = if own < ratio[0] {
        (width, ((width as f64 / ratio[0]).round_ties_even() as usize).clamp(1, height))
    } else if own > ratio[1] {
        (((height as f64 * ratio[1]).round_ties_even() as usize).clamp(1, width), height)
    } else {
        (width, height)
    };
    [((width - columns) / 2) as f64, ((height - rows) / 2) as f64, columns as f64, rows as f64]
}

/// What torchvision's `Resize(resize)` and `CenterCrop(crop)` see of a picture: the shorter side becomes `resize`, the
/// longer one is cut to whole pixels, and the middle `crop` x `crop` stays. As a box of the picture itself it is the same
/// sampling in one pass.
#[must_use]
pub fn middle([width, height]: [usize; 2], resize: usize, crop: usize) -> Window {
    let (short, long) = (width.min(height), width.max(height));
    let longer = resize * long / short.max(1);
    let sides = if width <= height { [resize, longer] } else { [longer, resize] };
    let axis = |own: usize, side: usize| {
        let scale = own as f64 / side as f64;
        // A crop larger than the side would need padding; the whole side is taken.
        let taken = crop.min(side);
        let start = ((side - taken) as f64 / 2.0).round_ties_even();
        (start * scale, taken as f64 * scale)
    };
    let ((left, columns), (top, rows)) = (axis(width, sides[0]), axis(height, sides[1]));
    [left, top, columns, rows]
}

/// The pixels that resizing a window looks at: as far beyond its edges as the filter is wide.
pub(crate) fn reach(
    [left, top, columns, rows]: Window,
    (sides, filter): ([usize; 2], Filter),
    size: [usize; 2],
) -> Part {
    let axis = |start: f64, length: f64, side: usize, size: usize| {
        let radius = filter.radius() * (length / side as f64).max(1.0);
        let first = ((start - radius).floor().max(0.0) as usize).min(size.saturating_sub(1));
        first..((start + length + radius).ceil() as usize).clamp(first + 1, size.max(first + 1))
    };
    Part { columns: axis(left, columns, sides[0], size[0]), rows: axis(top, rows, sides[1], size[1]) }
}

/// Resizes windows; keeps its memory.
#[derive(Default)]
pub(crate) struct Cropper(Resizer);

impl Cropper {
    /// Reads a window of a picture into an image of `width` and `height`; `Err` has the resizer's words.
    pub(crate) fn read(
        &mut self,
        picture: &Rgb,
        [left, top, columns, rows]: Window,
        ([width, height], filter): ([usize; 2], Filter),
        into: &mut Rgb,
    ) -> Result<(), String> {
        let kind = match filter {
            Filter::Bilinear => FilterType::Bilinear,
            Filter::Bicubic => FilterType::CatmullRom,
        };
        let options =
            ResizeOptions::new().resize_alg(ResizeAlg::Convolution(kind)).crop(left, top, columns, rows);
        into.resize(width, height);
        let (own_width, own_height) = (picture.width as u32, picture.height as u32);
        let from = TypedImageRef::<U8x3>::from_buffer(own_width, own_height, &picture.pixels);
        let from = from.map_err(|error| error.to_string())?;
        let to = Image::from_slice_u8(width as u32, height as u32, &mut into.pixels, PixelType::U8x3);
        let mut to = to.map_err(|error| error.to_string())?;
        let mut to = to.typed_image_mut::<U8x3>().ok_or("no RGB image")?;
        // The typed call: one pixel type is compiled in place of fifteen.
        self.0.resize_typed(&from, &mut to, &options).map_err(|error| error.to_string())
    }

    /// The whole picture at another size.
    pub(crate) fn whole(&mut self, picture: &Rgb, sides: [usize; 2], into: &mut Rgb) -> Result<(), String> {
        let window = [0.0, 0.0, picture.width as f64, picture.height as f64];
        self.read(picture, window, (sides, Filter::Bilinear), into)
    }
}

#[cfg(test)]
mod tests {
    use keys::Key;

    use super::*;

    const SCALE: [f64; 2] = [0.08, 1.0];
    const RATIO: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0];

    #[test]
    fn random_windows_lie_inside_and_keep_area_and_aspect() {
        let (mut least, mut most) = (f64::MAX, 0.0_f64);
        for index in 0..5_000 {
            let [left, top, width, height] =
                random_resized([500, 375], SCALE, RATIO, &mut Key::new(1).index(index).stream());
            assert!(left + width <= 500.0 && top + height <= 375.0);
            let (area, aspect) = (width * height / 187_500.0, width / height);
            // Rounding of each side by one half moves both a little.
            assert!((0.079..=1.001).contains(&area) && (0.744..=1.345).contains(&aspect), "{area} {aspect}");
            (least, most) = (least.min(area), most.max(area));
        }
        assert!(least < 0.1 && most > 0.85, "{least} {most}");
    }

    #[test]
    fn a_ribbon_gives_its_middle() {
        let window = |size| random_resized(size, [1.0, 1.0], RATIO, &mut Key::new(1).stream());
        assert_eq!(window([1_000, 10]), [493.0, 0.0, 13.0, 10.0]);
        assert_eq!(window([10, 1_000]), [0.0, 493.0, 10.0, 13.0]);
    }

    #[test]
    fn the_middle_is_torchvisions() {
        // 500x375 to 341x256 (int(256 * 500 / 375) = 341), crop at round(58.5) = 58 and 16.
        let [left, top, width, height] = middle([500, 375], 256, 224);
        let scale = 500.0 / 341.0;
        assert_eq!([left, width], [58.0 * scale, 224.0 * scale]);
        assert_eq!([top, height], [16.0 * 375.0 / 256.0, 224.0 * 375.0 / 256.0]);
        assert_eq!(middle([256, 256], 256, 224), [16.0, 16.0, 224.0, 224.0]);
    }

    #[test]
    fn nothing_outside_the_reach_of_a_window_is_looked_at() {
        let mut cropper = Cropper::default();
        let (mut whole, mut part) = (Rgb::default(), Rgb::default());
        for index in 0..200 {
            let mut stream = Key::new(5).index(index).stream();
            let size = [20 + stream.below(80) as usize, 20 + stream.below(80) as usize];
            let picture = Rgb {
                width: size[0],
                height: size[1],
                pixels: (0..size[0] * size[1] * 3).map(|_| stream.below(256) as u8).collect(),
            };
            for filter in [Filter::Bilinear, Filter::Bicubic] {
                for window in [random_resized(size, SCALE, RATIO, &mut stream), middle(size, 40, 32)] {
                    let with = ([32; 2], filter);
                    let Part { columns, rows } = reach(window, with, size);
                    let mut garbled = picture.clone();
                    for (at, pixel) in garbled.pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                        if !columns.contains(&(at % size[0])) || !rows.contains(&(at / size[0])) {
                            *pixel = pixel.map(|channel| !channel);
                        }
                    }
                    cropper.read(&picture, window, with, &mut whole).unwrap();
                    cropper.read(&garbled, window, with, &mut part).unwrap();
                    assert_eq!(whole, part, "{window:?} of {size:?}");
                }
            }
        }
    }

    /// One pass over the box is the two passes of the authors' code, but for rounding once in place of twice... which both
    /// do once a value: the crop copies.
    #[test]
    fn a_box_is_the_resized_image_cut() {
        let picture = Rgb {
            width: 90,
            height: 70,
            pixels: (0..90 * 70 * 3_u32).map(|at| (at * 7919 % 256) as u8).collect(),
        };
        let mut cropper = Cropper::default();
        let mut boxed = Rgb::default();
        for filter in [Filter::Bilinear, Filter::Bicubic] {
            cropper.read(&picture, middle([90, 70], 40, 32), ([32; 2], filter), &mut boxed).unwrap();
            let mut whole = Rgb::default();
            cropper.read(&picture, [0.0, 0.0, 90.0, 70.0], ([51, 40], filter), &mut whole).unwrap();
            let cut = whole.pixels.chunks_exact(51 * 3).skip(4).take(32).flat_map(|row| &row[10 * 3..42 * 3]);
            let worst = boxed.pixels.iter().zip(cut).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= 1, "{worst}");
        }
    }
}
