//! A person of few shapes who makes one of eleven gestures: what `sim-gesture11` shows its sensor.
//!
//! Count images tell the arm but not the sense in which it turns, so the set rewards a sense of time.

use std::f64::consts::TAU;

use keys::{Key, Stream};

/// Rows and columns, `[H, W]`.
pub(super) const SIZE: [usize; 2] = [48, 48];

/// Classes in label order. Turning outward is away from the body at the bottom of the circle, on either side.
pub(super) const CLASSES: [&str; 11] = [
    "clap",
    "right wave",
    "left wave",
    "right arm turns outward",
    "right arm turns inward",
    "left arm turns outward",
    "left arm turns inward",
    "arm roll",
    "drums",
    "guitar",
    "other",
];

/// A point or an offset, right and down, in pixels.
type Point = [f64; 2];

/// The angles of one arm, (upper, fore), from straight down, outward positive.
type Arm = [f64; 2];

/// One clip: a subject, a class, and all that differs from clip to clip.
#[derive(Clone, Debug)]
pub struct Clip {
    class: u32,
    /// Upper arm and forearm of the right and of the left arm, of the subject.
    limbs: [f64; 2],
    thickness: f64,
    /// Of head and body against the ground, and of the arms, which have the other sign: an arm is seen before the body too.
    contrast: f64,
    arms_contrast: f64,
    centre: Point,
    scale: f64,
    sway: [f64; 3],
    /// Frequency and phase of the slow and of the fast swing.
    swings: [[f64; 2]; 2],
    amplitude: f64,
    /// Frequency, amplitude and phase of each joint in the last class.
    free: [[f64; 3]; 4],
}

impl Clip {
    /// The clip that a key names, of the subject that another names: limbs and thickness are the subject's.
    #[must_use]
    pub fn draw(class: u32, subject: Key, clip: Key) -> Self {
        let mut subject = subject.stream();
        let mut stream = clip.stream();
        let limbs = [between(&mut subject, 7.0, 9.5), between(&mut subject, 7.0, 9.5)];
        let thickness = between(&mut subject, 1.2, 2.0);
        let mut draw = |low, high| between(&mut stream, low, high);
        let sign = if draw(0.0, 1.0) < 0.5 { -1.0 } else { 1.0 };
        Self {
            class,
            limbs,
            thickness,
            contrast: sign * draw(0.3, 0.8),
            arms_contrast: -sign * draw(0.3, 0.8),
            centre: [24.0 + draw(-4.0, 4.0), 29.0 + draw(-3.0, 3.0)],
            scale: draw(0.85, 1.12),
            sway: [draw(0.2, 0.8), draw(0.2, 0.6), draw(0.0, TAU)],
            swings: [[draw(0.9, 1.5), draw(0.0, TAU)], [draw(1.6, 2.8), draw(0.0, TAU)]],
            amplitude: draw(0.8, 1.2),
            free: std::array::from_fn(|_| [draw(0.3, 2.5), draw(0.3, 1.0), draw(0.0, TAU)]),
        }
    }

