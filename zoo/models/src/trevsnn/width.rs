//! Stage widths for which T sub-networks together cost what those of the published T cost.
//!
//! The paper divides one network into T sub-networks, so that inference does not grow with T; it does not say how
//! wide they are. Parameters and multiply-accumulates (MACs) both grow with the square of the widths, so one factor
//! for all stages, about `sqrt(T_published / T)`, nearly does it. Not quite: the weights that all steps share count
//! once as parameters and T times as MACs. MACs lie in the shallow stages as much as in the deep ones, parameters in
//! the deep ones, so a tilt between shallow and deep stages makes up for it. The search takes the smallest tilt for
//! which some factor brings both within [`CLOSE`].

use engine::model::{Encoding, Fusion, LevelChoices, Residual};

use super::STRIDES;
use super::block::EXPANSION;

/// Widths are multiples of this many channels.
const GRID: usize = 4;

/// Largest share by which parameters or MACs may differ from those of the published T; the best widths are taken
/// where no tilt reaches it.
const CLOSE: f64 = 0.02;

/// What the cost of the sub-networks depends on, beside their widths and T.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// Pairs of blocks at each level.
    pub(super) pairs: [usize; 4],
    /// Side of the depthwise kernels.
    pub(super) kernel: usize,
    pub(super) levels: LevelChoices,
}

/// Parameters of all sub-networks, and MACs of all of them for each pixel of the deepest level.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    params: f64,
    macs: f64,
}

/// Widths for `steps` sub-networks that together cost what `published` cost at `published_steps`.
pub(super) fn divided(
    form: &Form,
    published: [usize; 4],
    published_steps: usize,
    steps: usize,
) -> [usize; 4] {
    if steps == published_steps {
        return published;
    }
    let target = cost(form, published, published_steps);
    let even = (published_steps as f64 / steps as f64).sqrt();
    let mut best = (f64::INFINITY, published);
    for tilt in (0..=60).flat_map(|index| [1.0 - 0.005 * f64::from(index), 1.0 + 0.005 * f64::from(index)]) {
        for factor in (-80..=80).map(|index| even * (1.0 + 0.005 * f64::from(index))) {
            let widths = scaled(form, published, steps, factor, tilt);
            let Cost { params, macs } = cost(form, widths, steps);
            let off = (params / target.params - 1.0).abs().max((macs / target.macs - 1.0).abs());
            if off < best.0 {
                best = (off, widths);
            }
        }
        if best.0 <= CLOSE {
            break;
        }
    }
    best.1
}

/// The widths times `factor`, and times `tilt` once more for each stage from the middle on (divided before it).
fn scaled(form: &Form, published: [usize; 4], steps: usize, factor: f64, tilt: f64) -> [usize; 4] {
    std::array::from_fn(|level| {
        let grid = match form.levels.encoding {
            // The stem's channels must part into T groups.
            Encoding::Grouped if level == 0 => GRID * steps / greatest_common_divisor(GRID, steps),
            _ => GRID,
        };
        let width = published[level] as f64 * factor * tilt.powf(level as f64 - 1.5);
        ((width / grid as f64).round() as usize).max(1) * grid
    })
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

fn cost(form: &Form, widths: [usize; 4], steps: usize) -> Cost {
    let Form { pairs, kernel, levels } = *form;
    let steps = steps as f64;
    let channels = widths.map(|width| width as f64);
    let gain = if levels.residual == Residual::Plain { 0.0 } else { 1.0 };
    let mut total = Cost { params: 0.0, macs: 0.0 };
    // Weights that act on `pixels`, with `rest` further parameters, in each of `copies` sub-networks.
    let mut add = |copies: f64, weights: f64, rest: f64, pixels: f64| {
        total.params += copies * (weights + rest);
        total.macs += copies * weights * pixels;
    };
    for level in 0..4 {
        let (c, pairs) = (channels[level], pairs[level] as f64);
        let wide = EXPANSION as f64 * c;
        let pixels =
            |level: usize| STRIDES[level + 1..].iter().map(|&(_, s)| (s * s) as f64).product::<f64>();
        let own = pixels(level);
        let depthwise = (kernel * kernel) as f64 * c;
        // First halves of both blocks, and the second half of the first.
        add(2.0 * steps * pairs, depthwise + c * wide, c + 2.0 * wide, own);
        add(steps * pairs, depthwise + c * wide, 3.0 * c + gain * c, own);
        // The shared second half: parameters once, work at every step.
        add(pairs, depthwise + c * wide, 3.0 * c, own);
        add((steps - 1.0) * pairs, depthwise + c * wide, -(depthwise + c * wide), own);
        // The shortcut.
        add(steps, 0.0, c, own);
        if level > 0 {
            let (side, _) = STRIDES[level];
            add(steps, (side * side) as f64 * channels[level - 1] * c, 2.0 * c, own);
        } else if levels.encoding == Encoding::Grouped {
            add(steps, c * c / steps, 2.0 * c, own);
        }
        let sources = match levels.fusion {
            Fusion::None => 0,
            Fusion::Next => 1,
            Fusion::All => 4,
        };
        for source in (level + 1..4).take(sources) {
            add(steps - 1.0, channels[source] * c, 2.0 * c, pixels(source));
        }
    }
    total
}
