//! Inputs on their way in: planes turned to `[pixel, channel]` and `v = B' d B` of each tile, as `[place, tile, channel]`.

use std::ops::Range;

use super::{Batch, Strides, Tiles, four, two};
use crate::conv::vectors::{Planes, Rows};
use crate::lanes::LANES;

/// Transforms some channels of a batch; `pixels` is room for the frame of an image.
pub(super) fn transform(
    tiles: Tiles,
    x: &Planes<'_>,
    cut: &Strides,
    batch: &Batch,
    channels: &Range<usize>,
    pixels: &mut [f32],
    inputs: &mut [f32],
) {
    let side = tiles.side();
    let wide = x.w.div_ceil(side);
    // The rows that the tiles see, without those outside the image.
    let above = side * batch.rows.start;
    let seen = above.saturating_sub(1)..x.h.min(side * batch.rows.end + 1);
    let line = (side * wide + 2) * LANES;
    // Row 0 of the frame is the one above the first tile.
    let skip = (seen.start + 1 - above) * line + LANES;
    let pixels = &mut pixels[..(side * batch.rows.len() + 2) * line];
    // What lies outside the image stays 0 for all channels.
    pixels.fill(0.0);
    let many = batch.rows.len() * wide;
    for (index, image) in batch.images.clone().enumerate() {
        for first in channels.clone().step_by(LANES) {
            let rows = Rows { first: seen.start, many: seen.len(), line, apart: LANES };
            batch.fetch_next(x, image, channels, first, &seen);
            x.turn(image, &(first..channels.end), &rows, &mut pixels[skip..]);
            let to = &mut inputs[index * many * cut.tile + first - channels.start..];
            assert!(to.len() >= (tiles.places() - 1) * cut.place + (many - 1) * cut.tile + LANES);
            let high = batch.rows.len();
            // SAFETY: the frame has `side` rows for each row of tiles and two more, and so for columns; `to` has room for
            // the last vector of the last place.
            unsafe {
                match tiles {
                    Tiles::Two => two::inputs(pixels, high, wide, cut.tile, cut.place, to),
                    Tiles::Four => four::inputs(pixels, high, wide, cut.tile, cut.place, to),
                }
            }
        }
    }
}
