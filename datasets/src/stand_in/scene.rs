//! "synth-shapes v1": a picture whose class is its shape, its texture and its companion, and nothing else.
//!
//! Class `y` has shape `y mod 10`, from 100 classes on texture `(y / 10) mod 10`, from 1,000 on companion `(y / 100) mod 10`.
//! Colour, place, rotation, size, background, light, occluders and noise are drawn without regard to the class, so pixels,
//! colours and means carry nothing: linear readers stay at chance, small convolutional nets learn it in minutes.

use keys::{Key, Stream};

use super::{
    object::{FAMILIES, Object, gauss, sigmoid, uniform},
    texture::{TEXTURES, UNLABELLED},
};
use crate::{Split, format::picture::Rgb};

/// Seed of all stand-ins.
const SEED: u64 = 7;

/// How strong the nuisances are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Nuisances {
    rotation: f32,
    place: f32,
    radius: [f32; 2],
    background: f32,
    contrast: [f32; 2],
    distractors: [u32; 2],
    occluder: f64,
    noise: [f32; 2],
}

impl Nuisances {
    /// The default strength: a small net reaches 80 % of ten classes.
    pub(crate) const DEFAULT: Self = Self {
        rotation: 0.45,
        place: 0.12,
        radius: [0.30, 0.42],
        background: 1.0,
        contrast: [0.3, 1.2],
        distractors: [0, 1],
        occluder: 0.15,
        noise: [0.01, 0.03],
    };
}

/// A family of pictures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub(crate) classes: u32,
    pub(crate) side: usize,
    pub(crate) nuisances: Nuisances,
}

type Colour = [f32; 3];

impl Scene {
    /// The class of a sample.
    pub(crate) fn label(&self, index: usize) -> u32 {
        (index % self.classes as usize) as u32
    }

    /// One picture: a function of split and index alone.
    pub(crate) fn picture(&self, split: Split, index: usize) -> Rgb {
        let key = Key::new(SEED).fork("synth-shapes-1").fork(split.name()).index(index as u64);
        let key = key.index(u64::from(self.classes)).index(self.side as u64);
        let stream = &mut key.stream();
        let (side, with) = (self.side, &self.nuisances);
        let colours = [colour(stream), colour(stream)];
        let mut canvas = self.background(stream, colours);
        let middle = std::array::from_fn(|channel| (colours[0][channel] + colours[1][channel]) / 2.0);
        let [few, many] = with.distractors;
        for _ in 0..few + stream.below(many - few + 1) {
            let which = (stream.below(FAMILIES), stream.below(TEXTURES));
            let centre = [uniform(stream, -0.5, 0.5), uniform(stream, -0.5, 0.5)];
            let radius = uniform(stream, 0.06, 0.11);
            self.object(stream, which, centre, radius, middle).paint(&mut canvas, side);
        }
        let label = self.label(index);
        let texture = |stream: &mut Stream| UNLABELLED[stream.below(4) as usize];
        let shape = label % FAMILIES;
        let own = if self.classes >= 100 { label / 10 % TEXTURES } else { texture(stream) };
        let (centre, radius) = if self.classes >= 1_000 {
            let place = near(stream, -0.22, 0.1);
            (place, uniform(stream, 0.2, 0.28))
        } else {
            let place = [(); 2].map(|()| uniform(stream, -with.place, with.place));
            (place, uniform(stream, with.radius[0], with.radius[1]))
        };
        self.object(stream, (shape, own), centre, radius, middle).paint(&mut canvas, side);
        if self.classes >= 1_000 {
            let (place, radius, surface) =
                (near(stream, 0.25, 0.1), uniform(stream, 0.14, 0.2), texture(stream));
            self.object(stream, (label / 100 % FAMILIES, surface), place, radius, middle)
                .paint(&mut canvas, side);
        }
        if stream.chance(with.occluder) {
            self.bar(stream, centre, &mut canvas);
        }
        self.exposed(stream, &canvas)
    }

    fn object(
        &self,
        stream: &mut Stream,
        which: (u32, u32),
        centre: [f32; 2],
        radius: f32,
        background: Colour,
    ) -> Object {
        let amplitude = if self.classes >= 100 { 1.0 } else { 0.6 };
        let colours = contrasting(stream, background);
        Object::draw(stream, which, (centre, radius), (self.nuisances.rotation, amplitude), colours)
    }

