//! Augmentation of event frames: one draw a sample, the same for all its frames.
//!
//! Pure functions of (key, epoch, sample). Geometry is nearest neighbour, so counts stay counts; what comes into view is
//! empty. A mirror that garbles labels is refused: released code mirrors DVS128 Gesture, whose classes know left from
//! right.

use keys::{Key, Stream};
use serde::{Deserialize, Serialize};

use super::EventCard;
use crate::{DataError, Mirror};

/// Mirroring from left to right with probability one half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flip {
    /// Never.
    None,
    /// The label stays: for sets whose classes do not know left from right.
    Mirror,
    /// The label becomes that of the mirrored class.
    Relabel,
}

/// What may happen to a training sample, in the order of the fields; then a normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Mirror.
    pub flip: Flip,
    /// One of six at random: nothing; shear along x by up to 0.3; moves along x or y by up to 5 pixels; rotation by up to
    /// 30 degrees; a square of 0.1 to 11 percent of the area cut out. 31 magnitudes ("SNN augment wide" of RevSNN's and
    /// the transformers' code).
    pub wide: bool,
    /// One of four at random: nothing; a roll of up to 5 pixels along both axes, around the edge; rotation by up to 30
    /// degrees; shear by up to 30 degrees (after NDA, Li et al., "Neuromorphic data augmentation", 2022).
    pub nda: bool,
    /// Pixels of nothing put around a frame before a random crop of the old size (OTTT: 4).
    pub crop_pad: usize,
}

impl Augment {
    /// Nothing happens.
    pub const NONE: Self = Self { flip: Flip::None, wide: false, nda: false, crop_pad: 0 };

    /// Refuses what is out of range, and a mirror that leaves wrong labels.
    ///
    /// # Errors
    /// As said.
    pub fn check(self, card: &EventCard, size: [usize; 2]) -> Result<(), DataError> {
        let setting = || format!("augment.flip on {}", card.id);
        match (self.flip, card.mirror) {
            (Flip::Mirror, Mirror::Swaps(_)) => {
                let rule =
                    "classes that know left from right must be mirrored with their labels (relabel) or not";
                return Err(DataError::event_choice(setting(), rule, "mirror"));
            }
            (Flip::Mirror | Flip::Relabel, Mirror::Breaks) => {
                let rule = "a set must not be mirrored when the mirror image is of no class";
                return Err(DataError::event_choice(setting(), rule, format!("{:?}", self.flip)));
            }
            _ => {}
        }
        let side = size[0].min(size[1]);
        if self.crop_pad >= side {
            let rule = "crop_pad must be below the frame's shorter side";
            return Err(DataError::event_choice("augment.crop_pad", rule, self.crop_pad));
        }
        Ok(())
    }

    /// Augments one sample's frames, planes of `[H, W]`, in place; gives back its label.
    pub fn apply(self, frames: &mut [f32], size: [usize; 2], label: u32, mirror: Mirror, key: Key) -> u32 {
        let mut label = label;
        // A key for each, so that turning one off does not move another.
        if key.fork("flip").stream().chance(0.5) && self.flip != Flip::None {
            Move::MIRROR.apply(frames, size);
            if self.flip == Flip::Relabel {
                label = mirror.label(label);
            }
        }
        if self.wide {
            wide(frames, size, &mut key.fork("wide").stream());
        }
        if self.nda {
            nda(frames, size, &mut key.fork("nda").stream());
        }
        if self.crop_pad > 0 {
            let mut stream = key.fork("crop").stream();
            let mut offset = || f64::from(stream.below(2 * self.crop_pad as u32 + 1)) - self.crop_pad as f64;
            let (down, right) = (offset(), offset());
            Move::shift(down, right).apply(frames, size);
        }
        label
    }
}

fn wide(frames: &mut [f32], size: [usize; 2], stream: &mut Stream) {
    let operation = stream.below(6);
    let magnitude = f64::from(stream.below(31)) / 30.0;
    let signed = if stream.chance(0.5) { magnitude } else { -magnitude };
    match operation {
        0 => {}
        1 => Move::shear(0.3 * signed).apply(frames, size),
        2 => Move::shift(0.0, (5.0 * signed).round()).apply(frames, size),
        3 => Move::shift((5.0 * signed).round(), 0.0).apply(frames, size),
        4 => Move::rotation(30.0 * signed).apply(frames, size),
        _ => {
            let area = 0.001 + 0.109 * magnitude;
            let side = (area * (size[0] * size[1]) as f64).sqrt().round().max(1.0) as usize;
            cut_out(frames, size, side, stream);
        }
    }
}

