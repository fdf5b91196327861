//! The pixels of an event camera.

use keys::{Key, Stream};
use serde::{Deserialize, Serialize};

use crate::{DataError, events::Event};

/// Entries of the tables of logarithm and low-pass over intensity.
const TABLE: usize = 4096;

/// The parameters of a sensor whose pixels see intensities in `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensor {
    /// Rows and columns, `[H, W]`.
    pub size: [usize; 2],
    /// Mean contrast of an event, in units of the natural logarithm of intensity.
    pub threshold: f32,
    /// Standard deviation of each pixel's two thresholds around it; none goes below 0.01.
    pub threshold_sigma: f32,
    /// Time constant of the low-pass in milliseconds at intensity 1: `tau / (I + 0.05)` elsewhere.
    pub tau_ms: f32,
    /// Time after an event in which a pixel sees nothing, in microseconds. It then starts from the present level.
    pub refractory_us: f32,
    /// Background events of a pixel a second, of fair polarity.
    pub noise_hz: f32,
    /// Intensity of black.
    pub black: f32,
    /// Simulated time between two looks, in microseconds.
    pub step_us: u32,
}

impl Sensor {
    /// The preset fitted to N-MNIST's ATIS.
    pub const NMNIST: Self = Self {
        size: [34, 34],
        threshold: 0.22,
        threshold_sigma: 0.075,
        tau_ms: 0.4,
        refractory_us: 750.0,
        noise_hz: 0.43,
        black: 0.11,
        step_us: 500,
    };

    /// Refuses what would not end or not fit.
    ///
    /// # Errors
    /// When a parameter is out of its range.
    pub fn check(&self) -> Result<(), DataError> {
        let rule = "sides must be in 1..=1024, the step in 100..=100000 us, the rest finite and not negative, black in 0.001..=1, threshold and tau above 0";
        let rest = [self.threshold_sigma, self.refractory_us, self.noise_hz];
        let fits = self.size.iter().all(|side| (1..=1024).contains(side))
            && (100..=100_000).contains(&self.step_us)
            && rest.iter().all(|value| value.is_finite() && *value >= 0.0)
            && [self.threshold, self.tau_ms].iter().all(|value| value.is_finite() && *value > 0.0)
            && self.noise_hz <= 10_000.0
            && (0.001..=1.0).contains(&self.black);
        if fits { Ok(()) } else { Err(DataError::event_choice("sensor", rule, format!("{self:?}"))) }
    }

    /// What the sensor reports of `steps` looks. `look(t_ms, intensities)` writes `[H, W]` in `[0, 1]` and says whether
    /// anything changed since the look before; the first is at time 0 and gives the level that pixels start from.
    ///
    /// The events are in the order of time, then row, column and polarity.
    ///
    /// # Errors
    /// As [`Sensor::check`].
    pub fn record(
        &self,
        steps: u32,
        key: Key,
        mut look: impl FnMut(f64, &mut [f32]) -> bool,
    ) -> Result<Vec<Event>, DataError> {
        self.check()?;
        let step_ms = f64::from(self.step_us) / 1e3;
        let mut intensity = vec![0.0_f32; self.size[0] * self.size[1]];
        let mut pixels = Pixels::new(self, key);
        look(0.0, &mut intensity);
        pixels.expose(self, &intensity);
        pixels.settle();
        let mut noise = Noise::new(self, key);
        for step in 1..=steps {
            if look(f64::from(step) * step_ms, &mut intensity) {
                pixels.expose(self, &intensity);
            }
            let end_us = f64::from(step) * f64::from(self.step_us);
            noise.until(end_us, |at_us, place, on| pixels.background(self, place, at_us, on));
            pixels.step(self, end_us);
        }
        let mut events = pixels.events;
        events.sort_by_key(|event| (event.t, event.y, event.x, event.p));
        Ok(events)
    }
}

/// One pixel.
#[derive(Clone, Copy)]
struct Pixel {
    /// Intensity that falls on it; NaN before the first.
    intensity: f32,
    on: f32,
    off: f32,
    /// Logarithm of the intensity that falls on it.
    seen: f32,
    /// How far the low-pass goes towards that in a step.
    pace: f32,
    /// Behind the low-pass.
    level: f32,
    /// The level at which it last began to look.
    memory: f32,
    /// When it sees again, in microseconds; `SEES` while it does.
    blind_until: f64,
}

