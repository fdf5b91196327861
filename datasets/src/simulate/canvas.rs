//! The image that moves before the sensor: grey planes, blurred, enlarged, sampled between pixels.

/// A grey plane in `[0, 1]`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plane {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) values: Vec<f32>,
}

impl Plane {
    /// The light of an image `[C, H, W]` of bytes: grey as it is, red, green and blue by Rec. 601.
    pub(super) fn light(image: &[u8], [channels, height, width]: [usize; 3]) -> Self {
        let plane = height * width;
        let weights: &[f32] = if channels == 3 { &[0.299, 0.587, 0.114] } else { &[1.0] };
        let mut values = vec![0.0; plane];
        for (weight, channel) in weights.iter().zip(image.chunks_exact(plane)) {
            for (value, byte) in values.iter_mut().zip(channel) {
                *value += weight * f32::from(*byte) / 255.0;
            }
        }
        Self { height, width, values }
    }

    /// With so many pixels of `value` around it.
    pub(super) fn padded(&self, border: usize, value: f32) -> Self {
        let (height, width) = (self.height + 2 * border, self.width + 2 * border);
        let mut values = vec![value; height * width];
        let lines = values.chunks_exact_mut(width).skip(border);
        for (to, from) in lines.zip(self.values.chunks_exact(self.width)) {
            to[border..border + self.width].copy_from_slice(from);
        }
        Self { height, width, values }
    }

    /// Blurred by a Gaussian of `sigma` pixels, cut at four of them; what lies outside counts as 0.
    pub(super) fn blurred(&self, sigma: f32) -> Self {
        let reach = (4.0 * sigma).ceil() as isize;
        let weights: Vec<f32> =
            (-reach..=reach).map(|at| (-(at * at) as f32 / (2.0 * sigma * sigma)).exp()).collect();
        let sum: f32 = weights.iter().sum();
        let pass = |values: &[f32], along_rows: bool| -> Vec<f32> {
            let value = |place: usize| {
                let (row, column) = ((place / self.width) as isize, (place % self.width) as isize);
                let at = |offset: isize| {
                    let (row, column) =
                        if along_rows { (row, column + offset) } else { (row + offset, column) };
                    let inside = (0..self.height as isize).contains(&row)
                        && (0..self.width as isize).contains(&column);
                    if inside { values[row as usize * self.width + column as usize] } else { 0.0 }
                };
                (-reach..=reach).zip(&weights).map(|(offset, weight)| weight / sum * at(offset)).sum()
            };
            (0..values.len()).map(value).collect()
        };
        Self { values: pass(&pass(&self.values, true), false), ..*self }
    }

    /// Enlarged by a cubic filter (Keys, a = -0.5), edges repeated, cut to `[0, 1]`.
    pub(super) fn enlarged(&self, height: usize, width: usize) -> Self {
        let cubic = |distance: f32| {
            let d = distance.abs();
            if d < 1.0 {
                (1.5 * d - 2.5) * d * d + 1.0
            } else if d < 2.0 {
                ((-0.5 * d + 2.5) * d - 4.0) * d + 2.0
            } else {
                0.0
            }
        };
        // The four source pixels and weights of each target pixel.
        let taps = |from: usize, to: usize| -> Vec<[(usize, f32); 4]> {
            let tap = |at: usize| {
                let centre = (at as f32 + 0.5) * from as f32 / to as f32 - 0.5;
                let first = centre.floor() as isize - 1;
                std::array::from_fn(|offset| {
                    let place = first + offset as isize;
                    (place.clamp(0, from as isize - 1) as usize, cubic(centre - place as f32))
                })
            };
            (0..to).map(tap).collect()
        };
        let (rows, columns) = (taps(self.height, height), taps(self.width, width));
        let mut values = Vec::with_capacity(height * width);
        for row in &rows {
            for column in &columns {
                let line = |from: usize| -> f32 {
                    column.iter().map(|(at, weight)| weight * self.values[from * self.width + at]).sum()
                };
                let value: f32 = row.iter().map(|&(at, weight)| weight * line(at)).sum();
                values.push(value.clamp(0.0, 1.0));
            }
        }
        Self { height, width, values }
    }

    /// Writes the plane moved `right` and `down` by parts of pixels onto one of its own size; `outside` comes into view.
    pub(super) fn moved(&self, [right, down]: [f64; 2], outside: f32, target: &mut [f32]) {
        // All pixels lie alike between their sources, so the four weights are those of all.
        let (whole_x, whole_y) = ((-right).floor(), (-down).floor());
        let (part_x, part_y) = ((-right - whole_x) as f32, (-down - whole_y) as f32);
        let (whole_x, whole_y) = (whole_x as isize, whole_y as isize);
        let at = |row: isize, column: isize| {
            let inside =
                (0..self.height as isize).contains(&row) && (0..self.width as isize).contains(&column);
            if inside { self.values[row as usize * self.width + column as usize] } else { outside }
        };
        for (row, line) in (0..).zip(target.chunks_exact_mut(self.width)) {
            let row = row + whole_y;
            let mut left = at(row, whole_x) + part_y * (at(row + 1, whole_x) - at(row, whole_x));
            for (column, value) in (whole_x + 1..).zip(line) {
                let (upper, lower) = (at(row, column), at(row + 1, column));
                let next = upper + part_y * (lower - upper);
                *value = left + part_x * (next - left);
                left = next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Plane {
        Plane { height: 2, width: 3, values: vec![0.0, 0.1, 0.2, 0.3, 0.4, 0.5] }
    }

    #[test]
    fn moves_by_whole_and_half_pixels_are_exact() {
        let moved = |by| {
            let mut target = vec![9.0; 6];
            ramp().moved(by, 1.0, &mut target);
            target
        };
        assert_eq!(moved([0.0, 0.0]), ramp().values);
        assert_eq!(moved([1.0, 0.0]), [1.0, 0.0, 0.1, 1.0, 0.3, 0.4]);
        assert_eq!(moved([0.0, -1.0]), [0.3, 0.4, 0.5, 1.0, 1.0, 1.0]);
        let half = moved([-0.5, 0.0]);
        assert!(half.iter().zip([0.05, 0.15, 0.6, 0.35, 0.45, 0.75]).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn blur_and_enlargement_keep_what_they_must() {
        let mut dot = vec![0.0; 81];
        dot[40] = 1.0;
        let blurred = Plane { height: 9, width: 9, values: dot }.blurred(0.55);
        assert!((blurred.values.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(blurred.values[40] > blurred.values[41] && blurred.values[41] == blurred.values[31]);
        let even = Plane { height: 28, width: 28, values: vec![0.25; 784] }.enlarged(40, 40);
        assert!(even.values.iter().all(|value| (value - 0.25).abs() < 1e-6));
        let colour = Plane::light(&[255, 0, 255], [3, 1, 1]);
        assert!((colour.values[0] - 0.413).abs() < 1e-6);
    }
}