fn nda(frames: &mut [f32], size: [usize; 2], stream: &mut Stream) {
    match stream.below(4) {
        0 => {}
        1 => {
            let mut offset = || stream.below(11) as isize - 5;
            let (down, right) = (offset(), offset());
            roll(frames, size, down, right);
        }
        2 => Move::rotation(60.0 * stream.uniform() - 30.0).apply(frames, size),
        _ => Move::shear((60.0 * stream.uniform() - 30.0).to_radians().tan()).apply(frames, size),
    }
}

/// Empties a square of `side` pixels that lies inside where it can.
fn cut_out(frames: &mut [f32], [height, width]: [usize; 2], side: usize, stream: &mut Stream) {
    let (tall, wide) = (side.min(height), side.min(width));
    let top = stream.below((height - tall + 1) as u32) as usize;
    let left = stream.below((width - wide + 1) as u32) as usize;
    for plane in frames.chunks_exact_mut(height * width) {
        for line in plane.chunks_exact_mut(width).skip(top).take(tall) {
            line[left..left + wide].fill(0.0);
        }
    }
}

/// Moves around the edge.
fn roll(frames: &mut [f32], [height, width]: [usize; 2], down: isize, right: isize) {
    let (down, right) =
        (down.rem_euclid(height as isize) as usize, right.rem_euclid(width as isize) as usize);
    for plane in frames.chunks_exact_mut(height * width) {
        plane.rotate_right(down * width);
        plane.chunks_exact_mut(width).for_each(|line| line.rotate_right(right));
    }
}

/// Where a pixel of the result comes from, about the centre: x' = xx x + xy y + right, y' = yx x + yy y + down.
#[derive(Clone, Copy, Debug)]
struct Move {
    xx: f64,
    xy: f64,
    yx: f64,
    yy: f64,
    down: f64,
    right: f64,
}

impl Move {
    const NOTHING: Self = Self { xx: 1.0, xy: 0.0, yx: 0.0, yy: 1.0, down: 0.0, right: 0.0 };
    const MIRROR: Self = Self { xx: -1.0, ..Self::NOTHING };

    fn shift(down: f64, right: f64) -> Self {
        Self { down, right, ..Self::NOTHING }
    }

    fn shear(factor: f64) -> Self {
        Self { xy: factor, ..Self::NOTHING }
    }

