//! How the image moves before the sensor: legs of minimum jerk.

use serde::{Deserialize, Serialize};

/// One movement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leg {
    /// Pixels to the right and down.
    pub by: [f64; 2],
    /// When it begins, in milliseconds.
    pub begin_ms: f64,
    /// How long it takes.
    pub length_ms: f64,
}

/// A path of the image's upper left corner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Path {
    /// Where it begins, right and down.
    pub start: [f64; 2],
    /// The movements.
    pub legs: Vec<Leg>,
}

impl Path {
    /// The three saccades of N-MNIST, fitted to the centroids of its training recordings.
    #[must_use]
    pub fn nmnist() -> Self {
        let moves = [[2.55, 5.05], [2.55, -5.05], [-5.1, 0.0]];
        let leg = |(saccade, by): (u32, [f64; 2])| Leg {
            by,
            begin_ms: 105.0 * f64::from(saccade) + 5.5,
            length_ms: 88.0,
        };
        Self { start: [-2.75, -1.55], legs: (0..).zip(moves).map(leg).collect() }
    }

    /// Loops around a diamond of `radius` pixels, `leg_ms` an edge.
    #[must_use]
    pub fn diamond(loops: u32, radius: f64, leg_ms: f64) -> Self {
        let edges = [[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]];
        let leg = |place: u32| Leg {
            by: edges[place as usize % 4].map(|edge| edge * radius),
            begin_ms: leg_ms * f64::from(place),
            length_ms: leg_ms,
        };
        Self { start: [0.0, -radius], legs: (0..4 * loops).map(leg).collect() }
    }

    /// Where the image is at a time.
    #[must_use]
    pub fn at(&self, t_ms: f64) -> [f64; 2] {
        self.legs.iter().fold(self.start, |[x, y], leg| {
            let u = ((t_ms - leg.begin_ms) / leg.length_ms).clamp(0.0, 1.0);
            // Minimum jerk: Flash & Hogan, "The coordination of arm movements", 1985.
            let part = u * u * u * (10.0 - 15.0 * u + 6.0 * u * u);
            [x + part * leg.by[0], y + part * leg.by[1]]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diamond_returns_and_its_corners_are_where_they_belong() {
        let path = Path::diamond(4, 4.0, 80.0);
        let close = |t, [x, y]: [f64; 2]| {
            let [px, py] = path.at(t);
            assert!((px - x).abs() < 1e-9 && (py - y).abs() < 1e-9, "{t}: {px} {py}");
        };
        close(0.0, [0.0, -4.0]);
        close(80.0, [4.0, 0.0]);
        close(160.0, [0.0, 4.0]);
        close(240.0, [-4.0, 0.0]);
        close(1_280.0, [0.0, -4.0]);
    }
}
