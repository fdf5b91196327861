//! Where labels stand, so that none covers another or a marker.

use super::layout::LABEL;
use super::scene::{Place, text_width};

/// Height of a label's box.
const HEIGHT: f64 = LABEL * 1.2;
/// Half the side of a marker's box.
const MARKER: f64 = 7.0;

/// A rectangle: left, top, right, bottom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Frame {
    fn around((x, y): Place, half_width: f64, half_height: f64) -> Frame {
        Frame { left: x - half_width, top: y - half_height, right: x + half_width, bottom: y + half_height }
    }

    fn middle(&self) -> Place {
        ((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0)
    }

    /// The area that two frames share.
    pub(super) fn overlap(&self, other: &Frame) -> f64 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        width.max(0.0) * height.max(0.0)
    }

    fn area(&self) -> f64 {
        (self.right - self.left) * (self.bottom - self.top)
    }

    fn contains(&self, (x, y): Place) -> bool {
        (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
    }

    /// The point of the frame that is nearest to a place.
    fn nearest(&self, (x, y): Place) -> Place {
        (x.clamp(self.left, self.right), y.clamp(self.top, self.bottom))
    }
}

/// A label that stands: its box, and the leader to its point if it had to move away.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) frame: Frame,
    pub(super) leader: Option<(Place, Place)>,
}

/// Places one label beside each point; the other places are to be kept free as well.
///
/// Every label looks at eight directions in rings of growing distance and takes the cheapest place: nothing
/// covered, inside the bounds, near its point, rather to the right than elsewhere. Three rounds, because a label
/// that was placed early did not see those that came after it. Ties go to the first candidate, so the same
/// points always give the same picture.
pub(super) fn place(points: &[(Place, String)], others: &[Place], bounds: Frame) -> Vec<Placed> {
    let marked = points.iter().map(|(at, _)| at).chain(others);
    let markers: Vec<Frame> = marked.map(|at| Frame::around(*at, MARKER, MARKER)).collect();
    let mut placed: Vec<Option<Placed>> = vec![None; points.len()];
    for _round in 0..3 {
        for index in 0..points.len() {
            let (at, text) = &points[index];
            let mut best: Option<(f64, Placed)> = None;
            for (dislike, candidate) in candidates(*at, text_width(text, LABEL)) {
                let price = dislike + price(&candidate, index, &markers, &placed, &bounds);
                if best.as_ref().is_none_or(|(lowest, _)| price < *lowest) {
                    best = Some((price, candidate));
                }
            }
            placed[index] = best.map(|(_, candidate)| candidate);
        }
    }
    placed.into_iter().flatten().collect()
}

/// Possible places with what speaks against each by itself: its distance and its direction.
fn candidates(at: Place, width: f64) -> Vec<(f64, Placed)> {
    let directions = [
        (1.0, 0.0),
        (-1.0, 0.0),
        (0.0, -1.0),
        (0.0, 1.0),
        (1.0, -1.0),
        (1.0, 1.0),
        (-1.0, -1.0),
        (-1.0, 1.0),
    ];
    let mut candidates = Vec::new();
    for (ring, distance) in [3.0, 12.0, 24.0, 38.0, 54.0].into_iter().enumerate() {
        for (order, (dx, dy)) in directions.into_iter().enumerate() {
            let away = MARKER + distance;
            let x = at.0 + dx * (away + width / 2.0);
            let y = at.1 + dy * (away + HEIGHT / 2.0);
            // A diagonal label leans over its point, so that it is no further away than a straight one.
            let x = if dx != 0.0 && dy != 0.0 { x - dx * away * 0.6 } else { x };
            let frame = Frame::around((x, y), width / 2.0, HEIGHT / 2.0);
            let leader = (ring > 0).then(|| (at, frame.nearest(at)));
            candidates.push((distance * 2.0 + order as f64, Placed { frame, leader }));
        }
    }
    candidates
}