    fn rotation(degrees: f64) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Self { xx: cos, xy: sin, yx: -sin, yy: cos, ..Self::NOTHING }
    }

    fn apply(self, frames: &mut [f32], [height, width]: [usize; 2]) {
        let (middle_x, middle_y) = ((width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0);
        let mut sources = Vec::with_capacity(height * width);
        for row in 0..height {
            for column in 0..width {
                let (x, y) = (column as f64 - middle_x, row as f64 - middle_y);
                let from_x = (self.xx * x + self.xy * y + self.right + middle_x).round();
                let from_y = (self.yx * x + self.yy * y + self.down + middle_y).round();
                let inside = (0.0..width as f64).contains(&from_x) && (0.0..height as f64).contains(&from_y);
                sources.push(inside.then_some(from_y as usize * width + from_x as usize));
            }
        }
        let mut old = vec![0.0; height * width];
        for plane in frames.chunks_exact_mut(height * width) {
            old.copy_from_slice(plane);
            for (target, source) in plane.iter_mut().zip(&sources) {
                *target = source.map_or(0.0, |place| old[place]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Origin;

    const SIZE: [usize; 2] = [4, 5];

    fn frames() -> Vec<f32> {
        (1..=40).map(|value| value as f32).collect()
    }

    fn card(mirror: Mirror) -> EventCard {
        EventCard {
            id: "made",
            title: String::new(),
            classes: 3,
            class_names: Vec::new(),
            size: SIZE,
            origin: Origin::Procedural,
            note: String::new(),
            mirror,
            licence: "",
        }
    }

    #[test]
    fn moves_move_all_planes_alike() {
        let mut mirrored = frames();
        Move::MIRROR.apply(&mut mirrored, SIZE);
        assert_eq!(mirrored[..5], [5.0, 4.0, 3.0, 2.0, 1.0]);
        assert_eq!(mirrored[35..], [40.0, 39.0, 38.0, 37.0, 36.0]);
        let mut shifted = frames();
        Move::shift(1.0, -1.0).apply(&mut shifted, SIZE);
        assert_eq!(shifted[..5], [0.0, 6.0, 7.0, 8.0, 9.0]);
        assert_eq!(shifted[15..20], [0.0; 5]);
        let mut square: Vec<f32> = (1..=9).map(|value| value as f32).collect();
        Move::rotation(90.0).apply(&mut square, [3, 3]);
        assert_eq!(square, [7.0, 4.0, 1.0, 8.0, 5.0, 2.0, 9.0, 6.0, 3.0].map(f32::from).to_vec().as_slice());
        let mut rolled = frames();
        roll(&mut rolled, SIZE, -1, 2);
        assert_eq!(rolled[..5], [9.0, 10.0, 6.0, 7.0, 8.0]);
        roll(&mut rolled, SIZE, 1, -2);
        assert_eq!(rolled, frames());
    }

    #[test]
    fn the_cut_square_has_its_area_and_lies_inside() {
        for index in 0..100 {
            let mut ones = vec![1.0; 2 * 20];
            cut_out(&mut ones, SIZE, 3, &mut Key::new(index).stream());
            assert_eq!(ones[..20].iter().sum::<f32>(), 11.0);
            assert_eq!(ones[..20], ones[20..]);
        }
    }

    #[test]
    fn a_flip_that_garbles_labels_is_refused() {
        let flip = |flip| Augment { flip, ..Augment::NONE };
        let swaps = card(Mirror::Swaps(&[[1, 2]]));
        let error = flip(Flip::Mirror).check(&swaps, SIZE).unwrap_err().to_string();
        assert!(error.contains("augment.flip on made: classes that know left from right"), "{error}");
        assert!(flip(Flip::Relabel).check(&swaps, SIZE).is_ok());
        assert!(flip(Flip::None).check(&swaps, SIZE).is_ok());
        assert!(flip(Flip::Mirror).check(&card(Mirror::Keeps), SIZE).is_ok());
        assert!(flip(Flip::Relabel).check(&card(Mirror::Breaks), SIZE).is_err());
        assert!(Augment { crop_pad: 4, ..Augment::NONE }.check(&swaps, SIZE).is_err());
    }

    #[test]
    fn a_relabelled_flip_swaps_the_label_exactly_when_it_mirrors() {
        let augment = Augment { flip: Flip::Relabel, ..Augment::NONE };
        let mut mirrored = 0;
        for index in 0..1_000 {
            let mut sample = frames();
            let key = Key::new(3).index(index);
            let label = augment.apply(&mut sample, SIZE, 1, Mirror::Swaps(&[[1, 2]]), key);
            let flipped = sample[0] == 5.0;
            assert_eq!(label, if flipped { 2 } else { 1 });
            mirrored += usize::from(flipped);
        }
        // 500 expected with a deviation of 16: five of them.
        assert!((420..=580).contains(&mirrored), "{mirrored}");
    }

    #[test]
    fn augmentation_is_a_pure_function_of_the_key_and_parts_do_not_move_each_other() {
        let all = Augment { flip: Flip::Mirror, wide: true, nda: true, crop_pad: 2 };
        let run = |augment: Augment, index| {
            let mut sample = frames();
            augment.apply(&mut sample, SIZE, 0, Mirror::Keeps, Key::new(5).index(index));
            sample
        };
        assert!((0..50).all(|index| run(all, index) == run(all, index)));
        assert!((0..50).any(|index| run(all, index) != run(all, index + 1)));
        let crop = Augment { crop_pad: 2, ..Augment::NONE };
        let both = Augment { flip: Flip::Mirror, ..crop };
        for index in 0..50 {
            let (mut alone, mut flipped) = (frames(), run(both, index));
            if Key::new(5).index(index).fork("flip").stream().chance(0.5) {
                Move::MIRROR.apply(&mut alone, SIZE);
            }
            crop.apply(&mut alone, SIZE, 0, Mirror::Keeps, Key::new(5).index(index));
            assert_eq!(alone, flipped);
            flipped.clear();
        }
    }
}
