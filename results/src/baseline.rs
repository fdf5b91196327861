//! The baseline of the memory gate: what each of its cells held when the file was written.
//!
//! Unlike a campaign, the file is replaced as a whole: sorted by key, one line a row, so that a change of a number is
//! a change of a line in a version control's view.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::store::write_whole;

/// The version of the baseline's format.
pub const BASELINE_SCHEMA: u32 = 1;

/// One measured training step: a cell on a number of threads, with an instruction set.
///
/// Bytes are the most of each category at any moment of the step. All but the heap and the workspace are the same for
/// any number of threads and any instruction set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryRow {
    /// Version of the format.
    pub schema: u32,
    /// Id of the network in the list of cells.
    pub network: String,
    /// Method id.
    pub method: String,
    /// Number of time steps T.
    pub steps_t: u32,
    /// Blocks in every stage; empty for the model's own.
    pub blocks: Option<u32>,
    /// Number of threads.
    pub threads: u32,
    /// Instruction set of the kernels: `avx512`, `avx2` or `portable`.
    pub instruction_set: String,
    /// Largest sum of the categories that the memory laws are stated on.
    pub law_bytes: u64,
    /// Trainable scalars and running statistics.
    pub parameters_bytes: u64,
    /// Accumulators of parameter gradients.
    pub gradients_bytes: u64,
    /// The optimiser's state.
    pub optimiser_bytes: u64,
    /// The moving average of parameters.
    pub average_bytes: u64,
    /// What the tape keeps for backward.
    pub saved_bytes: u64,
    /// Membranes and carried values.
    pub state_bytes: u64,
    /// Presynaptic traces.
    pub traces_bytes: u64,
    /// The batch.
    pub input_bytes: u64,
    /// Values on their way from one op to the next.
    pub passing_bytes: u64,
    /// Gradients of activations.
    pub activation_gradients_bytes: u64,
    /// Peak of the heap above what was live before the step; empty on more than one thread.
    pub heap_bytes: Option<u64>,
    /// Scratch that the kernels ask for.
    pub workspace_bytes: u64,
}

/// What tells a row from all others.
type Key<'r> = (&'r str, &'r str, u32, Option<u32>, u32, &'r str);

impl MemoryRow {
    /// The columns in the order in which they are written.
    pub const COLUMNS: &'static [&'static str] = &[
        "schema",
        "network",
        "method",
        "steps_t",
        "blocks",
        "threads",
        "instruction_set",
        "law_bytes",
        "parameters_bytes",
        "gradients_bytes",
        "optimiser_bytes",
        "average_bytes",
        "saved_bytes",
        "state_bytes",
        "traces_bytes",
        "input_bytes",
        "passing_bytes",
        "activation_gradients_bytes",
        "heap_bytes",
        "workspace_bytes",
    ];

    /// Whether both are the same cell on the same number of threads.
    #[must_use]
    pub fn same_cell(&self, other: &Self) -> bool {
        let cell = |row: &Self| (row.steps_t, row.blocks, row.threads);
        self.network == other.network && self.method == other.method && cell(self) == cell(other)
    }

    /// What does not depend on the instruction set, by the name of its column.
    #[must_use]
    pub fn categories(&self) -> [(&'static str, u64); 11] {
        [
            ("law_bytes", self.law_bytes),
            ("parameters_bytes", self.parameters_bytes),
            ("gradients_bytes", self.gradients_bytes),
            ("optimiser_bytes", self.optimiser_bytes),
            ("average_bytes", self.average_bytes),
            ("saved_bytes", self.saved_bytes),
            ("state_bytes", self.state_bytes),
            ("traces_bytes", self.traces_bytes),
            ("input_bytes", self.input_bytes),
            ("passing_bytes", self.passing_bytes),
            ("activation_gradients_bytes", self.activation_gradients_bytes),
        ]
    }

    fn key(&self) -> Key<'_> {
        (&self.network, &self.method, self.steps_t, self.blocks, self.threads, &self.instruction_set)
    }
}

