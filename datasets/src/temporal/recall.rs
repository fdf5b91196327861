//! Delayed recall: which cue came first?

use keys::Key;
use serde::{Deserialize, Serialize};

use super::task::{SIDE, Task, pattern};
use crate::DataError;

/// Every cue is shown for one step, in an order drawn for the sample, `gap` empty steps after each. The class is the
/// first cue, so it must be kept over all that follows. `[cues * (1 + gap), 1, 8, 8]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DelayedRecall {
    /// Cues, and classes.
    pub cues: usize,
    /// Empty steps after each cue.
    pub gap: usize,
    /// Probability with which a dot of any step is inverted.
    pub noise: f64,
}

impl Task for DelayedRecall {
    fn id(&self) -> &'static str {
        "delayed-recall"
    }

    fn title(&self) -> String {
        format!("delayed recall, {} cues, gap {}", self.cues, self.gap)
    }

    fn note(&self) -> String {
        let chance = 100.0 / self.cues as f64;
        format!("The first of {} cues; without memory no better than chance, {chance:.1} %.", self.cues)
    }

    fn classes(&self) -> usize {
        self.cues
    }

    fn shape(&self) -> [usize; 4] {
        [self.cues * (1 + self.gap), 1, SIDE, SIDE]
    }

    fn check(&self) -> Result<(), DataError> {
        let fits = (2..=16).contains(&self.cues) && self.gap <= 256 && (0.0..0.5).contains(&self.noise);
        let rule = "cues must be in 2..=16, the gap at most 256, the noise in 0..0.5";
        if fits { Ok(()) } else { Err(DataError::event_choice(self.id(), rule, format!("{self:?}"))) }
    }

    fn make(&self, class: u32, key: Key, target: &mut [f32]) {
        let mut later: Vec<u64> = (0..self.cues as u64).filter(|&cue| cue != u64::from(class)).collect();
        key.fork("order").stream().shuffle(&mut later);
        let order = std::iter::once(u64::from(class)).chain(later);
        for (cue, steps) in order.zip(target.chunks_exact_mut((1 + self.gap) * SIDE * SIDE)) {
            for (value, dot) in steps.iter_mut().zip(pattern("recall", cue)) {
                *value = f32::from(u8::from(dot));
            }
        }
        let mut stream = key.fork("noise").stream();
        for value in target {
            if stream.chance(self.noise) {
                *value = 1.0 - *value;
            }
        }
    }
}
