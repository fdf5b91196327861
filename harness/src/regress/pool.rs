//! The laws once more, on what an accelerator's pool held: a meter that knows nothing of the ledger.
//!
//! Of each cell a plan, the ledger and the pool have a number. The plan's is the ledger's; the pool holds what the ledger books
//! and more, as it also has what no law is about; and what it holds grows as the law says.

use super::compare::{HEAP_PARTS, expected_growth, neighbours, place, span};
use super::law::{Law, remainder_bytes};
use super::measure::At;
use super::table::{grouped, signed};
use super::{Found, FoundCell, Group};
use crate::device::DeviceKind;

/// Why there is nothing to judge.
pub const NO_POOL: &str = "no pool on the processor: its heap is compared with the baseline in place of one";

/// One line for each law that a group breaks on the pool; or the reason why nothing is judged.
///
/// # Errors
/// [`NO_POOL`] where cells were measured on a device that has none. One that could not be measured is told elsewhere.
pub fn broken_on_pool(found: &Found<'_>) -> Result<Vec<String>, &'static str> {
    let group = found.group;
    let mut runs = found.cells.iter().filter_map(|cell| cell.runs.as_ref().ok()).flatten();
    if runs.any(|(_, run)| run.pool.is_none()) {
        return Err(NO_POOL);
    }
    let readings: Vec<Held> = found.cells.iter().filter_map(Held::of).collect();
    let mut broken: Vec<String> = readings.iter().flat_map(|held| held.at_one_place(group)).collect();
    let pairs = neighbours(group, &readings, |held| held.at);
    broken.extend(pairs.filter_map(|(first, second)| first.grown_to(second, group)));
    Ok(broken)
}

/// What a cell held in a step, by three ways of counting, in bytes.
#[derive(Clone, Debug)]
struct Held {
    at: At,
    /// Categories of the laws, as a plan says; `None` where there is no plan.
    planned: Option<usize>,
    /// By how much a plan may be off, as it has the processor's layout of remainders.
    plan_slack: usize,
    /// Categories of the laws, as the ledger booked them.
    ledger: usize,
    /// All that the step added to the pool.
    pool: usize,
    theory: Option<usize>,
}

impl Held {
    fn of(cell: &FoundCell) -> Option<Self> {
        let (_, run) = cell.runs.as_ref().ok()?.first()?;
        Some(Self {
            at: cell.at,
            planned: cell.planned,
            plan_slack: cell.plan_slack,
            ledger: run.in_laws,
            pool: run.pool?,
            theory: cell.theory,
        })
    }

    /// Plan = ledger <= pool.
    fn at_one_place(&self, group: &Group) -> Vec<String> {
        let (method, place) = (group.method.id, place(group, self.at));
        let mut broken = Vec::new();
        match self.planned {
            Some(planned) if planned.abs_diff(self.ledger) <= self.plan_slack => {}
            Some(planned) => broken.push(format!(
                "{method} holds what is planned: {place}: expected {}, found {}",
                within(planned as u64, self.plan_slack),
                grouped(self.ledger as u64)
            )),
            None => broken.push(format!("{method} can't be planned: {place}")),
        }
        if self.pool < self.ledger {
            broken.push(format!(
                "{method} holds in the pool what the ledger books: {place}: expected at least {}, found {}",
                grouped(self.ledger as u64),
                grouped(self.pool as u64)
            ));
        }
        broken
    }

    /// The law between two neighbours. The pool hands out whole grains, so it is judged within a part of what it held.
    fn grown_to(&self, second: &Self, group: &Group) -> Option<String> {
        let expected = expected_growth(self.theory, second.theory);
        let grown = second.pool as i64 - self.pool as i64;
        let slack = self.pool.max(second.pool) / HEAP_PARTS as usize;
        if grown.abs_diff(expected) as usize <= slack {
            return None;
        }
        Some(format!(
            "{} {}, by the pool: {}: expected {} within {}, found {}",
            group.method.id,
            group.law.words(),
            span(group, self.at, second.at),
            signed(expected),
            grouped(slack as u64),
            signed(grown)
        ))
    }
}

fn within(bytes: u64, slack: usize) -> String {
    match slack {
        0 => grouped(bytes),
        slack => format!("{} within {}", grouped(bytes), grouped(slack as u64)),
    }
}

/// By how much a plan of a cell may be off on an accelerator: what places of streams take there and on the processor.
pub(super) fn plan_slack(law: Law, steps: usize, states: &[usize]) -> usize {
    match law {
        Law::OneBitPerStateAndStep => {
            let layout = |device| remainder_bytes(states, device);
            steps * layout(DeviceKind::Cpu).abs_diff(layout(DeviceKind::Cuda(0)))
        }
        Law::NoBytePerStep | Law::PlannedBytesPerStep | Law::NoBytePerBlock => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cells, Measured};
    use super::*;

    /// Plan, ledger and pool of a cell.
    type Bytes = (usize, usize, usize);

    /// What is said of the group of a list that has this method, whose cells held so much.
    fn said(method: &str, held: &[Bytes], theory: &[usize]) -> Vec<String> {
        let list = include_str!("../../../tests/regress/small.toml").replace("[2, 4]", "[2, 4, 8]");
        let cells = Cells::parse("small.toml", &list, &registry::find).unwrap();
        let group = cells.groups.iter().find(|group| group.method.id == method).unwrap();
        let places: Vec<At> =
            group.blocks.iter().flat_map(|&b| group.steps.iter().map(move |&t| (t, b))).collect();
        assert_eq!(places.len(), held.len());
        let found = places.into_iter().zip(held).enumerate().map(|(index, (at, &(plan, ledger, pool)))| {
            let run = Measured { in_laws: ledger, most: Default::default(), heap: None, pool: Some(pool) };
            FoundCell {
                at,
                runs: Ok(vec![(1, run), (2, run)]),
                theory: theory.get(index).copied(),
                planned: Some(plan),
                plan_slack: 0,
            }
        });
        broken_on_pool(&Found { group, cells: found.collect() }).unwrap()
    }

    #[test]
    fn a_pool_that_does_not_grow_in_t_obeys_and_one_that_does_is_told() {
        let flat = (50_000, 50_000, 100_000);
        assert!(said("sltt", &[flat; 3], &[]).is_empty());
        // Grains: 1 % of what the pool held.
        assert!(said("sltt", &[flat, (50_000, 50_000, 101_000), flat], &[]).is_empty());
        assert_eq!(
            said("sltt", &[flat, (50_000, 50_000, 102_000), (50_000, 50_000, 106_000)], &[]),
            [
                "sltt holds no byte per extra step, by the pool: conv, T 2 to 4: expected 0 within 1,020, found 2,000",
                "sltt holds no byte per extra step, by the pool: conv, T 4 to 8: expected 0 within 1,060, found 4,000",
            ]
        );
        let shrunk = said("sltt", &[(50_000, 50_000, 110_000), flat, flat], &[]);
        assert!(
            shrunk.len() == 1 && shrunk[0].ends_with("expected 0 within 1,100, found -10,000"),
            "{shrunk:?}"
        );
    }

    #[test]
    fn a_pool_that_does_not_grow_in_depth_obeys_and_one_that_does_is_told() {
        let flat = (700, 700, 9_000);
        assert!(said("spatial-rev", &[flat; 2], &[]).is_empty());
        assert_eq!(
            said("spatial-rev", &[flat, (700, 700, 12_000)], &[]),
            ["spatial-rev holds no byte per extra block, by the pool: rev, T 2, 1 to 3 blocks a stage: \
              expected 0 within 120, found 3,000"]
        );
    }

    #[test]
    fn a_pool_grows_as_the_plan_does() {
        let held = [(1_000, 1_000, 1_500), (2_000, 2_000, 2_500), (4_000, 4_000, 4_500)];
        assert!(said("stbp", &held, &[1_000, 2_000, 4_000]).is_empty());
        let held = [(1_000, 1_000, 1_500), (2_000, 2_000, 2_500), (4_000, 4_000, 5_500)];
        assert_eq!(
            said("stbp", &held, &[1_000, 2_000, 4_000]),
            ["stbp holds the planned bytes per extra step, by the pool: conv, T 4 to 8: \
              expected 2,000 within 55, found 3,000"]
        );
    }

    #[test]
    fn the_plan_is_the_ledger_and_the_ledger_is_in_the_pool() {
        let cell = (700, 700, 700);
        assert!(said("spatial-rev", &[cell; 2], &[]).is_empty());
        assert_eq!(
            said("spatial-rev", &[(701, 700, 700), cell], &[]),
            ["spatial-rev holds what is planned: rev, 1 blocks a stage, T 2: expected 701, found 700"]
        );
        assert_eq!(
            said("spatial-rev", &[cell, (700, 700, 699)], &[]),
            ["spatial-rev holds in the pool what the ledger books: rev, 3 blocks a stage, T 2: \
              expected at least 700, found 699"]
        );
    }

    #[test]
    fn a_plan_may_have_the_processors_places_of_streams() {
        // One state of 8192 elements: 16 bytes of places a step there, 36 here.
        assert_eq!(plan_slack(Law::OneBitPerStateAndStep, 3, &[8192]), 3 * 20);
        assert_eq!(plan_slack(Law::NoBytePerStep, 3, &[8192]), 0);
        assert_eq!(within(1_000, 60), "1,000 within 60");
    }

    #[test]
    fn without_a_pool_the_reason_is_told() {
        let list = include_str!("../../../tests/regress/small.toml");
        let cells = Cells::parse("small.toml", list, &registry::find).unwrap();
        let run = Measured { in_laws: 1, most: Default::default(), heap: Some(2), pool: None };
        let cell =
            FoundCell { at: (2, None), runs: Ok(vec![(1, run)]), theory: None, planned: None, plan_slack: 0 };
        let found = Found { group: &cells.groups[0], cells: vec![cell] };
        assert_eq!(broken_on_pool(&found), Err(NO_POOL));
    }
}
