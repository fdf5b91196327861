//! EventMix: within a cloudy part of space and time the events are the partner's.
//!
//! G. Shen, D. Zhao, Y. Zeng, "EventMix: an efficient data augmentation strategy for event-based learning", Information
//! Sciences 644, 2023; constants of the authors' code (BrainCog). The part is where a sum of two to four bells over (t, y, x)
//! is highest, and the labels are weighed by events, not by the part's size. Their noise is left out, and a partner comes
//! from the batch, where they draw one from the whole set.

use std::ops::RangeInclusive;

use keys::Stream;

use super::mix::beta;

/// How many bells.
const BELLS: RangeInclusive<u32> = 2..=4;

/// Least width of a bell, as a part of its greatest.
const NARROWEST: f64 = 0.1;

/// Where the events are the partner's, `[T, H, W]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mask(Vec<bool>);

/// A weighted bell over (t, y, x).
struct Bell {
    weight: f64,
    middle: [f64; 3],
    width: [f64; 3],
}

impl Bell {
    fn draw(sides: [usize; 3], stream: &mut Stream) -> Self {
        let weight = stream.uniform();
        let middle = sides.map(|side| f64::from(stream.below(side as u32)));
        let width = sides.map(|side| stream.uniform().max(NARROWEST) * side as f64 * 0.5);
        Self { weight, middle, width }
    }

    fn at(&self, place: [usize; 3]) -> f64 {
        let distance: f64 =
            (0..3).map(|axis| ((place[axis] as f64 - self.middle[axis]) / self.width[axis]).powi(2)).sum();
        self.weight * libm::exp(-0.5 * distance)
    }
}

impl Mask {
    /// A mask whose size is a Beta's share of all places; the shape is `[T, C, H, W]`.
    pub(super) fn draw(alpha: f64, [steps, _, height, width]: [usize; 4], stream: &mut Stream) -> Self {
        let size = beta(alpha, stream);
        let bells = BELLS.start() + stream.below(BELLS.end() - BELLS.start() + 1);
        let bells: Vec<Bell> = (0..bells).map(|_| Bell::draw([steps, height, width], stream)).collect();
        let places = (0..steps).flat_map(|step| {
            (0..height).flat_map(move |row| (0..width).map(move |column| [step, row, column]))
        });
        let heights: Vec<f64> = places.map(|place| bells.iter().map(|bell| bell.at(place)).sum()).collect();
        let inside = (heights.len() as f64 * size).round() as usize;
        let mut order: Vec<usize> = (0..heights.len()).collect();
        // Of equal heights the first place goes in, so that the mask does not hang on how they are sorted.
        order.sort_unstable_by(|&one, &other| heights[other].total_cmp(&heights[one]).then(one.cmp(&other)));
        let mut mask = vec![false; heights.len()];
        order[..inside].iter().for_each(|&place| mask[place] = true);
        Self(mask)
    }
}

/// Puts the partners' events into the masks of frames `[T, B, C, H, W]`, and gives back the share of each sample's own
/// class: with `own` the part of its events that stays and `other` the part of the partner's that comes, `own / (own + other)`.
pub(super) fn blend(
    frames: &mut [f32],
    masks: &[Option<Mask>],
    [steps, channels, height, width]: [usize; 4],
    partner: impl Fn(usize) -> usize,
) -> Vec<f64> {
    let (batch, plane) = (masks.len(), height * width);
    let source = frames.to_vec();
    let planes = |sample: usize| {
        (0..steps).flat_map(move |step| {
            (0..channels).map(move |channel| (step, ((step * batch + sample) * channels + channel) * plane))
        })
    };
    // Events of a sample in all, and within a mask.
    let events = |sample: usize, mask: &[bool]| {
        let mut sums = [0.0; 2];
        for (step, start) in planes(sample) {
            for (value, &inside) in source[start..][..plane].iter().zip(&mask[step * plane..]) {
                sums[0] += f64::from(*value);
                sums[1] += if inside { f64::from(*value) } else { 0.0 };
            }
        }
        sums
    };
    let share = |[sum, inside]: [f64; 2]| if sum > 0.0 { inside / sum } else { 0.0 };
    let mut mixed = |(sample, mask): (usize, &Option<Mask>)| {
        let Some(Mask(mask)) = mask else { return 1.0 };
        for ((step, to), (_, from)) in planes(sample).zip(planes(partner(sample))) {
            let places = frames[to..][..plane].iter_mut().zip(&source[from..][..plane]);
            for ((own, other), &inside) in places.zip(&mask[step * plane..]) {
                if inside {
                    *own = *other;
                }
            }
        }
        let own = 1.0 - share(events(sample, mask));
        let other = share(events(partner(sample), mask));
        // A sample that kept nothing and got nothing has no events left: it keeps its label.
        if own + other > 0.0 { own / (own + other) } else { 1.0 }
    };
    masks.iter().enumerate().map(&mut mixed).collect()
}