    /// The angles of the right and of the left arm at a time.
    fn arms(&self, t_s: f64) -> [Arm; 2] {
        const REST: Arm = [0.25, 0.25];
        let [w, s] = self.swings.map(|[frequency, phase]| TAU * frequency * t_s + phase);
        let am = self.amplitude;
        match self.class {
            0 => [[0.5, -1.9 + 0.55 * am * (1.0 + s.sin())]; 2],
            1 => [[1.2, 2.7 + 0.6 * am * s.sin()], REST],
            2 => [REST, [1.2, 2.7 + 0.6 * am * s.sin()]],
            3 => [[w, w], REST],
            4 => [[-w, -w], REST],
            5 => [REST, [w, w]],
            6 => [REST, [-w, -w]],
            7 => {
                let (sin, cos) = (1.6 * w).sin_cos();
                [[0.4 + 0.35 * sin, -1.6 + 0.7 * cos], [0.4 - 0.35 * sin, -1.6 - 0.7 * cos]]
            }
            8 => {
                let beat = am * s.sin();
                [[0.6 + 0.25 * beat, 1.0 + 0.6 * beat], [0.6 - 0.25 * beat, 1.0 - 0.6 * beat]]
            }
            9 => [[0.5, -1.2 + 0.35 * am * (1.3 * s).sin()], [1.3, 1.9 + 0.05 * w.sin()]],
            _ => {
                let joint = |[frequency, size, phase]: [f64; 3], rest: f64| {
                    rest + size * (TAU * frequency * t_s + phase).sin()
                };
                let [a, b, c, d] = self.free;
                [[joint(a, 0.9), joint(b, 1.2)], [joint(c, 0.9), joint(d, 1.2)]]
            }
        }
    }

    /// Writes what the sensor sees at a time, `[48, 48]` in `[0, 1]`: `0.5 + 0.45 (a n + c m (1 - n))` with n the coverage of
    /// the arms, which are before the person's, m.
    pub fn look(&self, t_ms: f64, target: &mut [f32]) {
        let t_s = t_ms / 1e3;
        let [sway, frequency, phase] = self.sway;
        let centre = [self.centre[0] + sway * (TAU * frequency * t_s + phase).sin(), self.centre[1]];
        let k = self.scale;
        let place = |right: f64, down: f64| [centre[0] + k * right, centre[1] + k * down];
        let mut bones = [([0.0; 2], [0.0; 2]); 4];
        for (arm, ([upper, fore], side)) in self.arms(t_s).into_iter().zip([-1.0, 1.0]).enumerate() {
            let shoulder = place(side * 6.0, -7.5);
            let end = |from: Point, angle: f64, length: f64| {
                [from[0] + side * k * length * angle.sin(), from[1] + k * length * angle.cos()]
            };
            let elbow = end(shoulder, upper, self.limbs[0]);
            bones[2 * arm] = (shoulder, elbow);
            bones[2 * arm + 1] = (elbow, end(elbow, fore, self.limbs[1]));
        }
        let shapes = Shapes {
            head: (place(0.0, -14.5), Edge::of(k * 4.6)),
            bones: bones.map(|(from, to)| Bone::between(from, to)),
            limb: Edge::of(k * self.thickness),
        };
        // An ellipse's distance is near enough to (1 - r) times its shorter axis.
        let [across, down] = [6.2 * k, 11.0 * k];
        let rim = 1.0 + 0.5 / across;
        for (row, line) in target.chunks_exact_mut(SIZE[1]).enumerate() {
            let v = (row as f64 - centre[1]) / down;
            for (column, value) in line.iter_mut().enumerate() {
                let u = (column as f64 - centre[0]) / across;
                let square = u * u + v * v;
                let body =
                    if square < rim * rim { (1.0 - square.sqrt()) * across } else { f64::NEG_INFINITY };
                let [head, arms] = shapes.inside([column as f64, row as f64]);
                let [person, arms] = [body.max(head), arms].map(|inside| (inside + 0.5).clamp(0.0, 1.0));
                let contrast = self.arms_contrast * arms + self.contrast * person * (1.0 - arms);
                *value = (0.5 + 0.45 * contrast) as f32;
            }
        }
    }
}

/// A radius, with the square beyond which a pixel is not touched.
#[derive(Clone, Copy)]
struct Edge {
    radius: f64,
    beyond: f64,
}

impl Edge {
    fn of(radius: f64) -> Self {
        Self { radius, beyond: (radius + 0.5) * (radius + 0.5) }
    }

    /// How far inside a point is by the square of its distance; minus infinity where the pixel is not touched, which spares
    /// most roots.
    fn inside(self, square: f64) -> f64 {
        if square < self.beyond { self.radius - square.sqrt() } else { f64::NEG_INFINITY }
    }
}

