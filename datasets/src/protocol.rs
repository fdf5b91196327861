//! How images become a batch: the choices that a recipe states.

use serde::{Deserialize, Serialize};

use crate::{Card, DataError};

/// The data section of a recipe.
///
/// There is no default: each choice moves accuracy, so each is written down. The limits alone may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// Whether pixels in `[0, 1]` are shifted and scaled by the card's mean and standard deviation.
    pub normalise: bool,
    /// Whether training images are mirrored left to right with probability one half.
    pub flip: bool,
    /// Pixels of black (byte 0, before normalising) put around training images before a random crop of the old size;
    /// 0 leaves them in place.
    pub shift: usize,
    /// Train on the first so many samples, balanced over the classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_limit: Option<usize>,
    /// Test on the first so many samples, balanced over the classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_limit: Option<usize>,
}

impl Protocol {
    /// Checks the choices that need no more than a card, so that a suite can be refused before any file is opened.
    ///
    /// # Errors
    /// When the shift or a limit is out of range.
    pub fn check(&self, card: &Card) -> Result<(), DataError> {
        let side = card.shape[1].min(card.shape[2]);
        if self.shift >= side {
            return Err(DataError::Shift { dataset: card.id, side, found: self.shift });
        }
        let limits = [("train_limit", self.train_limit), ("test_limit", self.test_limit)];
        for ((setting, limit), available) in limits.into_iter().zip(card.counts) {
            if let Some(found) = limit.filter(|limit| !(1..=available).contains(limit)) {
                return Err(DataError::Limit { dataset: card.id, setting, available, found });
            }
        }
        Ok(())
    }
}
