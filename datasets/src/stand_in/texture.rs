//! Surfaces: ten patterns in a shape's own coordinates.

use keys::Stream;

use super::object::uniform;

/// Number of patterns.
pub(super) const TEXTURES: u32 = 10;
/// The patterns that are drawn where the texture is not the label: solid twice, gradient, stripes.
pub(super) const UNLABELLED: [u32; 4] = [0, 0, 5, 1];

const GRID: usize = 9;

/// A pattern with its frequency and phases.
pub(super) struct Texture {
    kind: u32,
    frequency: f32,
    phases: [f32; 2],
    grid: [f32; GRID * GRID],
}

impl Texture {
    pub(super) fn draw(kind: u32, stream: &mut Stream) -> Self {
        let frequency = uniform(stream, 0.85, 1.15);
        let phases = [(); 2].map(|()| uniform(stream, 0.0, std::f32::consts::TAU));
        // A loop: an array's `from_fn` is written out 81 times, and costs the compiler a minute.
        let mut grid = [0.0; GRID * GRID];
        grid.iter_mut().for_each(|value| *value = uniform(stream, 0.0, 1.0));
        Self { kind, frequency, phases, grid }
    }

    /// The pattern's value in `[0, 1]`.
    pub(super) fn at(&self, u: f32, v: f32) -> f32 {
        let (f, [p, q]) = (self.frequency, self.phases);
        let on = |yes: bool| f32::from(u8::from(yes));
        let wave = libm::sinf;
        let part = |x: f32| x - x.floor();
        match self.kind {
            // Solid, stripes, checker, dots, rings.
            0 => 0.0,
            1 => on(wave(9.0 * f * u + p) > 0.0),
            2 => on((wave(7.0 * f * u + p) > 0.0) != (wave(7.0 * f * v + q) > 0.0)),
            3 => on(wave(9.0 * f * u + p) * wave(9.0 * f * v + q) > 0.35),
            4 => on(wave(12.0 * f * (u * u + v * v).sqrt() + p) > 0.0),
            // Gradient, value noise, zigzag, bricks, rays.
            5 => (0.5 + 0.6 * u).clamp(0.0, 1.0),
            6 => self.noise(u, v),
            7 => on(wave(9.0 * f * v + 4.4 * (2.0 * part((1.6 * u + p) / 2.0) - 1.0).abs()) > 0.0),
            8 => {
                let height = 3.2 * f * v + p;
                let shift = if part(height.floor() / 2.0) > 0.25 { 0.5 } else { 0.0 };
                on(part(height) < 0.2 || part(2.0 * f * u + shift + q) < 0.12)
            }
            _ => on(wave(6.0 * libm::atan2f(v, u) + p) > 0.0),
        }
    }

    /// Bilinear between the values of a grid over `[-1.3, 1.3]` squared.
    fn noise(&self, u: f32, v: f32) -> f32 {
        let last = (GRID - 1) as f32;
        let place = |x: f32| ((x + 1.3) / 2.6 * last).clamp(0.0, last - 1e-3);
        let (x, y) = (place(u), place(v));
        let (column, row) = (x as usize, y as usize);
        let (dx, dy) = (x - column as f32, y - row as f32);
        let line = |row: usize| {
            let at = row * GRID + column;
            self.grid[at] + dx * (self.grid[at + 1] - self.grid[at])
        };
        line(row) + dy * (line(row + 1) - line(row))
    }
}