/// A line between two points.
#[derive(Clone, Copy)]
struct Bone {
    from: Point,
    along: Point,
    /// One over the square of its length.
    inverse: f64,
}

impl Bone {
    fn between(from: Point, to: Point) -> Self {
        let along = [to[0] - from[0], to[1] - from[1]];
        let square = along[0] * along[0] + along[1] * along[1];
        Self { from, along, inverse: 1.0 / square.max(1e-9) }
    }

    /// Square of a point's distance.
    fn square_to(&self, point: Point) -> f64 {
        let offset = [point[0] - self.from[0], point[1] - self.from[1]];
        let part = ((offset[0] * self.along[0] + offset[1] * self.along[1]) * self.inverse).clamp(0.0, 1.0);
        square([offset[0] - part * self.along[0], offset[1] - part * self.along[1]])
    }
}

/// Head and arms.
struct Shapes {
    head: (Point, Edge),
    bones: [Bone; 4],
    limb: Edge,
}

impl Shapes {
    /// How far inside the head and inside the nearer arm a point is.
    fn inside(&self, point: Point) -> [f64; 2] {
        let (head, edge) = self.head;
        let head = edge.inside(square([point[0] - head[0], point[1] - head[1]]));
        let arms = self.bones.iter().map(|bone| self.limb.inside(bone.square_to(point)));
        [head, arms.fold(f64::NEG_INFINITY, f64::max)]
    }
}

fn square([x, y]: Point) -> f64 {
    x * x + y * y
}

fn between(stream: &mut Stream, low: f64, high: f64) -> f64 {
    low + (high - low) * stream.uniform()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn still(class: u32) -> Clip {
        Clip { sway: [0.0; 3], ..Clip::draw(class, Key::new(1), Key::new(2)) }
    }

    /// Mean image over one turn of the slow swing, and the image at a part of it.
    fn turn(clip: &Clip) -> (Vec<f32>, impl Fn(f64) -> Vec<f32>) {
        let period_ms = 1e3 / clip.swings[0][0];
        let clip = clip.clone();
        let at = move |part: f64| {
            let mut image = vec![0.0; SIZE[0] * SIZE[1]];
            clip.look(part * period_ms, &mut image);
            image
        };
        let mut mean = vec![0.0; SIZE[0] * SIZE[1]];
        for step in 0..180 {
            mean.iter_mut().zip(at(f64::from(step) / 180.0)).for_each(|(mean, value)| *mean += value / 180.0);
        }
        (mean, at)
    }

    fn apart(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum()
    }

    #[test]
    fn the_sense_of_a_turn_is_in_no_image_and_in_no_sum_of_them() {
        let (outward, inward) = (still(3), still(4));
        let ((mean_out, out), (mean_in, into)) = (turn(&outward), turn(&inward));
        assert!(apart(&mean_out, &mean_in) < 0.02 * apart(&mean_out, &vec![0.5; mean_out.len()]));
        // The images of one turn are those of the other, backwards: angle p + x and -(p + x) meet at x = -p / pi.
        let shift = -outward.swings[0][1] / std::f64::consts::PI;
        for part in [0.0, 0.2, 0.7] {
            assert!(apart(&out(part), &into(shift - part)) < 1.0);
            assert!(apart(&out(part), &out(part + 0.25)) > 1.0);
        }
    }

    #[test]
    fn clips_of_one_subject_share_limbs_and_differ_in_the_rest() {
        let clip = |subject, clip| Clip::draw(1, Key::new(subject), Key::new(clip));
        let (a, b, c) = (clip(1, 1), clip(1, 2), clip(2, 1));
        assert_eq!((a.limbs, a.thickness), (b.limbs, b.thickness));
        assert_ne!(a.limbs, c.limbs);
        assert_ne!(a.centre, b.centre);
        assert_eq!(a.centre, c.centre);
    }
}