/// The rows of a baseline, each with its line in the file.
///
/// # Errors
/// When the file can't be read, or a line is not what this version writes; the message says file, line and rule.
pub fn read_baseline(path: &Path) -> Result<Vec<(usize, MemoryRow)>, Error> {
    let text =
        std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let wrong = |line: usize, expected: String, found: String| Error::Baseline {
        path: path.to_owned(),
        line,
        expected,
        found,
    };
    let header = text.lines().next().unwrap_or_default();
    if header.split(',').ne(MemoryRow::COLUMNS.iter().copied()) {
        return Err(wrong(1, format!("the columns {}", MemoryRow::COLUMNS.join(",")), header.to_owned()));
    }
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let mut rows: Vec<(usize, MemoryRow)> = Vec::new();
    for (index, record) in reader.deserialize().enumerate() {
        let line = index + 2;
        let found = || text.lines().nth(line - 1).unwrap_or_default().to_owned();
        let row: MemoryRow = record.map_err(|error| {
            wrong(line, format!("a row of {} columns ({error})", MemoryRow::COLUMNS.len()), found())
        })?;
        if row.schema != BASELINE_SCHEMA {
            return Err(wrong(line, format!("schema {BASELINE_SCHEMA}"), row.schema.to_string()));
        }
        if let Some((first, _)) = rows.iter().find(|(_, other)| other.key() == row.key()) {
            return Err(wrong(line, format!("a cell that line {first} does not have"), found()));
        }
        rows.push((line, row));
    }
    Ok(rows)
}

/// Replaces a baseline by these rows, sorted.
///
/// # Errors
/// When the file can't be written.
pub fn write_baseline(path: &Path, rows: &[MemoryRow]) -> Result<(), Error> {
    let encode = |reason: String| Error::Encode { file: "a memory baseline", reason };
    let mut rows: Vec<&MemoryRow> = rows.iter().collect();
    rows.sort_by_key(|row| row.key());
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record(MemoryRow::COLUMNS).map_err(|error| encode(error.to_string()))?;
    for row in rows {
        writer.serialize(row).map_err(|error| encode(error.to_string()))?;
    }
    let text = writer.into_inner().map_err(|error| encode(error.to_string()))?;
    write_whole(path, &text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row(network: &str, steps_t: u32, saved_bytes: u64) -> MemoryRow {
        MemoryRow {
            schema: BASELINE_SCHEMA,
            network: network.to_owned(),
            method: "m".to_owned(),
            steps_t,
            threads: 1,
            instruction_set: "portable".to_owned(),
            saved_bytes,
            heap_bytes: (steps_t == 2).then_some(9),
            ..MemoryRow::default()
        }
    }

    #[test]
    fn what_is_written_is_read_in_the_order_of_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory.csv");
        let rows = [row("b", 2, 5), row("a", 10, 4), row("a", 2, 3)];
        write_baseline(&path, &rows).unwrap();
        let once = std::fs::read_to_string(&path).unwrap();
        let read = read_baseline(&path).unwrap();
        assert_eq!(read, [(2, rows[2].clone()), (3, rows[1].clone()), (4, rows[0].clone())]);
        let again: Vec<MemoryRow> = read.into_iter().map(|(_, row)| row).collect();
        write_baseline(&path, &again).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), once);
    }

    #[test]
    fn what_is_foreign_is_refused_with_file_line_and_rule() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory.csv");
        write_baseline(&path, &[row("a", 2, 3), row("a", 4, 3)]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to, complaint) in [
            ("schema,", "scheme,", "memory.csv line 1: expected the columns schema,network,"),
            ("\n1,a,m,4", "\n2,a,m,4", "memory.csv line 3: expected schema 1, found `2`"),
            ("\n1,a,m,4", "\n1,a,m,four", "memory.csv line 3: expected a row of 20 columns"),
            ("\n1,a,m,4", "\n1,a,m,2", "memory.csv line 3: expected a cell that line 2 does not have"),
        ] {
            let wrong = text.replacen(from, to, 1);
            assert_ne!(wrong, text, "{from}");
            std::fs::write(&path, wrong).unwrap();
            let said = read_baseline(&path).unwrap_err().to_string();
            assert!(said.contains(complaint), "{said}");
        }
    }
}
