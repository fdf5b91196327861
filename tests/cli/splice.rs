//! Documents whose tables are spliced from records: the README is fresh, and one byte makes it stale.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{harness, printed, refused};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A document with one table of a copy of the README's records, in a folder of its own, spliced.
fn document(folder: &Path) -> (PathBuf, PathBuf) {
    let records = folder.join("records");
    fs::create_dir(&records).unwrap();
    for entry in fs::read_dir(root().join("results/records/smoke-2026-11-28")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), records.join(entry.file_name())).unwrap();
        }
    }
    let document = folder.join("README.md");
    let text = "# One\n\n<!-- begin table comparison of records -->\n<!-- end -->\n\n<!-- begin steps -->\nkept\n<!-- end steps -->\n";
    fs::write(&document, text).unwrap();
    let told = printed(&["splice", document.to_str().unwrap()]);
    assert!(told.starts_with("written  ") && told.contains("table comparison of records"), "{told}");
    (document, records)
}

/// What `--check` says of a stale document.
fn stale(document: &Path) -> String {
    let output = harness(&["splice", document.to_str().unwrap(), "--check"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    told
}

/// The check of this repository's own tables: where it fails, the message has the command to run.
#[test]
fn the_readmes_tables_are_what_the_records_say() {
    let output = harness(&["splice", "--check", root().join("README.md").to_str().unwrap()]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn one_other_byte_in_any_file_of_records_makes_a_document_stale() {
    let folder = tempfile::tempdir().unwrap();
    let (document, records) = document(folder.path());
    let path = document.to_str().unwrap();
    assert!(printed(&["splice", path, "--check"]).starts_with("fresh"));
    let written = fs::read_to_string(&document).unwrap();
    assert!(
        written.contains("### tiny-conv on fashion-mnist-mini") && written.contains("Made by `cargo run")
    );
    assert!(written.ends_with("<!-- begin steps -->\nkept\n<!-- end steps -->\n"), "{written}");
    for file in ["trials.csv", "curve.csv", "ledger.csv", "ops.csv", "fidelity.csv", "meter.csv"] {
        let kept = fs::read(records.join(file)).unwrap();
        let mut bytes = kept.clone();
        // The last digit of the file: a byte that no table may show.
        let digit = bytes.iter().rposition(u8::is_ascii_digit).unwrap();
        bytes[digit] = if bytes[digit] == b'1' { b'2' } else { b'1' };
        fs::write(records.join(file), bytes).unwrap();
        let told = stale(&document);
        assert!(told.contains("table comparison of records") && told.contains("line 3"), "{file}: {told}");
        assert!(told.contains(&format!("cargo run -p harness -- splice {path}")), "{told}");
        assert_eq!(fs::read_to_string(&document).unwrap(), written, "a check writes nothing");
        fs::write(records.join(file), kept).unwrap();
    }
    // A number that the table shows is another one after it, and the check is content again.
    let text = fs::read_to_string(records.join("trials.csv")).unwrap();
    assert!(text.contains(",0.863,"));
    fs::write(records.join("trials.csv"), text.replacen(",0.863,", ",0.913,", 1)).unwrap();
    stale(&document);
    printed(&["splice", path]);
    assert!(fs::read_to_string(&document).unwrap().contains("| 91.30 |"));
    assert!(printed(&["splice", path, "--check"]).starts_with("fresh"));
}

#[test]
fn a_typed_number_makes_a_document_stale() {
    let folder = tempfile::tempdir().unwrap();
    let (document, _) = document(folder.path());
    let written = fs::read_to_string(&document).unwrap();
    let typed = written.replacen("| 86.30 |", "| 96.30 |", 1);
    assert_ne!(typed, written);
    fs::write(&document, typed).unwrap();
    stale(&document);
    printed(&["splice", document.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&document).unwrap(), written);
}

#[test]
fn a_charts_file_is_checked_beside_its_document() {
    let folder = tempfile::tempdir().unwrap();
    let (document, _) = document(folder.path());
    let mut text = fs::read_to_string(&document).unwrap();
    text.push_str("<!-- begin chart step-time of records in . -->\n<!-- end -->\n");
    fs::write(&document, text).unwrap();
    printed(&["splice", document.to_str().unwrap()]);
    let chart = folder.path().join("step-time.svg");
    let drawn = fs::read_to_string(&chart).unwrap();
    assert!(drawn.contains("From the records records (SHA-256 "), "{drawn}");
    fs::remove_file(&chart).unwrap();
    assert!(stale(&document).contains("step-time.svg: chart step-time of records in ."));
    printed(&["splice", document.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&chart).unwrap(), drawn);
}

#[test]
fn markers_that_can_not_be_followed_are_refused_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let (document, _) = document(folder.path());
    for (text, complaint) in [
        ("none\n", "must have a marker"),
        ("\n<!-- begin table comparison of records -->\n", "line 2: the block must have an end"),
        (
            "<!-- begin table comparison records -->\n<!-- end -->\n",
            "line 1: a marker must read `table ID of DIR`",
        ),
        (
            "<!-- begin table comparisons of records -->\n<!-- end -->\n",
            "no table is called 'comparisons'. Known: ",
        ),
        ("<!-- begin table scaling of records -->\n<!-- end -->\n", "nothing for table 'scaling'"),
        ("<!-- begin table comparison of nowhere -->\n<!-- end -->\n", "no records here"),
        (
            "<!-- begin table memory of records -->\n<!-- begin table memory of records -->\n<!-- end -->\n",
            "line 2: the block of line 1 must end before it",
        ),
    ] {
        fs::write(&document, text).unwrap();
        let said = refused(&["splice", document.to_str().unwrap()]);
        assert!(said.contains(complaint), "{said}");
        assert_eq!(fs::read_to_string(&document).unwrap(), text, "nothing was written");
    }
}
