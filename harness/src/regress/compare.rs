//! What was measured against the laws, against itself on other threads, and against a baseline.

use engine::ledger::Category;
use results::MemoryRow;

use super::measure::{At, Measured};
use super::table::{grouped, signed};
use super::{Found, FoundCell, Group};

/// How far the heap may be from its baseline: one part in so many.
pub(super) const HEAP_PARTS: u64 = 100;

/// What a comparison with a baseline found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// One line a broken cell.
    pub broken: Vec<String>,
    /// What was not compared, and why.
    pub notes: Vec<String>,
}

/// One line for each law that a group breaks between two neighbouring cells, each cell that could not be measured, and
/// each that holds other bytes on other threads.
#[must_use]
pub fn broken_laws(found: &Found<'_>) -> Vec<String> {
    let group = found.group;
    let mut broken = Vec::new();
    for cell in &found.cells {
        match &cell.runs {
            Err(error) => {
                broken.push(format!(
                    "{} can't be measured: {}: {error}",
                    group.method.id,
                    place(group, cell.at)
                ));
            }
            Ok(runs) => broken.extend(differing_threads(group, cell.at, runs)),
        }
    }
    let pairs = neighbours(group, &found.cells, |cell| cell.at);
    broken.extend(pairs.filter_map(|(first, next)| broken_between(group, first, next)));
    broken
}

/// Pairs that differ in what a group's law is about and in nothing else, each with the next one of its line.
pub(super) fn neighbours<'c, C>(
    group: &Group,
    cells: &'c [C],
    at: impl Fn(&C) -> At,
) -> impl Iterator<Item = (&'c C, &'c C)> {
    let of_blocks = group.law.is_of_blocks();
    let line = move |at: At| if of_blocks { Err(at.0) } else { Ok(at.1) };
    cells.iter().enumerate().filter_map(move |(index, first)| {
        let next = cells[index + 1..].iter().find(|next| line(at(next)) == line(at(first)))?;
        Some((first, next))
    })
}

/// From which cell to which.
pub(super) fn span(group: &Group, first: At, second: At) -> String {
    match (first, second) {
        ((from, blocks), (to, _)) if from != to => format!("{}, T {from} to {to}", network(group, blocks)),
        ((steps, from), (_, to)) => {
            let blocks =
                [from, to].map(|blocks| blocks.map_or("own".to_owned(), |blocks| blocks.to_string()));
            format!("{}, T {steps}, {} to {} blocks a stage", group.network, blocks[0], blocks[1])
        }
    }
}

/// Bytes that the law lets a step grow by from one cell to the next; none where theory has no number for it.
pub(super) fn expected_growth(first: Option<usize>, second: Option<usize>) -> i64 {
    match (first, second) {
        (Some(first), Some(second)) => second as i64 - first as i64,
        _ => 0,
    }
}

fn broken_between(group: &Group, first: &FoundCell, second: &FoundCell) -> Option<String> {
    let in_laws = |cell: &FoundCell| Some(cell.runs.as_ref().ok()?.first()?.1.in_laws as i64);
    let grown = in_laws(second)? - in_laws(first)?;
    let expected = expected_growth(first.theory, second.theory);
    if grown == expected {
        return None;
    }
    Some(format!(
        "{} {}: {}: expected {}, found {}",
        group.method.id,
        group.law.words(),
        span(group, first.at, second.at),
        signed(expected),
        signed(grown)
    ))
}

fn differing_threads(group: &Group, at: At, runs: &[(usize, Measured)]) -> Option<String> {
    let (&(threads, first), others) = runs.split_first()?;
    for &(more, run) in others {
        if run.in_laws != first.in_laws {
            return Some(differing(group, at, (threads, more), "law", (first.in_laws, run.in_laws)));
        }
        let differs = Category::ALL.iter().find(|&&category| {
            category != Category::Workspace && run.most[category as usize] != first.most[category as usize]
        });
        if let Some(&category) = differs {
            let bytes = (first.most[category as usize], run.most[category as usize]);
            return Some(differing(group, at, (threads, more), category.id(), bytes));
        }
    }
    None
}

fn differing(
    group: &Group,
    at: At,
    (few, more): (usize, usize),
    what: &str,
    (expected, found): (usize, usize),
) -> String {
    format!(
        "{} holds the same bytes on {few} and {more} threads: {}: {what}: expected {}, found {}",
        group.method.id,
        place(group, at),
        grouped(expected as u64),
        grouped(found as u64)
    )
}

