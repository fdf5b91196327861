//! What a network sees of a set that has a frame for every step: a few test samples for the record.

use datasets::Split;
use datasets::events::FrameSet;
use results::FrameRow;

use super::Failure;

/// Samples that are told, each of another class.
const SAMPLES: usize = 3;
/// Most steps of a sample that are told.
const STEPS: usize = 12;

/// The first test samples of the first classes, as the protocol makes them, before augmentation.
pub(super) fn of(set: &dyn FrameSet) -> Result<Vec<FrameRow>, Failure> {
    let card = set.card();
    let [steps, channels, height, width] = card.shape;
    let mut numbers = vec![0.0; card.numbers()];
    let mut rows = Vec::new();
    for sample in firsts(set) {
        let label = set.write(Split::Test, sample, None, &mut numbers)?;
        let largest = numbers.iter().fold(f32::MIN_POSITIVE, |largest, number| largest.max(*number));
        for step in spread(steps) {
            let frame = numbers.chunks_exact(channels * height * width).nth(step).unwrap_or_default();
            let pictures = frame.chunks_exact(height * width).zip(0..);
            rows.extend(pictures.map(|(picture, channel)| FrameRow {
                sample: sample as u64,
                label,
                step: step as u32 + 1,
                channel,
                height: height as u32,
                width: width as u32,
                levels: FrameRow::digits(picture, largest),
                ..FrameRow::default()
            }));
        }
    }
    Ok(rows)
}

/// Places of the first samples with a label that none before has.
fn firsts(set: &dyn FrameSet) -> Vec<usize> {
    let mut found: Vec<(u32, usize)> = Vec::new();
    for sample in 0..set.len(Split::Test) {
        if found.len() == SAMPLES {
            break;
        }
        let label = set.label(Split::Test, sample);
        if found.iter().all(|(known, _)| *known != label) {
            found.push((label, sample));
        }
    }
    found.into_iter().map(|(_, sample)| sample).collect()
}

/// At most [`STEPS`] places among `steps`, evenly apart, with the first and the last.
fn spread(steps: usize) -> Vec<usize> {
    match steps {
        0..=STEPS => (0..steps).collect(),
        _ => (0..STEPS).map(|place| place * (steps - 1) / (STEPS - 1)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datasets::Request;

    #[test]
    fn many_steps_are_left_out_evenly() {
        assert_eq!(spread(3), [0, 1, 2]);
        let places = spread(100);
        assert_eq!((places.len(), places.first(), places.last()), (STEPS, Some(&0), Some(&99)));
        assert!(places.windows(2).all(|pair| pair[1] == pair[0] + 9), "{places:?}");
    }

    #[test]
    fn rows_are_the_sets_own_frames() {
        let entry = datasets::find_frames("delayed-recall").unwrap();
        let set =
            entry.open(&Request { folder: None, protocol: None, steps: entry.steps_under(None) }).unwrap();
        let [steps, channels, height, width] = set.card().shape;
        let rows = of(set.as_ref()).unwrap();
        let samples = firsts(set.as_ref());
        assert_eq!(rows.len(), samples.len() * steps.min(STEPS) * channels);
        let mut numbers = vec![0.0; set.card().numbers()];
        for row in &rows {
            set.write(Split::Test, row.sample as usize, None, &mut numbers).unwrap();
            let first = ((row.step - 1) as usize * channels + row.channel as usize) * height * width;
            let picture = row.picture().unwrap();
            let shown = numbers[first..first + height * width].iter().map(|number| *number > 0.0);
            assert!(shown.eq(picture.iter().map(|level| *level > 0)), "{row:?}");
            assert_eq!(row.label, set.label(Split::Test, row.sample as usize));
        }
        assert!(rows.iter().any(|row| row.levels.contains('9')));
    }
}
