//! What a network saw.

use super::Row;
use serde::{Deserialize, Serialize};

/// One row of `frames.csv`: one channel of one step of a test sample, as a picture of digits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameRow {
    /// Key of the trial; the store writes it.
    pub trial: String,
    /// Attempt at the trial, counted from 1; the store writes it.
    pub attempt: u32,
    /// Place of the sample in the test split, counted from 0.
    pub sample: u64,
    /// Its label.
    pub label: u32,
    /// Time step, counted from 1.
    pub step: u32,
    /// Channel, counted from 0; of two channels of events 0 is OFF and 1 is ON.
    pub channel: u32,
    /// Rows of the frame.
    pub height: u32,
    /// Columns of the frame.
    pub width: u32,
    /// `height * width` digits, row by row: ninths of the sample's largest number, rounded up; 0 for what is not above 0.
    pub levels: String,
}

impl FrameRow {
    /// The level of the largest number.
    pub const MOST: u8 = 9;

    /// The numbers `[H, W]` of a channel as digits, against the sample's largest.
    #[must_use]
    pub fn digits(numbers: &[f32], largest: f32) -> String {
        let level = |number: f32| (f32::from(Self::MOST) * (number / largest).clamp(0.0, 1.0)).ceil() as u8;
        let digit = |number: &f32| char::from(b'0' + if *number > 0.0 { level(*number).max(1) } else { 0 });
        numbers.iter().map(digit).collect()
    }

    /// The digits as numbers `[H, W]` from 0 to 9; `None` where the row is no picture.
    #[must_use]
    pub fn picture(&self) -> Option<Vec<u8>> {
        let levels: Option<Vec<u8>> =
            self.levels.chars().map(|digit| digit.to_digit(10).map(|level| level as u8)).collect();
        levels.filter(|levels| {
            self.width > 0 && levels.len() as u64 == u64::from(self.height) * u64::from(self.width)
        })
    }
}

impl Row for FrameRow {
    const FILE: &'static str = "frames.csv";
    const COLUMNS: &'static [&'static str] =
        &["trial", "attempt", "sample", "label", "step", "channel", "height", "width", "levels"];

    fn trial(&self) -> &str {
        &self.trial
    }

    fn attempt(&self) -> u32 {
        self.attempt
    }

    fn set_key(&mut self, trial: &str, attempt: u32) {
        self.trial = trial.to_owned();
        self.attempt = attempt;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_digit_of_its_share_and_whatever_happens_is_seen() {
        assert_eq!(FrameRow::digits(&[0.0, -1.0, 0.001, 4.0, 4.1, 9.0], 9.0), "001459");
        let row = FrameRow { height: 2, width: 3, levels: "001459".to_owned(), ..FrameRow::default() };
        assert_eq!(row.picture(), Some(vec![0, 0, 1, 4, 5, 9]));
        assert_eq!(FrameRow { width: 4, ..row.clone() }.picture(), None);
        assert_eq!(FrameRow { levels: "0014x9".to_owned(), ..row }.picture(), None);
    }
}
