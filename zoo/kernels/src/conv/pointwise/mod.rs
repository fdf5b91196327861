//! Both gradients of 1x1 convolutions of numbers: products at each pixel.
//!
//! ```text
//! dx[n, c, p] = sum over o of w[o, c] * dy[n, o, p]        dw[o, c] = sum over (n, p) of dy[n, o, p] * x[n, c, p]
//! ```
//!
//! Planes are turned to `[pixel, channel]` on the way in, so that small maps of several images make one product.

mod inputs;
mod weights;

use std::ops::Range;

use super::ConvShape;
use super::vectors::{Planes, ROWS};
use crate::lanes::LANES;

pub(super) use inputs::backward_input;
pub(super) use weights::backward_weight;

/// Pixels of a batch at most.
const PIXELS: usize = 16 * ROWS;

/// Whether these kernels serve the shape.
pub(super) fn serves(s: &ConvShape) -> bool {
    let plain = s.kernel == (1, 1) && s.stride == 1 && s.pad == 0 && s.groups == 1;
    plain && s.c_in.min(s.c_out) >= LANES
}

/// See [`super::workspace_bytes`].
pub(super) fn workspace_bytes(s: &ConvShape) -> usize {
    inputs::scratch_len(s).max(weights::scratch_len(s)) * size_of::<f32>()
}

/// Pixels of an image.
fn plane(s: &ConvShape) -> usize {
    s.h * s.w
}

/// How pixels are cut into batches.
struct Batches {
    /// Images of a batch.
    images: usize,
    /// Pixels of each; all of them when there are several images.
    pixels: usize,
    many: usize,
}

/// Pixels that are multiplied together.
struct Batch {
    images: Range<usize>,
    pixels: Range<usize>,
}

impl Batches {
    /// Batches of at most `most` pixels.
    fn of(s: &ConvShape, most: usize) -> Self {
        let (images, pixels) = if plane(s) <= most {
            ((most / plane(s)).min(s.n.max(1)), plane(s))
        } else {
            (1, plane(s).div_ceil(plane(s).div_ceil(most)))
        };
        Self { images, pixels, many: s.n.div_ceil(images) * plane(s).div_ceil(pixels) }
    }

    /// The same number of batches, whose images are as many each.
    fn even(self, s: &ConvShape) -> Self {
        let of_images = s.n.div_ceil(self.images).max(1);
        Self { images: s.n.div_ceil(of_images).max(1), ..self }
    }

    /// Pixels of a batch.
    fn rows(&self) -> usize {
        self.images * self.pixels
    }

    /// The batches of a part, of which each but the last has `each`.
    fn part(&self, s: &ConvShape, part: usize, each: usize) -> impl Iterator<Item = Batch> {
        let (images, pixels, n, plane) = (self.images, self.pixels, s.n, plane(s));
        let of_image = plane.div_ceil(pixels);
        (part * each..self.many.min((part + 1) * each)).map(move |index| {
            let (image, pixel) = (index / of_image * images, index % of_image * pixels);
            Batch { images: image..n.min(image + images), pixels: pixel..plane.min(pixel + pixels) }
        })
    }
}

/// Turns some channels of a batch's pixels to `[pixel, channel]`, rows of `row` values; channels that fill up a vector
/// become 0.
fn turn(
    planes: &Planes,
    channels: Range<usize>,
    row: usize,
    images: &Range<usize>,
    pixels: &Range<usize>,
    turned: &mut [f32],
) {
    if planes.w == 1 {
        // Maps of one pixel lie so already.
        for (image, turned) in images.clone().zip(turned.chunks_mut(row)) {
            let (from, to) = turned.split_at_mut(channels.len());
            from.copy_from_slice(
                &planes.values[image * planes.channels..][..planes.channels][channels.clone()],
            );
            to[..channels.len().next_multiple_of(LANES) - channels.len()].fill(0.0);
        }
        return;
    }
    for (image, turned) in images.clone().zip(turned.chunks_mut(pixels.len() * row)) {
        for first in channels.clone().step_by(LANES) {
            planes.turn_run(
                image,
                &(first..channels.end),
                pixels,
                row,
                &mut turned[first - channels.start..],
            );
        }
    }
}
