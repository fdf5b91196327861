//! Segment checkpointing (Chen et al., arXiv 1604.06174) with the segments of least memory.
//!
//! A network of `n` segments is cut into groups. A group keeps its input and runs again when backward reaches it; the
//! last one is never rebuilt, because backward begins with it. While group `g` is walked back, what is saved is
//!
//! ```text
//! kept(1) + ... + kept(g) + inside(g)
//! ```
//!
//! with `kept` the inputs of groups (spikes as bits) and `inside` what the group's ops save. Every grouping that is the
//! best for some number of multiply-accumulates is found by going through the segments once, and rehearsed.

use engine::Result;
use engine::method::{Method, RunSpec, Trainer, Unsupported};
use engine::model::{Network, Wiring};
use engine::region::Regions;
use engine::rehearsal::{Rehearsal, SegmentCost};

use crate::sparing::{SparingTrainer, too_tight, unroll};

/// Backpropagation through time that keeps the inputs of groups of segments.
pub(crate) struct Checkpoint;

impl Method for Checkpoint {
    fn supports(&self, network: &Network, _run: &RunSpec) -> Result<(), Unsupported> {
        match &network.wiring {
            Wiring::Sequence(_) => Ok(()),
            Wiring::Recurrent(_) | Wiring::Levels(_) => Err(Unsupported::because(format!(
                "{} is driven step by step and carries values from one to the next, so it has no segments that run \
                 again from their input alone",
                network.id
            ))),
        }
    }

    fn trainer(&self, network: Network, run: RunSpec) -> Result<Box<dyn Trainer>> {
        self.supports(&network, &run)?;
        Ok(Box::new(SparingTrainer::new(network, run, choose)))
    }
}

/// Groupings that are rehearsed, at most.
const REHEARSALS: usize = 64;

fn choose(rehearsal: &mut Rehearsal, budget: Option<usize>) -> Result<Regions> {
    let segments = rehearsal.segments(unroll)?;
    let mut best: Option<(usize, u64, Regions)> = None;
    // From the least work to the most: the first that fits is the answer.
    for grouping in groupings(&segments) {
        let regions = grouping.regions();
        let bytes = rehearsal.step(&regions, unroll)?.bytes;
        if budget.is_some_and(|budget| bytes <= budget) {
            return Ok(regions);
        }
        let better = best.as_ref().is_none_or(|(least, macs, _)| (bytes, grouping.macs) < (*least, *macs));
        if better {
            best = Some((bytes, grouping.macs, regions));
        }
    }
    match (best, budget) {
        (Some((least, ..)), Some(budget)) => Err(too_tight("stbp-checkpoint", least, budget)),
        (Some((.., regions)), None) => Ok(regions),
        (None, _) => Ok(Regions::default()),
    }
}

/// The first segments, grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grouping {
    /// Where each group begins, ascending from 0.
    starts: Vec<usize>,
    /// Number of segments.
    end: usize,
    /// Bytes of the groups' inputs.
    kept: usize,
    /// The most that is saved while one of the groups is walked back.
    peak: usize,
    /// Multiply-accumulates of running again all groups but the last.
    macs: u64,
}

impl Grouping {
    /// One more group, of the segments up to `end`.
    fn then(&self, segments: &[SegmentCost], end: usize) -> Self {
        let group = &segments[self.end..end];
        let kept = self.kept + group[0].input;
        let entered = |segment: &SegmentCost| if segment.saves_input { segment.input } else { 0 };
        let inside: usize = group.iter().map(|segment| segment.saved).sum::<usize>()
            + group[1..].iter().map(entered).sum::<usize>();
        let before = self.starts.last().map_or(&[][..], |&start| &segments[start..self.end]);
        Self {
            starts: self.starts.iter().copied().chain([self.end]).collect(),
            end,
            kept,
            peak: self.peak.max(kept + inside),
            macs: self.macs + before.iter().map(|segment| segment.macs).sum::<u64>(),
        }
    }