const SEES: f64 = f64::NEG_INFINITY;

struct Pixels {
    pixels: Vec<Pixel>,
    logarithm: Vec<f32>,
    low_pass: Vec<f32>,
    events: Vec<Event>,
}

impl Pixels {
    fn new(sensor: &Sensor, key: Key) -> Self {
        let mut stream = key.fork("thresholds").stream();
        let mut threshold = || (sensor.threshold + sensor.threshold_sigma * stream.normal() as f32).max(0.01);
        let mut pixel = || Pixel {
            intensity: f32::NAN,
            on: threshold(),
            off: threshold(),
            seen: 0.0,
            pace: 0.0,
            level: 0.0,
            memory: 0.0,
            blind_until: SEES,
        };
        let pixels = (0..sensor.size[0] * sensor.size[1]).map(|_| pixel()).collect();
        let step_ms = f64::from(sensor.step_us) / 1e3;
        let intensity = |entry: usize| entry as f64 / (TABLE - 1) as f64;
        // Below a thousandth the logarithm would leave for infinity.
        let logarithm = (0..TABLE).map(|entry| intensity(entry).max(1e-3).ln() as f32).collect();
        let pace = |entry| 1.0 - (-step_ms * (intensity(entry) + 0.05) / f64::from(sensor.tau_ms)).exp();
        let low_pass = (0..TABLE).map(|entry| pace(entry) as f32).collect();
        Self { pixels, logarithm, low_pass, events: Vec::new() }
    }

    /// New intensities, black lifted to the sensor's.
    fn expose(&mut self, sensor: &Sensor, intensity: &[f32]) {
        let lookup = |table: &[f32], place: f32| {
            let entry = (place as usize).min(TABLE - 2);
            let part = place - entry as f32;
            table[entry] + part * (table[entry + 1] - table[entry])
        };
        for (pixel, &value) in self.pixels.iter_mut().zip(intensity) {
            // Most of a scene is ground, and stays.
            if value == pixel.intensity {
                continue;
            }
            pixel.intensity = value;
            let value = sensor.black + (1.0 - sensor.black) * value.clamp(0.0, 1.0);
            let place = value * (TABLE - 1) as f32;
            pixel.seen = lookup(&self.logarithm, place);
            pixel.pace = lookup(&self.low_pass, place);
        }
    }

    fn settle(&mut self) {
        for pixel in &mut self.pixels {
            pixel.level = pixel.seen;
            pixel.memory = pixel.seen;
        }
    }

    /// One step of all pixels, up to `end_us`.
    fn step(&mut self, sensor: &Sensor, end_us: f64) {
        let step_us = f64::from(sensor.step_us);
        for (place, pixel) in self.pixels.iter_mut().enumerate() {
            let before = pixel.level;
            pixel.level = before + (pixel.seen - before) * pixel.pace;
            if pixel.blind_until > SEES {
                if pixel.blind_until <= end_us {
                    pixel.blind_until = SEES;
                    pixel.memory = pixel.level;
                }
                continue;
            }
            let difference = pixel.level - pixel.memory;
            let crossed = if difference >= pixel.on {
                pixel.on
            } else if difference <= -pixel.off {
                -pixel.off
            } else {
                continue;
            };
            // Where the straight line between the two looks crosses the threshold.
            let part = (crossed - (before - pixel.memory)) / (pixel.level - before);
            let part = if part.is_finite() { f64::from(part.clamp(0.0, 1.0)) } else { 1.0 };
            // The dead time runs from the look, which is what the preset was fitted with.
            pixel.blind_until = end_us + f64::from(sensor.refractory_us);
            self.events.push(event(sensor, place, end_us - step_us + part * step_us, crossed > 0.0));
        }
    }

    /// A background event, unless the pixel is blind.
    fn background(&mut self, sensor: &Sensor, place: usize, at_us: f64, on: bool) {
        if let Some(pixel) = self.pixels.get_mut(place).filter(|pixel| pixel.blind_until == SEES) {
            pixel.blind_until = at_us + f64::from(sensor.refractory_us);
            self.events.push(event(sensor, place, at_us, on));
        }
    }
}

