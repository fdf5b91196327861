//! What was measured against the laws, against itself on other threads, and against a baseline.

use results::MemoryRow;

use super::measure::{At, Measured};
use super::table::grouped;
use super::{Found, FoundCell, Group};

/// How far the heap may be from its baseline: one part in so many.
const HEAP_PARTS: u64 = 100;

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
    let of_blocks = group.law.is_of_blocks();
    // Neighbours differ in what the law is about and in nothing else.
    let line = |at: At| if of_blocks { Err(at.0) } else { Ok(at.1) };
    for (index, first) in found.cells.iter().enumerate() {
        let next = found.cells[index + 1..].iter().find(|next| line(next.at) == line(first.at));
        broken.extend(next.and_then(|next| broken_between(group, first, next)));
    }
    broken
}

fn broken_between(group: &Group, first: &FoundCell, second: &FoundCell) -> Option<String> {
    let in_laws = |cell: &FoundCell| Some(cell.runs.as_ref().ok()?.first()?.1.in_laws as i64);
    let grown = in_laws(second)? - in_laws(first)?;
    let expected = match (first.theory, second.theory) {
        (Some(first), Some(second)) => second as i64 - first as i64,
        _ => 0,
    };
    if grown == expected {
        return None;
    }
    let span = match (first.at, second.at) {
        ((from, blocks), (to, _)) if from != to => format!("{}, T {from} to {to}", network(group, blocks)),
        ((steps, from), (_, to)) => {
            let blocks =
                [from, to].map(|blocks| blocks.map_or("own".to_owned(), |blocks| blocks.to_string()));
            format!("{}, T {steps}, {} to {} blocks a stage", group.network, blocks[0], blocks[1])
        }
    };
    Some(format!(
        "{} {}: {span}: expected {}, found {}",
        group.method.id,
        group.law.words(),
        signed(expected),
        signed(grown)
    ))
}

fn differing_threads(group: &Group, at: At, runs: &[(usize, Measured)]) -> Option<String> {
    use engine::ledger::Category;
    let (&(threads, first), others) = runs.split_first()?;
    for &(more, run) in others {
        let differs = Category::ALL.iter().find(|&&category| {
            category != Category::Workspace && run.most[category as usize] != first.most[category as usize]
        });
        if let Some(&category) = differs {
            let bytes = |run: Measured| grouped(run.most[category as usize] as u64);
            return Some(format!(
                "{} holds the same bytes on {threads} and {more} threads: {}: {}: expected {}, found {}",
                group.method.id,
                place(group, at),
                category.id(),
                bytes(first),
                bytes(run)
            ));
        }
    }
    None
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

fn place(group: &Group, (steps, blocks): At) -> String {
    format!("{}, T {steps}", network(group, blocks))
}

fn network(group: &Group, blocks: Option<usize>) -> String {
    let blocks = blocks.map_or(String::new(), |blocks| format!(", {blocks} blocks a stage"));
    format!("{}{blocks}", group.network)
}

fn signed(bytes: i64) -> String {
    let size = grouped(bytes.unsigned_abs());
    if bytes < 0 { format!("-{size}") } else { size }
}
