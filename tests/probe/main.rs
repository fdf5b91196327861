//! Every golden case in `tests/golden` agrees with the authors' code, tensor by tensor, through the program itself.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers included")]

mod counts;

use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders with a case that `probe` can replay: all but the reference steps of optimisers.
fn cases() -> Vec<PathBuf> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(golden)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("case.json").is_file() && !path.ends_with("optimiser"))
        .collect();
    cases.sort();
    cases
}

#[test]
fn every_golden_case_agrees_with_the_authors_code() {
    let cases = cases();
    assert!(cases.len() >= 25, "cases went missing: {cases:?}");
    let mut failed = Vec::new();
    for case in cases {
        let output = Command::new(env!("CARGO_BIN_EXE_harness")).arg("probe").arg(&case).output().unwrap();
        if output.status.code() != Some(0) {
            let (said, complained) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            failed.push(format!("{}:\n{said}{complained}", case.display()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
