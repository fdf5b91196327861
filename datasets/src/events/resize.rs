//! Frames of a smaller size: by bins, by Pillow's bilinear filter, and by the odd path of OTTT's and SLTT's code.

use serde::{Deserialize, Serialize};

use crate::DataError;

/// How frames of the sensor's size become frames of the network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// Not at all; the sizes must be equal.
    None,
    /// Each event moves to column `floor(x * w / W)`, row `floor(y * h / H)`: counts stay whole and their sum is kept.
    Bins,
    /// Each channel by a bilinear filter as wide as the reduction (Pillow's `BILINEAR`), in floating point.
    Bilinear,
    /// What OTTT's and SLTT's released code does at 48x48. `ToPILImage` casts counts times 255 to bytes, so that n
    /// becomes `(-n) mod 256`; two channels become an image of light and alpha; and Pillow resizes it with light
    /// multiplied by alpha, so OFF events vanish where there are no ON events nearby. The result is divided by 255.
    OtttFaithful,
}

impl Resize {
    /// Refuses sizes that this way does not lead between.
    ///
    /// # Errors
    /// When a side is 0 or above 4,096, or the sizes differ without a resize.
    pub fn check(self, from: [usize; 2], to: [usize; 2]) -> Result<(), DataError> {
        if let Some(side) = from.into_iter().chain(to).find(|side| !(1..=4096).contains(side)) {
            return Err(DataError::event_choice("size", "sides must be in 1..=4096", side));
        }
        if self == Self::None && from != to {
            let rule = "without a resize, frames must have the sensor's size";
            return Err(DataError::event_choice("size", rule, format!("{to:?} of {from:?}")));
        }
        Ok(())
    }

    /// Resizes counts `[T, 2, H, W]` to `[T, 2, h, w]`.
    ///
    /// # Errors
    /// As [`Resize::check`].
    pub fn apply(self, frames: Vec<f32>, from: [usize; 2], to: [usize; 2]) -> Result<Vec<f32>, DataError> {
        self.check(from, to)?;
        let plane = from[0] * from[1];
        match self {
            Self::None => Ok(frames),
            Self::Bins => Ok(frames.chunks_exact(plane).flat_map(|plane| bins(plane, from, to)).collect()),
            Self::Bilinear => {
                let kernels = [Kernel::new(from[0], to[0]), Kernel::new(from[1], to[1])];
                Ok(frames.chunks_exact(plane).flat_map(|plane| bilinear(plane, from, &kernels)).collect())
            }
            Self::OtttFaithful => {
                let kernels = [Kernel::new(from[0], to[0]), Kernel::new(from[1], to[1])];
                Ok(frames
                    .chunks_exact(2 * plane)
                    .flat_map(|pair| light_alpha(pair, from, &kernels))
                    .collect())
            }
        }
    }
}

fn bins(plane: &[f32], [height, width]: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let mut small = vec![0.0; to[0] * to[1]];
    for (row, line) in plane.chunks_exact(width).enumerate() {
        let target = &mut small[row * to[0] / height * to[1]..][..to[1]];
        for (column, value) in line.iter().enumerate() {
            target[column * to[1] / width] += value;
        }
    }
    small
}

/// The weights of one direction, an output pixel each: the first input pixel, and weights that sum to 1.
struct Kernel(Vec<(usize, Vec<f64>)>);

impl Kernel {
    /// Pillow's coefficients (`Resample.c`, `precompute_coeffs`, support 1): a triangle of half-width
    /// `max(1, input / output)`.
    fn new(input: usize, output: usize) -> Self {
        let scale = input as f64 / output as f64;
        let spread = scale.max(1.0);
        let pixel = |at: usize| {
            let centre = (at as f64 + 0.5) * scale;
            // Truncation towards 0, as the C casts do; a negative begin becomes 0 either way.
            let begin = (centre - spread + 0.5) as usize;
            let end = ((centre + spread + 0.5) as usize).min(input);
            let inverse = 1.0 / spread;
            let triangle = |place: usize| {
                let distance = ((place as f64 - centre + 0.5) * inverse).abs();
                (1.0 - distance).max(0.0)
            };
            let weights: Vec<f64> = (begin..end).map(triangle).collect();
            let sum: f64 = weights.iter().sum();
            let weights = weights.iter().map(|weight| if sum == 0.0 { *weight } else { weight / sum });
            (begin, weights.collect())
        };
        Self((0..output).map(pixel).collect())
    }

    /// The weights as Pillow has them for bytes: in units of 2^-22, rounded.
    fn fixed(&self) -> Vec<(usize, Vec<i32>)> {
        let unit = f64::from(1 << PRECISION);
        let fixed = |weights: &Vec<f64>| weights.iter().map(|weight| (0.5 + weight * unit) as i32).collect();
        self.0.iter().map(|(begin, weights)| (*begin, fixed(weights))).collect()
    }
}

/// Bits behind the point of Pillow's weights for bytes.
const PRECISION: u32 = 32 - 8 - 2;

fn bilinear(plane: &[f32], [height, width]: [usize; 2], [rows, columns]: &[Kernel; 2]) -> Vec<f32> {
    let mut across = vec![0.0_f64; height * columns.0.len()];
    for (line, target) in plane.chunks_exact(width).zip(across.chunks_exact_mut(columns.0.len())) {
        for ((begin, weights), target) in columns.0.iter().zip(target) {
            *target = weights.iter().zip(&line[*begin..]).map(|(w, value)| w * f64::from(*value)).sum();
        }
    }
    let mut small = Vec::with_capacity(rows.0.len() * columns.0.len());
    for (begin, weights) in &rows.0 {
        for column in 0..columns.0.len() {
            let value = |(row, weight): (usize, &f64)| weight * across[row * columns.0.len() + column];
            small.push((*begin..).zip(weights).map(value).sum::<f64>() as f32);
        }
    }
    small
}