fn event(sensor: &Sensor, place: usize, at_us: f64, p: bool) -> Event {
    let (y, x) = (place / sensor.size[1], place % sensor.size[1]);
    Event { t: at_us as i64, x: x as u16, y: y as u16, p }
}

/// Background events: one Poisson process over all pixels, whose gaps are exponential.
struct Noise {
    stream: Stream,
    next_us: f64,
    mean_gap_us: f64,
    pixels: u32,
}

impl Noise {
    fn new(sensor: &Sensor, key: Key) -> Self {
        let pixels = (sensor.size[0] * sensor.size[1]) as u32;
        let mean_gap_us = 1e6 / (f64::from(sensor.noise_hz) * f64::from(pixels));
        let mut noise = Self { stream: key.fork("noise").stream(), next_us: 0.0, mean_gap_us, pixels };
        noise.gap();
        noise
    }

    fn gap(&mut self) {
        // At rate 0 the mean is infinite, and so is the first gap.
        self.next_us += if self.mean_gap_us.is_finite() {
            -(1.0 - self.stream.uniform()).ln() * self.mean_gap_us
        } else {
            f64::INFINITY
        };
    }

    fn until(&mut self, end_us: f64, mut emit: impl FnMut(f64, usize, bool)) {
        while self.next_us < end_us {
            let (place, on) = (self.stream.below(self.pixels) as usize, self.stream.chance(0.5));
            emit(self.next_us, place, on);
            self.gap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Sensor =
        Sensor { size: [1, 2], threshold_sigma: 0.0, noise_hz: 0.0, black: 0.1, ..Sensor::NMNIST };

    #[test]
    fn a_still_scene_makes_no_event_and_noise_comes_at_its_rate() {
        let still = |sensor: Sensor| {
            let look = |_: f64, target: &mut [f32]| {
                target.fill(0.5);
                false
            };
            sensor.record(2_000, Key::new(1), look).unwrap()
        };
        assert!(still(QUIET).is_empty());
        let events = still(Sensor { size: [30, 30], noise_hz: 2.0, ..QUIET });
        // 900 pixels, 1 s: 1,800 expected with a deviation of 42; dead time takes a few away. Five deviations.
        assert!((1_590..=2_010).contains(&events.len()), "{}", events.len());
    }

    #[test]
    fn a_step_of_light_is_as_many_events_as_thresholds_fit_in() {
        // ln(1 / 0.1) = 2.30 at threshold 0.3: seven events if none is lost to dead time, so light rises slowly.
        let sensor = Sensor { threshold: 0.3, refractory_us: 0.0, ..QUIET };
        let look = |t_ms: f64, target: &mut [f32]| {
            let logarithm = (0.1_f64.ln() * (1.0 - t_ms / 500.0).max(0.0)).exp();
            target[0] = ((logarithm - 0.1) / 0.9) as f32;
            target[1] = 0.5;
            true
        };
        let events = sensor.record(1_200, Key::new(1), look).unwrap();
        assert!(events.iter().all(|event| event.p && event.x == 0));
        assert!((6..=7).contains(&events.len()), "{events:?}");
        assert!(events.windows(2).all(|pair| pair[0].t < pair[1].t));
    }

    #[test]
    fn dead_time_keeps_events_of_a_pixel_apart() {
        let look = |t_ms: f64, target: &mut [f32]| {
            target.fill(if (t_ms as u32) % 8 < 4 { 0.0 } else { 1.0 });
            true
        };
        let events = QUIET.record(2_000, Key::new(1), look).unwrap();
        assert!(events.iter().any(|event| event.p) && events.iter().any(|event| !event.p));
        for column in [0, 1] {
            let times: Vec<i64> =
                events.iter().filter(|event| event.x == column).map(|event| event.t).collect();
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 750));
        }
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        for sensor in [
            Sensor { size: [0, 4], ..QUIET },
            Sensor { threshold: f32::NAN, ..QUIET },
            Sensor { step_us: 0, ..QUIET },
            Sensor { noise_hz: f32::INFINITY, ..QUIET },
            Sensor { black: 0.0, ..QUIET },
        ] {
            assert!(sensor.record(1, Key::new(1), |_, _| true).is_err(), "{sensor:?}");
        }
    }
}
