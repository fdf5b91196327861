//! The memory gate on the command line, with a list of its own that takes a moment.

use std::fs;
use std::path::PathBuf;

use super::{harness, printed, refused};

const CELLS: &str = include_str!("../regress/small.toml");

/// A folder with the small list and a baseline of it.
struct Gate {
    folder: tempfile::TempDir,
}

impl Gate {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn new() -> Self {
        let gate = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(gate.path("cells.toml"), CELLS).unwrap();
        gate
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let (cells, baseline) = (self.path("cells.toml"), self.path("memory.csv"));
        let own = ["regress", "--cells", cells.to_str().unwrap(), "--baseline", baseline.to_str().unwrap()];
        own.iter().chain(more).map(ToString::to_string).collect()
    }

    /// Exit code and standard output.
    fn run(&self, more: &[&str]) -> (i32, String) {
        let arguments = self.arguments(more);
        let output = harness(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, "", "{arguments:?}");
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    }

    fn refused(&self, more: &[&str]) -> String {
        refused(&self.arguments(more).iter().map(String::as_str).collect::<Vec<_>>())
    }
}

#[test]
fn a_changed_number_breaks_the_gate_and_an_update_mends_it() {
    let gate = Gate::new();
    let baseline = gate.path("memory.csv");
    let (code, said) = gate.run(&["--update"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("memory.csv written: 20 rows are new or changed"), "{said}");
    assert!(said.contains("name the cause in CHANGELOG.md"), "{said}");
    let text = fs::read_to_string(&baseline).unwrap();

    let (code, said) = gate.run(&[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("every law holds") && said.contains("bytes are those of"), "{said}");

    // What the traces of the first row held.
    let line = text.lines().nth(1).unwrap();
    assert!(line.starts_with("1,conv,ottt-a,2,,1,"), "{line}");
    let mut cells: Vec<&str> = line.split(',').collect();
    let column = text.lines().next().unwrap().split(',').position(|name| name == "traces_bytes").unwrap();
    let held: u64 = cells[column].parse().unwrap();
    assert!(held > 0);
    let other = (held + 4).to_string();
    cells[column] = &other;
    fs::write(&baseline, text.replacen(line, &cells.join(","), 1)).unwrap();
    let (code, said) = gate.run(&[]);
    assert_eq!(code, 1, "{said}");
    let start = "ottt-a holds the bytes of the baseline: conv, T 2, 1 thread: traces: expected ";
    assert!(said.starts_with(start) && said.contains("memory.csv line 2)"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");

    let (code, said) = gate.run(&["--update"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("1 rows are new or changed"), "{said}");
    assert_eq!(fs::read_to_string(&baseline).unwrap(), text);
}

#[test]
fn rows_of_another_instruction_set_are_compared_without_heap_and_workspace() {
    let gate = Gate::new();
    assert_eq!(gate.run(&["--update"]).0, 0);
    let text = fs::read_to_string(gate.path("memory.csv")).unwrap();
    let other: Vec<String> = text
        .lines()
        .map(|line| {
            let mut cells: Vec<&str> = line.split(',').collect();
            if cells[6] != "instruction_set" {
                // Any other set, and a workspace that is nobody's.
                (cells[6], cells[19]) = ("another", "1");
            }
            cells.join(",")
        })
        .collect();
    fs::write(gate.path("memory.csv"), other.join("\n") + "\n").unwrap();
    let (code, said) = gate.run(&[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("note: heap and workspace of 20 rows skipped: measured with another"), "{said}");
    // An update adds this machine's and keeps the others.
    assert_eq!(gate.run(&["--update"]).0, 0);
    let both = fs::read_to_string(gate.path("memory.csv")).unwrap();
    assert_eq!(both.lines().count(), 1 + 2 * 20, "{both}");
    assert_eq!(gate.run(&[]).0, 0);
    // A byte of theirs that no longer holds breaks the gate here too, and an update leaves the row out.
    let line = both.lines().find(|line| line.contains(",another,")).unwrap();
    let (start, end) = line.split_once(",another,").unwrap();
    fs::write(gate.path("memory.csv"), both.replacen(line, &format!("{start},another,1{end}"), 1)).unwrap();
    let (code, said) = gate.run(&[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("conv, T 2, 1 thread: law: expected 1"), "{said}");
    let (code, said) = gate.run(&["--update"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("0 rows are new or changed") && said.contains("1 rows of other"), "{said}");
    assert!(!said.contains("CHANGELOG"), "{said}");
    assert_eq!(fs::read_to_string(gate.path("memory.csv")).unwrap().lines().count(), 2 * 20, "{said}");
}

#[test]
fn a_missing_or_foreign_baseline_is_refused() {
    let gate = Gate::new();
    assert!(gate.refused(&[]).contains("cannot read ") && gate.refused(&[]).contains("memory.csv"));
    fs::write(gate.path("memory.csv"), "trial,attempt\n").unwrap();
    for more in [&[][..], &["--update"]] {
        let said = gate.refused(more);
        assert!(said.contains("memory.csv line 1: expected the columns schema,network,method,"), "{said}");
    }
    assert_eq!(fs::read_to_string(gate.path("memory.csv")).unwrap(), "trial,attempt\n");
}

#[test]
fn without_a_baseline_the_laws_alone_are_judged_and_the_pool_says_why_it_is_not() {
    let gate = Gate::new();
    let cells = gate.path("cells.toml");
    let only = ["regress", "--cells", cells.to_str().unwrap()];
    let said = printed(&only);
    assert!(said.contains("the pool: not judged: no pool on the processor"), "{said}");
    assert!(said.ends_with("every law holds\n") && !said.contains("bytes are those of"), "{said}");
    let said = refused(&[&only[..], &["--update"]].concat());
    assert!(said.contains("--baseline <FILE.csv>"), "{said}");
}

#[test]
fn a_row_of_no_cell_is_refused_until_an_update() {
    let gate = Gate::new();
    assert_eq!(gate.run(&["--update"]).0, 0);
    let fewer = CELLS.replacen("[\"sltt\", \"ottt-a\"]", "[\"sltt\"]", 1);
    assert_ne!(fewer, CELLS);
    fs::write(gate.path("cells.toml"), fewer).unwrap();
    let said = gate.refused(&[]);
    assert!(said.contains("memory.csv line 2: expected a cell of the list"), "{said}");
    assert!(said.contains("found `conv, ottt-a, T 2`"), "{said}");
    assert_eq!(gate.run(&["--update"]).0, 0);
    assert_eq!(gate.run(&[]).0, 0);
    // A cell that the baseline lacks is broken, not refused.
    fs::write(gate.path("cells.toml"), CELLS).unwrap();
    let (code, said) = gate.run(&[]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.starts_with("ottt-a holds the bytes of the baseline: conv, T 2, 1 thread: expected a row"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 4, "{said}");
}

#[test]
fn a_list_is_refused_with_line_and_rule() {
    let gate = Gate::new();
    for (from, to, complaint) in [
        ("\"ottt-a\"", "\"ottt-aa\"", "cells.toml:13: unknown method 'ottt-aa'; did you mean 'ottt-a'?"),
        (
            "steps = [2, 4]",
            "steps = [4, 2]",
            "network conv: steps (T) must be at least 2 numbers in 2..=1024",
        ),
        ("steps = [2, 4]", "steps = [1, 2]", "got [1, 2]"),
        (", blocks = [1, 3]", "", "network rev: blocks must be at least 2 numbers"),
        ("classes = 4", "clases = 4", "unknown key 'clases'; did you mean 'classes'?"),
    ] {
        let wrong = CELLS.replacen(from, to, 1);
        assert_ne!(wrong, CELLS, "{from}");
        fs::write(gate.path("cells.toml"), wrong).unwrap();
        let said = gate.refused(&["--update"]);
        assert!(said.contains(complaint), "{said}");
    }
}
