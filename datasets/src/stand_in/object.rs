//! One shape on the picture: outline by a signed distance, surface by a texture.

use keys::Stream;

use super::texture::Texture;

/// Number of outlines.
pub(super) const FAMILIES: u32 = 10;

/// A shape, placed.
pub(super) struct Object {
    family: u32,
    pub(super) centre: [f32; 2],
    pub(super) radius: f32,
    cos: f32,
    sin: f32,
    aspect: f32,
    /// The outline's wobble at 2, 3, 4 and 5 waves around: amplitude times cosine and sine of the phase.
    wobble: [[f32; 2]; 4],
    texture: Texture,
    colours: [[f32; 3]; 2],
    /// How far the second colour is mixed in.
    amplitude: f32,
}

impl Object {
    /// A shape of a family; all that is not the label is drawn.
    pub(super) fn draw(
        stream: &mut Stream,
        (family, texture): (u32, u32),
        (centre, radius): ([f32; 2], f32),
        (rotation, amplitude): (f32, f32),
        colours: [[f32; 3]; 2],
    ) -> Self {
        let angle = uniform(stream, -rotation, rotation);
        let aspect = libm::expf(uniform(stream, -0.2, 0.2));
        let wobble = std::array::from_fn(|_| {
            let (size, phase) = (0.03 * gauss(stream), uniform(stream, 0.0, std::f32::consts::TAU));
            [size * libm::cosf(phase), size * libm::sinf(phase)]
        });
        let texture = Texture::draw(texture, stream);
        let (cos, sin) = (libm::cosf(angle), libm::sinf(angle));
        Self { family, centre, radius, cos, sin, aspect, wobble, texture, colours, amplitude }
    }

    /// Puts the shape on a picture of `side` pixels, coordinates in `[-0.5, 0.5)`.
    pub(super) fn paint(&self, canvas: &mut [[f32; 3]], side: usize) {
        let size = side as f32;
        // Wobble, aspect and the corners of a square reach no farther.
        let reach = self.radius * 1.8 + 2.0 / size;
        let range = |centre: f32| {
            let low = ((centre - reach + 0.5) * size).max(0.0) as usize;
            low..(((centre + reach + 0.5) * size).max(0.0) as usize + 1).min(side)
        };
        for row in range(self.centre[1]) {
            for column in range(self.centre[0]) {
                let x = (column as f32 + 0.5) / size - 0.5 - self.centre[0];
                let y = (row as f32 + 0.5) / size - 0.5 - self.centre[1];
                let (u, v) = self.own(x, y);
                let cover = sigmoid(2.2 * self.radius * size * distance(self.family, u, v));
                if cover < 1e-3 {
                    continue;
                }
                let mix = self.amplitude * self.texture.at(u, v);
                let pixel = &mut canvas[row * side + column];
                for (channel, value) in pixel.iter_mut().enumerate() {
                    let [first, second] = self.colours.map(|colour| colour[channel]);
                    *value += cover * (first + mix * (second - first) - *value);
                }
            }
        }
    }

    /// A place in the shape's own coordinates.
    fn own(&self, x: f32, y: f32) -> (f32, f32) {
        let u = (self.cos * x + self.sin * y) / (self.radius * self.aspect);
        let v = (self.cos * y - self.sin * x) * self.aspect / self.radius;
        let angle = libm::atan2f(v, u);
        let waves = self.wobble.iter().zip(2_u8..);
        let wobble: f32 =
            waves.map(|([size, phase], n)| size * libm::cosf(f32::from(n) * angle + phase)).sum();
        (u * (1.0 + wobble), v * (1.0 + wobble))
    }
}

/// Signed distance to the outline of a family, positive inside.
fn distance(family: u32, u: f32, v: f32) -> f32 {
    let (r, a, b) = (u.hypot_exact(v), u.abs(), v.abs());
    match family {
        // Disc, square, triangle, star, ring.
        0 => 0.9 - r,
        1 => 0.8 - a.max(b),
        2 => 0.55 - v.max(0.866 * a - 0.5 * v),
        3 => {
            let turn = direction(u, v);
            let square = times(turn, turn);
            0.95 * (0.62 + 0.38 * times(times(square, square), turn)[0]) - r
        }
        4 => 0.22 - (r - 0.72).abs(),
        // Cross, crescent, hexagon, heart, three bars.
        5 => (0.3 - a).min(0.95 - b).max((0.95 - a).min(0.3 - b)),
        6 => (0.92 - r).min((u - 0.45).hypot_exact(v) - 0.72),
        7 => 0.82 - a.max(0.5 * a + 0.866 * b),
        8 => {
            let (x, y) = (1.15 * u, 0.1 - 1.15 * v);
            let ball = x * x + y * y - 0.6;
            1.6 * x * x * y * y * y - ball * ball * ball
        }
        _ => [-0.6, 0.0, 0.6]
            .map(|middle| (0.16 - (u - middle).abs()).min(0.85 - b))
            .into_iter()
            .fold(-9.0, f32::max),
    }
}

/// The unit vector towards a place; that of the middle is to the right.
fn direction(u: f32, v: f32) -> [f32; 2] {
    let r = u.hypot_exact(v);
    if r > 1e-6 { [u / r, v / r] } else { [1.0, 0.0] }
}

/// The product of two complex numbers.
fn times([a, b]: [f32; 2], [c, d]: [f32; 2]) -> [f32; 2] {
    [a * c - b * d, a * d + b * c]
}

/// The length of a vector from operations that are the same bits on every machine.
trait Hypotenuse {
    fn hypot_exact(self, other: Self) -> Self;
}

impl Hypotenuse for f32 {
    fn hypot_exact(self, other: Self) -> Self {
        (self * self + other * other).sqrt()
    }
}

pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

#[inline(never)]
pub(super) fn uniform(stream: &mut Stream, low: f32, high: f32) -> f32 {
    low + (high - low) * stream.uniform() as f32
}

/// A number of mean 0 and deviation 1: the sum of four uniforms, which no machine's logarithm can change.
#[inline(never)]
pub(super) fn gauss(stream: &mut Stream) -> f32 {
    let sum: u32 = [stream.bits(), stream.bits()].iter().map(|bits| (bits & 0xFFFF) + (bits >> 16)).sum();
    // Four uniforms on 0..65536 have deviation 65536 / sqrt(3).
    (sum as f32 - 131_070.0) * (1.732_050_8 / 65_536.0)
}
