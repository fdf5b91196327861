//! Binary adding: the sum of the marked bits, modulo 2.

use keys::Key;
use serde::{Deserialize, Serialize};

use super::task::{SIDE, Task, pattern};
use crate::DataError;

/// A stream of random bits, one a step, each a pattern in channel 0; channel 1 is full at the `marks` marked steps and
/// empty elsewhere. The class is the sum of the marked bits modulo 2: addition in which no single bit tells anything.
/// `[steps, 2, 8, 8]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BinaryAdding {
    /// Bits, T.
    pub steps: usize,
    /// Marked bits.
    pub marks: usize,
    /// Probability with which a dot of channel 0 is inverted.
    pub noise: f64,
}

impl Task for BinaryAdding {
    fn id(&self) -> &'static str {
        "binary-adding"
    }

    fn title(&self) -> String {
        format!("binary adding, {} marks in {} steps", self.marks, self.steps)
    }

    fn note(&self) -> String {
        let bound = if self.marks == 2 {
            " One bit tells nothing; a threshold on the sum of scores of single steps reaches 75 %."
        } else {
            " One bit tells nothing."
        };
        format!("Sum of {} marked bits modulo 2; chance is 50 %.{bound}", self.marks)
    }

    fn classes(&self) -> usize {
        2
    }

    fn shape(&self) -> [usize; 4] {
        [self.steps, 2, SIDE, SIDE]
    }

    fn check(&self) -> Result<(), DataError> {
        let fits = (2..=4096).contains(&self.steps)
            && (2..=self.steps).contains(&self.marks)
            && (0.0..0.5).contains(&self.noise);
        let rule = "steps must be in 2..=4096, marks in 2..=steps, the noise in 0..0.5";
        if fits { Ok(()) } else { Err(DataError::event_choice(self.id(), rule, format!("{self:?}"))) }
    }

    fn make(&self, class: u32, key: Key, target: &mut [f32]) {
        let mut stream = key.fork("bits").stream();
        let mut bits: Vec<bool> = (0..self.steps).map(|_| stream.chance(0.5)).collect();
        let mut places: Vec<usize> = (0..self.steps).collect();
        stream.shuffle(&mut places);
        let marked = places.get(..self.marks).unwrap_or_default();
        let sum = marked.iter().filter(|&&place| bits[place]).count();
        // Turning one marked bit over keeps all of them fair, and each alone independent of the class.
        if let Some(&first) = marked.first()
            && sum % 2 != class as usize
        {
            bits[first] = !bits[first];
        }
        let patterns = [pattern("adding", 0), pattern("adding", 1)];
        let mut noise = key.fork("noise").stream();
        for (step, frame) in target.chunks_exact_mut(2 * SIDE * SIDE).enumerate() {
            let (dots, mark) = frame.split_at_mut(SIDE * SIDE);
            for (value, dot) in dots.iter_mut().zip(patterns[usize::from(bits[step])]) {
                *value = f32::from(u8::from(dot != noise.chance(self.noise)));
            }
            if marked.contains(&step) {
                mark.fill(1.0);
            }
        }
    }
}
