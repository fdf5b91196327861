//! From events to frames `[T, 2, H, W]`: counts per step, polarity and pixel.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Event, Recording};
use crate::DataError;

/// Frames of one sample at most: times in a file may not decide how much memory is taken.
const MOST_FRAMES: usize = 10_000;

/// How events are cut into steps. Channel 0 counts OFF, channel 1 ON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FrameRule {
    /// N events in `steps` runs of `floor(N / steps)`; the last takes the remainder too (SpikingJelly's "number").
    EqualCount {
        /// Frames, T.
        steps: usize,
    },
    /// Windows of `floor((t_last - t_first) / steps)` microseconds from the first event on; the last runs to the end of
    /// the file (SpikingJelly's "time"). A window without events is an empty frame, where SpikingJelly fails.
    EqualTime {
        /// Frames, T.
        steps: usize,
    },
    /// Windows of `window_us` from the first event on, each event by its own time; what comes after the last window is
    /// left out, and a short recording ends in empty frames.
    FixedWindow {
        /// Frames, T.
        steps: usize,
        /// Length of a window in microseconds.
        window_us: u32,
    },
}

impl FrameRule {
    /// Frames that the rule makes, T.
    #[must_use]
    pub const fn steps(self) -> usize {
        match self {
            Self::EqualCount { steps } | Self::EqualTime { steps } | Self::FixedWindow { steps, .. } => steps,
        }
    }

    /// Refuses a rule that makes no frame, or more than memory should hold.
    ///
    /// # Errors
    /// When the steps are not in `1..=10_000`, or a window has no length.
    pub fn check(self) -> Result<(), DataError> {
        if !(1..=MOST_FRAMES).contains(&self.steps()) {
            let rule = "frames must be in 1..=10000";
            return Err(DataError::event_choice("steps", rule, self.steps()));
        }
        if let Self::FixedWindow { window_us: 0, .. } = self {
            return Err(DataError::event_choice("window_us", "a window must be at least 1 us long", 0));
        }
        Ok(())
    }

    /// The frames of a recording, `[T, 2, H, W]`.
    ///
    /// # Errors
    /// When the rule is out of range, or windows of equal time would be shorter than a microsecond.
    pub fn frames(self, recording: &Recording) -> Result<Vec<f32>, DataError> {
        self.check()?;
        let [height, width] = recording.size;
        let mut frames = vec![0.0; self.steps() * 2 * height * width];
        let events = recording.events.as_slice();
        match self {
            Self::EqualCount { steps } => fill(&mut frames, recording, &equal_count(events.len(), steps)),
            Self::EqualTime { steps } => fill(&mut frames, recording, &equal_time(events, steps)?),
            Self::FixedWindow { steps, window_us } => {
                let first = events.first().map_or(0, |event| i128::from(event.t));
                for event in events {
                    let window = (i128::from(event.t) - first).div_euclid(i128::from(window_us));
                    if let Some(step) = usize::try_from(window).ok().filter(|&step| step < steps) {
                        count(&mut frames, recording.size, step, event);
                    }
                }
            }
        }
        Ok(frames)
    }
}

/// Frames of a fixed duration, as many as the recording has, `[T, 2, H, W]`: a frame begins at its first event and
/// takes each following event up to `duration_us` later, both ends included (SpikingJelly's "duration").
///
/// # Errors
/// When the duration is negative, or so short that there would be more than 10,000 frames.
pub fn by_duration(recording: &Recording, duration_us: i64) -> Result<Vec<f32>, DataError> {
    if duration_us < 0 {
        let rule = "a frame's duration must not be negative";
        return Err(DataError::event_choice("duration_us", rule, duration_us));
    }
    let events = recording.events.as_slice();
    let mut ranges = Vec::new();
    let mut left = 0;
    while let Some(first) = events.get(left) {
        let length = events[left..]
            .iter()
            .position(|event| i128::from(event.t) - i128::from(first.t) > i128::from(duration_us))
            .unwrap_or(events.len() - left);
        if ranges.len() == MOST_FRAMES {
            let rule = "a recording must not have more than 10000 frames";
            return Err(DataError::event_choice("duration_us", rule, duration_us));
        }
        ranges.push(left..left + length);
        left += length;
    }
    let [height, width] = recording.size;
    let mut frames = vec![0.0; ranges.len() * 2 * height * width];
    fill(&mut frames, recording, &ranges);
    Ok(frames)
}

fn equal_count(events: usize, steps: usize) -> Vec<Range<usize>> {
    let share = events / steps;
    (0..steps).map(|step| step * share..if step + 1 == steps { events } else { (step + 1) * share }).collect()
}