#[cfg(test)]
mod tests {
    use keys::Key;

    use super::*;

    const SHAPE: [usize; 4] = [3, 2, 4, 5];
    const SAMPLE: usize = 2 * 4 * 5;

    fn mask(index: u64) -> Mask {
        Mask::draw(1.0, SHAPE, &mut Key::new(6).index(index).stream())
    }

    #[test]
    fn masks_are_pure_functions_of_their_stream_and_of_every_size() {
        let mut least = usize::MAX;
        let mut most = 0;
        for index in 0..200 {
            let Mask(drawn) = mask(index);
            assert_eq!(Mask(drawn.clone()), mask(index));
            let inside = drawn.iter().filter(|&&inside| inside).count();
            (least, most) = (least.min(inside), most.max(inside));
        }
        // Beta(1, 1) is uniform: of 200 draws the least and the greatest lie within a few places of 0 and 60.
        assert!(least <= 3 && most >= 57, "{least} {most}");
    }

    #[test]
    fn a_mask_is_where_the_bells_are_highest() {
        // One step and one row: a bell's part is one piece, and two bells make at most two, three three, four four.
        for index in 0..200 {
            let Mask(drawn) = Mask::draw(1.0, [1, 2, 1, 60], &mut Key::new(7).index(index).stream());
            let pieces = drawn
                .iter()
                .zip(std::iter::once(&false).chain(&drawn))
                .filter(|(own, before)| **own && !**before);
            assert!(pieces.count() <= 4, "{index}: {drawn:?}");
        }
    }

    #[test]
    fn events_come_from_the_partner_within_the_mask_and_labels_are_weighed_by_events() {
        // Two samples: one event a place in the first, three in the second.
        let frames: Vec<f32> = (0..3).flat_map(|_| [[1.0; SAMPLE], [3.0; SAMPLE]].concat()).collect();
        for index in 0..50 {
            let mut mixed = frames.clone();
            let masks = [Some(mask(index)), None];
            let shares = blend(&mut mixed, &masks, SHAPE, |sample| 1 - sample);
            let Some(Mask(inside)) = &masks[0] else { panic!() };
            let part = inside.iter().filter(|&&inside| inside).count() as f64 / 60.0;
            // Both have their events spread evenly: the shares are those of the places.
            assert!((shares[0] - (1.0 - part)).abs() < 1e-12);
            assert_eq!(shares[1], 1.0);
            for (at, value) in mixed.iter().enumerate() {
                let (step, sample, place) = (at / (2 * SAMPLE), at / SAMPLE % 2, at % 20);
                let expected = if sample == 1 || inside[step * 20 + place] { 3.0 } else { 1.0 };
                assert_eq!(*value, expected);
            }
        }
    }

    #[test]
    fn shares_follow_the_events_not_the_places() {
        // All of the first sample's events lie in the first step, all of the second's in the last.
        let mut frames = vec![0.0; 3 * 2 * SAMPLE];
        frames[..SAMPLE].fill(1.0);
        frames[5 * SAMPLE..].fill(1.0);
        let of_step = |step: usize| Mask((0..60).map(|at| at / 20 == step).collect());
        let shares =
            |step| blend(&mut frames.clone(), &[Some(of_step(step)), None], SHAPE, |sample| 1 - sample)[0];
        // The first step goes and nothing comes; nothing goes or comes; all stays and all comes.
        assert_eq!([shares(0), shares(1), shares(2)], [1.0, 1.0, 0.5]);
    }
}