    /// Two colours mixed by three waves.
    fn background(&self, stream: &mut Stream, colours: [Colour; 2]) -> Vec<Colour> {
        let turn = std::f32::consts::TAU;
        let gain = uniform(stream, self.nuisances.contrast[0], self.nuisances.contrast[1]);
        let waves: [[f32; 3]; 3] = std::array::from_fn(|_| {
            let [x, y] = [(); 2].map(|()| turn * self.nuisances.background * gauss(stream));
            [x, y, uniform(stream, 0.0, turn)]
        });
        let mut canvas = Vec::with_capacity(self.side * self.side);
        for row in 0..self.side {
            for column in 0..self.side {
                let [x, y] = [column, row].map(|at| self.place(at));
                let sum: f32 = waves.iter().map(|[fx, fy, phase]| libm::cosf(fx * x + fy * y + phase)).sum();
                let mix = sigmoid(gain * sum);
                canvas.push(std::array::from_fn(|channel| {
                    colours[0][channel] + mix * (colours[1][channel] - colours[0][channel])
                }));
            }
        }
        canvas
    }

    /// A straight bar of one colour across the object.
    fn bar(&self, stream: &mut Stream, centre: [f32; 2], canvas: &mut [Colour]) {
        let angle = uniform(stream, 0.0, std::f32::consts::TAU);
        let (half, paint) = (uniform(stream, 0.02, 0.06), colour(stream));
        let (cos, sin) = (libm::cosf(angle), libm::sinf(angle));
        for (at, pixel) in canvas.iter_mut().enumerate() {
            let (x, y) = (self.place(at % self.side) - centre[0], self.place(at / self.side) - centre[1]);
            if (cos * x + sin * y).abs() < half {
                *pixel = paint;
            }
        }
    }

    /// Light, blur, gain and noise, to bytes.
    fn exposed(&self, stream: &mut Stream, canvas: &[Colour]) -> Rgb {
        let side = self.side;
        let (slope, angle) = (2.0 * uniform(stream, 0.0, 0.35), uniform(stream, 0.0, std::f32::consts::TAU));
        let (cos, sin) = (libm::cosf(angle), libm::sinf(angle));
        let blurred = stream.chance(0.5);
        let gain = uniform(stream, 0.8, 1.2);
        let sigma = uniform(stream, self.nuisances.noise[0], self.nuisances.noise[1]);
        let mut image = Rgb::black(side, side);
        for (at, pixel) in image.pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let (row, column) = (at / side, at % side);
            let light = |row: usize| 1.0 + slope * (self.place(column) * cos + self.place(row) * sin);
            for (channel, byte) in pixel.iter_mut().enumerate() {
                let value = |row: usize| canvas[row * side + column][channel] * light(row);
                let value = if blurred {
                    let (above, below) = (row.saturating_sub(1), (row + 1).min(side - 1));
                    (value(above) + 2.0 * value(row) + value(below)) / 4.0
                } else {
                    value(row)
                };
                *byte = ((value * gain + sigma * gauss(stream)) * 255.0 + 0.5) as u8;
            }
        }
        image
    }

    fn place(&self, at: usize) -> f32 {
        (at as f32 + 0.5) / self.side as f32 - 0.5
    }
}

fn colour(stream: &mut Stream) -> Colour {
    [(); 3].map(|()| uniform(stream, 0.0, 1.0))
}

fn near(stream: &mut Stream, x: f32, spread: f32) -> [f32; 2] {
    [x + uniform(stream, -spread, spread), uniform(stream, -spread, spread)]
}

/// Two colours that differ from the background and from each other; drawn again at most 20 times.
fn contrasting(stream: &mut Stream, background: Colour) -> [Colour; 2] {
    let apart = |a: Colour, b: Colour| {
        let square: f32 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        square.sqrt() > 0.35
    };
    let mut drawn = [colour(stream), colour(stream)];
    for _ in 0..20 {
        let [first, second] = drawn;
        if apart(first, background) && apart(second, background) && apart(first, second) {
            break;
        }
        drawn = [colour(stream), colour(stream)];
    }
    drawn
}