/// What speaks against a place because of everything else.
fn price(
    candidate: &Placed,
    index: usize,
    markers: &[Frame],
    placed: &[Option<Placed>],
    bounds: &Frame,
) -> f64 {
    let mut price = (candidate.frame.area() - candidate.frame.overlap(bounds)) * 20.0;
    for (other, marker) in markers.iter().enumerate() {
        price += candidate.frame.overlap(marker) * 10.0;
        if other != index && crosses(candidate.leader, marker) {
            price += 100.0;
        }
    }
    let others = placed.iter().enumerate().filter(|(other, _)| *other != index);
    for label in others.filter_map(|(_, label)| label.as_ref()) {
        price += candidate.frame.overlap(&label.frame) * 10.0;
        if crosses(candidate.leader, &label.frame) || crosses(label.leader, &candidate.frame) {
            price += 200.0;
        }
    }
    price
}

/// Whether a leader runs through a frame, looked at in steps of a pixel or two.
fn crosses(leader: Option<(Place, Place)>, frame: &Frame) -> bool {
    let Some((from, to)) = leader else { return false };
    (0..=40).any(|step| {
        let share = f64::from(step) / 40.0;
        frame.contains((from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share))
    })
}

impl Placed {
    /// Where the label's text begins, at half its height.
    pub(super) fn start(&self) -> Place {
        (self.frame.left, self.frame.middle().1)
    }
}

/// Moves heights apart until neighbours are a label's height away from each other, each as near to where it
/// wants to be as the others allow; the order by height is kept.
pub(super) fn spread(wanted: &[f64], low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    // Neighbours that touch join a block, which stands at the mean of what its members want.
    let mut blocks: Vec<(f64, Vec<usize>)> = Vec::new();
    for index in order {
        let mut block = (wanted[index], vec![index]);
        while let Some((middle, members)) = blocks.pop() {
            let reach = (members.len() + block.1.len()) as f64 * HEIGHT / 2.0;
            if block.0 - middle >= reach {
                blocks.push((middle, members));
                break;
            }
            let all: Vec<usize> = members.into_iter().chain(block.1).collect();
            let mean = all.iter().map(|member| wanted[*member]).sum::<f64>() / all.len() as f64;
            let half = all.len() as f64 * HEIGHT / 2.0;
            block = (mean.min(high - half + HEIGHT / 2.0).max(low + half - HEIGHT / 2.0), all);
        }
        blocks.push(block);
    }
    let mut heights = wanted.to_vec();
    for (middle, members) in blocks {
        let top = middle - (members.len() as f64 - 1.0) * HEIGHT / 2.0;
        for (place, member) in members.into_iter().enumerate() {
            heights[member] = top + place as f64 * HEIGHT;
        }
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_close_points_do_not_touch() {
        let bounds = Frame { left: 0.0, top: 0.0, right: 260.0, bottom: 260.0 };
        let close = [(60.0, 100.0), (62.0, 103.0), (61.0, 99.0), (64.0, 104.0), (58.0, 108.0), (200.0, 60.0)];
        let names = ["ottt-a", "ottt-o", "sltt", "frozen", "ann", "stbp"];
        let points: Vec<(Place, String)> =
            close.into_iter().zip(names).map(|(at, name)| (at, name.to_owned())).collect();
        let placed = place(&points, &[], bounds);
        for (index, label) in placed.iter().enumerate() {
            assert!(label.frame.area() - label.frame.overlap(&bounds) < 1e-9, "{label:?} leaves the panel");
            for other in &placed[..index] {
                assert_eq!(label.frame.overlap(&other.frame), 0.0, "{label:?} on {other:?}");
            }
        }
    }

    #[test]
    fn crowded_heights_are_spread_in_order() {
        let heights = spread(&[50.0, 10.0, 51.0, 52.0], 0.0, 100.0);
        assert_eq!(heights[1], 10.0);
        assert!((heights[2] - heights[0] - HEIGHT).abs() < 1e-9);
        assert!((heights[3] - heights[2] - HEIGHT).abs() < 1e-9);
    }
}