/// One frame `[2, H, W]` as Pillow resizes an image of mode LA: `[2, h, w]` in `[0, 1]`.
fn light_alpha(frame: &[f32], size: [usize; 2], kernels: &[Kernel; 2]) -> Vec<f32> {
    let wrapped = |&count: &f32| ((count as u64).wrapping_mul(255) & 0xFF) as u8;
    let (light, alpha) = frame.split_at(size[0] * size[1]);
    let alpha: Vec<u8> = alpha.iter().map(wrapped).collect();
    let multiplied: Vec<u8> = light.iter().map(wrapped).zip(&alpha).map(|(l, &a)| multiply(l, a)).collect();
    let (light, alpha) = (resize_bytes(&multiplied, size, kernels), resize_bytes(&alpha, size, kernels));
    let divide = |(&l, &a): (&u8, &u8)| match a {
        0 | 255 => l,
        _ => (255 * u32::from(l) / u32::from(a)).min(255) as u8,
    };
    let light: Vec<u8> = light.iter().zip(&alpha).map(divide).collect();
    light.iter().chain(&alpha).map(|&byte| f32::from(byte) / 255.0).collect()
}

/// Pillow's `MULDIV255`: the product over 255, rounded.
fn multiply(a: u8, b: u8) -> u8 {
    let product = u32::from(a) * u32::from(b) + 128;
    ((product + (product >> 8)) >> 8) as u8
}

/// Pillow's two passes over bytes, rounded to bytes between them.
fn resize_bytes(plane: &[u8], [height, width]: [usize; 2], [rows, columns]: &[Kernel; 2]) -> Vec<u8> {
    const HALF: i32 = 1 << (PRECISION - 1);
    let byte = |sum: i32| (sum >> PRECISION).clamp(0, 255) as u8;
    let (rows, columns) = (rows.fixed(), columns.fixed());
    let mut across = Vec::with_capacity(height * columns.len());
    for line in plane.chunks_exact(width) {
        for (begin, weights) in &columns {
            let terms = weights.iter().zip(&line[*begin..]).map(|(w, &value)| w * i32::from(value));
            across.push(byte(terms.fold(HALF, |sum, term| sum + term)));
        }
    }
    let mut small = Vec::with_capacity(rows.len() * columns.len());
    for (begin, weights) in &rows {
        for column in 0..columns.len() {
            let terms =
                (*begin..).zip(weights).map(|(row, w)| w * i32::from(across[row * columns.len() + column]));
            small.push(byte(terms.fold(HALF, |sum, term| sum + term)));
        }
    }
    small
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_keep_the_sum_and_the_polarity() {
        let frames: Vec<f32> = (0..2 * 2 * 8 * 8).map(|value| (value % 5) as f32).collect();
        let small = Resize::Bins.apply(frames.clone(), [8, 8], [3, 3]).unwrap();
        assert_eq!(small.len(), 2 * 2 * 3 * 3);
        for (large, small) in frames.chunks(64).zip(small.chunks(9)) {
            assert_eq!(large.iter().sum::<f32>(), small.iter().sum::<f32>());
        }
        assert_eq!(
            small[0],
            frames[0]
                + frames[1]
                + frames[2]
                + frames[8]
                + frames[9]
                + frames[10]
                + frames[16]
                + frames[17]
                + frames[18]
        );
    }

    #[test]
    fn bilinear_keeps_an_even_plane_and_the_same_size() {
        let even = Resize::Bilinear.apply(vec![3.0; 2 * 128 * 128], [128, 128], [48, 48]).unwrap();
        assert!(even.iter().all(|value| (value - 3.0).abs() < 1e-6));
        let frames: Vec<f32> = (0..2 * 5 * 5).map(|value| value as f32).collect();
        assert_eq!(Resize::Bilinear.apply(frames.clone(), [5, 5], [5, 5]).unwrap(), frames);
    }

    #[test]
    fn the_faithful_path_wraps_counts_and_loses_off_events_without_on_events() {
        let resize = |off: f32, on: f32| {
            let frames = [vec![off; 64], vec![on; 64]].concat();
            Resize::OtttFaithful.apply(frames, [8, 8], [3, 3]).unwrap()
        };
        // One event becomes 255, two 254.
        assert_eq!(resize(0.0, 1.0), [vec![0.0; 9], vec![1.0; 9]].concat());
        assert_eq!(resize(0.0, 2.0)[9], 254.0 / 255.0);
        assert_eq!(resize(1.0, 1.0), vec![1.0; 18]);
        // OFF alone vanishes, and so do 256 events.
        assert_eq!(resize(1.0, 0.0), vec![0.0; 18]);
        assert_eq!(resize(0.0, 256.0), vec![0.0; 18]);
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        assert!(Resize::None.apply(vec![0.0; 8], [2, 2], [1, 1]).is_err());
        assert!(Resize::Bins.apply(vec![0.0; 8], [2, 2], [0, 1]).is_err());
        assert!(Resize::Bins.apply(vec![0.0; 8], [2, 2], [1 << 20, 1]).is_err());
    }
}
