//! Records of another version: what the program says, and the command that it names.

use std::fs;
use std::path::Path;

use crate::{printed, refused};

#[test]
fn an_older_folder_is_refused_with_a_command_that_then_works() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("old");
    fs::create_dir(&dir).unwrap();
    let older = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/tests/older/v1");
    for entry in fs::read_dir(older).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.join(entry.file_name())).unwrap();
    }
    let path = dir.to_str().unwrap();
    let said = refused(&["report", path]);
    let command = said.split('`').nth(1).unwrap();
    assert_eq!(command, format!("harness records upgrade {path}"), "{said}");
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let told = printed(&words);
    let new = format!("{path}-v{}", results::SCHEMA);
    assert!(
        told.contains("trials.csv") && told.contains("empty: stand_in, protocol") && told.contains(&new),
        "{told}"
    );
    let report = printed(&["report", &new]);
    assert!(report.contains("tiny-conv on fashion-mnist-mini, perhaps a stand-in"), "{report}");
    // A second time there is something to lose.
    assert!(refused(&words).contains("records are never written over"));
    assert!(printed(&["records", "upgrade", "--help"]).contains("No value is made up"));
}