fn equal_time(events: &[Event], steps: usize) -> Result<Vec<Range<usize>>, DataError> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(vec![0..0; steps]) };
    let span = i128::from(last.t) - i128::from(first.t);
    let window = span.div_euclid(steps as i128);
    if window < 1 {
        let rule = "a recording must span at least one microsecond a step";
        return Err(DataError::event_choice("equal-time frames", rule, format!("{span} us for {steps}")));
    }
    // From the first to the last event of a window, by their places in the file, as SpikingJelly cuts. With rising
    // times that is the window itself.
    let mut ranges: Vec<Option<Range<usize>>> = vec![None; steps];
    for (place, event) in events.iter().enumerate() {
        let step = (i128::from(event.t) - i128::from(first.t)).div_euclid(window);
        if let Some(range) = usize::try_from(step).ok().and_then(|step| ranges.get_mut(step)) {
            range.get_or_insert(place..place).end = place + 1;
        }
    }
    let mut end = 0;
    let mut ranges: Vec<Range<usize>> = ranges
        .into_iter()
        .map(|range| {
            let range = range.unwrap_or(end..end);
            end = range.end;
            range
        })
        .collect();
    if let Some(range) = ranges.last_mut() {
        range.end = events.len();
    }
    Ok(ranges)
}

fn fill(frames: &mut [f32], recording: &Recording, ranges: &[Range<usize>]) {
    for (step, range) in ranges.iter().enumerate() {
        for event in recording.events.get(range.clone()).unwrap_or_default() {
            count(frames, recording.size, step, event);
        }
    }
}

fn count(frames: &mut [f32], [height, width]: [usize; 2], step: usize, event: &Event) {
    let place = ((2 * step + usize::from(event.p)) * height + usize::from(event.y)) * width;
    if let Some(count) = frames.get_mut(place + usize::from(event.x)) {
        *count += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(times: &[i64]) -> Recording {
        let event = |(place, &t): (usize, &i64)| Event { t, x: place as u16, y: 0, p: place % 2 == 1 };
        Recording { size: [1, 16], events: times.iter().enumerate().map(event).collect() }
    }

    /// The places of the events in each frame, in channel 0 then 1.
    fn places(frames: &[f32]) -> Vec<Vec<usize>> {
        frames
            .chunks(32)
            .map(|frame| (0..32).filter(|&at| frame[at] > 0.0).map(|at| at % 16).collect())
            .collect()
    }

    #[test]
    fn equal_count_gives_the_remainder_to_the_last_frame() {
        let frames = FrameRule::EqualCount { steps: 3 }.frames(&recording(&[0; 8])).unwrap();
        assert_eq!(places(&frames), [vec![0, 1], vec![2, 3], vec![4, 6, 5, 7]]);
        let few = FrameRule::EqualCount { steps: 3 }.frames(&recording(&[0, 1])).unwrap();
        assert_eq!(places(&few), [vec![], vec![], vec![0, 1]]);
    }

    #[test]
    fn equal_time_gives_the_rest_of_the_division_to_the_last_frame() {
        // 10 us in 3 windows of 3: [5, 8), [8, 11), [11, ...].
        let frames = FrameRule::EqualTime { steps: 3 }.frames(&recording(&[5, 7, 8, 10, 11, 15])).unwrap();
        assert_eq!(places(&frames), [vec![0, 1], vec![2, 3], vec![4, 5]]);
        // An empty window is an empty frame.
        let frames = FrameRule::EqualTime { steps: 3 }.frames(&recording(&[0, 1, 8, 9])).unwrap();
        assert_eq!(places(&frames), [vec![0, 1], vec![], vec![2, 3]]);
        let error = FrameRule::EqualTime { steps: 3 }.frames(&recording(&[4, 6])).unwrap_err();
        assert!(error.to_string().contains("at least one microsecond a step, got 2 us for 3"), "{error}");
    }

    #[test]
    fn fixed_windows_count_each_event_by_its_own_time() {
        let rule = FrameRule::FixedWindow { steps: 3, window_us: 10 };
        let frames = rule.frames(&recording(&[100, 109, 110, 105, 129, 130, 99])).unwrap();
        // 130 is behind the last window, 99 before the first.
        assert_eq!(places(&frames), [vec![0, 1, 3], vec![2], vec![4]]);
    }

    #[test]
    fn durations_begin_at_an_event_and_include_their_end() {
        let frames = by_duration(&recording(&[0, 10, 11, 21, 22, 40]), 10).unwrap();
        assert_eq!(places(&frames), [vec![0, 1], vec![2, 3], vec![4], vec![5]]);
    }

    #[test]
    fn a_duration_that_would_fill_the_memory_is_refused() {
        let event = |t: i64| Event { t: 2 * t, x: 0, y: 0, p: true };
        let events = |count| Recording { size: [1, 1], events: (0..count).map(event).collect() };
        assert_eq!(by_duration(&events(10_000), 1).unwrap().len(), 20_000);
        assert!(by_duration(&events(10_001), 1).is_err());
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let frames = FrameRule::EqualTime { steps: 2 }.frames(&recording(&[i64::MIN, 0, i64::MAX])).unwrap();
        assert_eq!(places(&frames), [vec![0], vec![2, 1]]);
    }
}