    /// Whether no continuation of `other` can be better than the same one of this.
    fn beats(&self, other: &Self) -> bool {
        // What is open, the last group, costs work once another follows.
        self.kept <= other.kept
            && self.peak <= other.peak
            && self.macs <= other.macs
            && self.starts.last() >= other.starts.last()
    }

    fn regions(&self) -> Regions {
        let checkpoints = self.starts.windows(2).map(|pair| pair[0]..pair[1]).collect();
        Regions { checkpoints, ..Regions::default() }
    }
}

/// The groupings that no other beats both in bytes and in work, from the least work on.
fn groupings(segments: &[SegmentCost]) -> Vec<Grouping> {
    let empty = Grouping { starts: Vec::new(), end: 0, kept: 0, peak: 0, macs: 0 };
    let mut fronts = vec![vec![empty]];
    for end in 1..=segments.len() {
        let mut front: Vec<Grouping> = Vec::new();
        for before in fronts.iter().flatten() {
            let next = before.then(segments, end);
            if !front.iter().any(|known| known.beats(&next)) {
                front.retain(|known| !next.beats(known));
                front.push(next);
            }
        }
        fronts.push(front);
    }
    let mut last = fronts.pop().unwrap_or_default();
    last.sort_by_key(|grouping| (grouping.macs, grouping.peak));
    let mut least = usize::MAX;
    last.retain(|grouping| {
        let better = grouping.peak < least;
        least = least.min(grouping.peak);
        better
    });
    // The leanest are the last ones.
    let spare = last.len().saturating_sub(REHEARSALS);
    last.drain(1..1 + spare.min(last.len().saturating_sub(1)));
    last
}

#[cfg(test)]
mod tests {
    use super::{Grouping, SegmentCost, groupings};

    fn segments(costs: &[(usize, usize)]) -> Vec<SegmentCost> {
        let segment =
            |&(input, saved): &(usize, usize)| SegmentCost { input, saves_input: true, saved, macs: 1 };
        costs.iter().map(segment).collect()
    }

    /// Every way to group, tried one by one.
    fn all(segments: &[SegmentCost]) -> Vec<Grouping> {
        let mut found = vec![Grouping { starts: Vec::new(), end: 0, kept: 0, peak: 0, macs: 0 }];
        let mut done = Vec::new();
        while let Some(grouping) = found.pop() {
            if grouping.end == segments.len() {
                done.push(grouping);
                continue;
            }
            found.extend((grouping.end + 1..=segments.len()).map(|end| grouping.then(segments, end)));
        }
        done
    }

    #[test]
    fn one_group_keeps_everything_and_repeats_nothing() {
        let grouping = &groupings(&segments(&[(0, 8), (4, 8), (4, 8)]))[0];
        assert_eq!((grouping.starts.as_slice(), grouping.peak, grouping.macs), (&[0][..], 32, 0));
    }

    #[test]
    fn the_best_of_all_groupings_is_found() {
        let cases: [&[(usize, usize)]; 4] = [
            &[(0, 8), (4, 8), (4, 8), (4, 8), (4, 8), (4, 8)],
            &[(0, 64), (32, 64), (32, 32), (16, 32), (16, 16), (8, 16), (8, 8)],
            &[(0, 1), (1, 100), (1, 1), (90, 3), (1, 50)],
            &[(0, 5)],
        ];
        for case in cases {
            let segments = segments(case);
            let all = all(&segments);
            let least = all.iter().map(|grouping| grouping.peak).min();
            let front = groupings(&segments);
            assert_eq!(front.last().map(|grouping| grouping.peak), least, "{case:?}");
            for found in front {
                let beaten = all.iter().any(|other| {
                    (other.peak < found.peak && other.macs <= found.macs)
                        || (other.peak <= found.peak && other.macs < found.macs)
                });
                assert!(!beaten, "{found:?}");
            }
        }
    }
}
