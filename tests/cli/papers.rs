//! Papers' tables: the flag, and that each command in an empty cell runs something.

use std::collections::BTreeSet;
use std::fs;

use results::{PAPERS, Paper, Records, paper};

use crate::{printed, refused};

/// The folder that commands name.
const FOLDER: &str = "results/records/nowhere";

#[test]
fn a_paper_that_is_not_on_file_is_refused_with_those_that_are() {
    let folder = tempfile::tempdir().unwrap();
    let said = refused(&["report", folder.path().to_str().unwrap(), "--paper", "trev"]);
    assert!(said.contains("'trev'") && said.contains("ottt, revsnn, sltt, trevsnn"), "{said}");
    let said = refused(&["report", folder.path().to_str().unwrap(), "--paper", "sltt"]);
    assert!(said.contains("no records here"), "{said}");
    assert!(printed(&["report", "--help"]).contains("published number beside"), "the help teaches");
}

/// The commands that a paper's tables print where nothing was measured.
fn commands(paper: &Paper) -> BTreeSet<String> {
    let mut commands = BTreeSet::new();
    for grid in paper::grids(paper, &Records::default(), FOLDER).unwrap() {
        let Some(place) = grid.columns.iter().position(|column| column.key == "verdict") else { continue };
        for cells in grid.groups.iter().flat_map(|group| &group.rows) {
            let verdict = cells[place].display();
            commands.extend(verdict.find("harness --suite").map(|at| verdict[at..].to_owned()));
        }
    }
    commands
}

#[test]
fn every_command_in_an_empty_cell_runs_something() {
    for paper in PAPERS {
        let commands = commands(paper);
        assert!(!commands.is_empty(), "{}", paper.id);
        // To plan a network takes about a second: one command of each is enough.
        let mut seen = BTreeSet::new();
        for command in commands {
            let of = command.split(" --method ").next().unwrap_or_default().to_owned();
            if !seen.insert(of) {
                continue;
            }
            let mut words: Vec<&str> = command.split(' ').skip(1).collect();
            // Without files stand-ins take the sets' place, a few samples of them, and weights are drawn.
            for flag in ["--data", "--limit", "--batch", "--weights"] {
                if let Some(at) = words.iter().position(|word| *word == flag) {
                    words.drain(at..at + 2);
                }
            }
            words.push("--dry-run");
            let told = printed(&words);
            assert!(told.contains("  run"), "{command}\n{told}");
        }
    }
}

#[test]
fn a_report_writes_a_papers_page() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let records = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/records/scaling-2026-11-25");
    let told = printed(&["report", records, "--paper", "trevsnn", "--to", out.to_str().unwrap()]);
    assert!(
        told.contains("T-RevSNN: cost against its rivals") && told.contains("paper-trevsnn.html"),
        "{told}"
    );
    let page = fs::read_to_string(out.join("paper-trevsnn.html")).unwrap();
    assert!(page.contains("--paper trevsnn --to") && page.contains("not measured: "));
}