/// Compares rows of this machine with those of a baseline, each with its line in `file`.
///
/// What does not depend on the instruction set is compared with the rows of every set, heap and workspace with those of
/// this machine's alone.
#[must_use]
pub fn against(measured: &[MemoryRow], baseline: &[(usize, MemoryRow)], file: &str) -> Comparison {
    let mut comparison = Comparison::default();
    let (mut skipped, mut alone) = (std::collections::BTreeMap::<&str, usize>::new(), 0);
    for row in measured {
        let mut own = false;
        let mut any = false;
        for (line, expected) in baseline.iter().filter(|(_, expected)| expected.same_cell(row)) {
            any = true;
            let mut differs = Vec::new();
            for ((name, expected), (_, found)) in expected.categories().into_iter().zip(row.categories()) {
                if expected != found {
                    differs.push(misfit(name, grouped(expected), Some(found)));
                }
            }
            if expected.instruction_set == row.instruction_set {
                own = true;
                differs.extend(of_this_machine(expected, row));
            } else {
                *skipped.entry(&expected.instruction_set).or_default() += 1;
            }
            if !differs.is_empty() {
                comparison.broken.push(format!(
                    "{} holds the bytes of the baseline: {}: {} ({file} line {line})",
                    row.method,
                    place_of(row),
                    differs.join("; ")
                ));
            }
        }
        if !any {
            comparison.broken.push(format!(
                "{} holds the bytes of the baseline: {}: expected a row, found none in {file}; --update adds it",
                row.method,
                place_of(row)
            ));
        } else if !own {
            alone += 1;
        }
    }
    for (set, rows) in skipped {
        comparison.notes.push(format!("heap and workspace of {rows} rows skipped: measured with {set}"));
    }
    if alone > 0 {
        let set = kernels::instruction_set();
        comparison
            .notes
            .push(format!("{alone} rows have no heap and workspace for {set}; --update adds them"));
    }
    comparison
}

/// Heap and workspace, which depend on the machine.
fn of_this_machine(expected: &MemoryRow, found: &MemoryRow) -> Vec<String> {
    let mut differs = Vec::new();
    if expected.workspace_bytes != found.workspace_bytes {
        let rule = grouped(expected.workspace_bytes);
        differs.push(misfit("workspace_bytes", rule, Some(found.workspace_bytes)));
    }
    let near = match (expected.heap_bytes, found.heap_bytes) {
        (Some(expected), Some(found)) => expected.abs_diff(found) <= expected / HEAP_PARTS,
        (expected, found) => expected == found,
    };
    if !near {
        let rule =
            expected.heap_bytes.map_or("none".to_owned(), |bytes| format!("{} within 1 %", grouped(bytes)));
        differs.push(misfit("heap_bytes", rule, found.heap_bytes));
    }
    differs
}

fn misfit(name: &str, expected: String, found: Option<u64>) -> String {
    let name = name.trim_end_matches("_bytes").replace('_', "-");
    format!("{name}: expected {expected}, found {}", found.map_or("none".to_owned(), grouped))
}

fn place_of(row: &MemoryRow) -> String {
    let blocks = row.blocks.map_or(String::new(), |blocks| format!(", {blocks} blocks a stage"));
    let threads = if row.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", row.threads) };
    format!("{}, T {}{blocks}, {threads}", row.network, row.steps_t)
}

pub(super) fn place(group: &Group, (steps, blocks): At) -> String {
    format!("{}, T {steps}", network(group, blocks))
}

fn network(group: &Group, blocks: Option<usize>) -> String {
    let blocks = blocks.map_or(String::new(), |blocks| format!(", {blocks} blocks a stage"));
    format!("{}{blocks}", group.network)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::regress::Cells;

    /// A group whose cells held so many bytes of the laws on each number of threads.
    fn complaints(held: [[usize; 2]; 3]) -> Vec<String> {
        let list = include_str!("../../../tests/regress/small.toml").replace("[2, 4]", "[2, 4, 8]");
        let cells = Cells::parse("small.toml", &list, &registry::find).unwrap();
        let group = &cells.groups[0];
        let run = |in_laws| Measured { in_laws, most: Default::default(), heap: None, pool: None };
        let found = group.steps.iter().zip(held).map(|(&steps, [one, two])| FoundCell {
            at: (steps, None),
            runs: Ok(vec![(1, run(one)), (2, run(two))]),
            theory: None,
            planned: None,
            plan_slack: 0,
        });
        broken_laws(&Found { group, cells: found.collect() })
    }

    #[test]
    fn a_law_is_broken_from_one_cell_to_the_next_in_either_direction() {
        assert!(complaints([[9, 9]; 3]).is_empty());
        assert_eq!(
            complaints([[9, 9], [4_194_313, 4_194_313], [4_194_309, 4_194_309]]),
            [
                "sltt holds no byte per extra step: conv, T 2 to 4: expected 0, found 4,194,304",
                "sltt holds no byte per extra step: conv, T 4 to 8: expected 0, found -4",
            ]
        );
    }

    #[test]
    fn bytes_that_depend_on_threads_are_told() {
        assert_eq!(
            complaints([[9, 9], [9, 1009], [9, 9]]),
            ["sltt holds the same bytes on 1 and 2 threads: conv, T 4: law: expected 9, found 1,009"]
        );
    }

    #[test]
    fn the_heap_may_be_one_percent_off_and_the_workspace_no_byte() {
        let row = |heap, workspace_bytes| MemoryRow {
            heap_bytes: Some(heap),
            workspace_bytes,
            threads: 1,
            ..MemoryRow::default()
        };
        let broken = |heap, workspace| against(&[row(heap, workspace)], &[(2, row(1000, 5))], "m.csv").broken;
        assert!(broken(990, 5).is_empty() && broken(1010, 5).is_empty());
        for (heap, workspace, complaint) in [
            (989, 5, "heap: expected 1,000 within 1 %, found 989 (m.csv line 2)"),
            (1011, 5, "heap: expected 1,000 within 1 %, found 1,011 (m.csv line 2)"),
            (1000, 6, "workspace: expected 5, found 6 (m.csv line 2)"),
        ] {
            let said = broken(heap, workspace);
            assert!(said.len() == 1 && said[0].ends_with(complaint), "{said:?}");
        }
    }
}
