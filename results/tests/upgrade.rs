//! Records of other versions of the format: refused with what to do, and carried over without a value made up.

use results::{Campaign, Details, Error, InferenceRow, Row, SCHEMA, ScalingRow, Status, Trial, upgrade};
use std::path::{Path, PathBuf};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn older(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/older").join(name)
}

/// Every file of a folder, by name.
fn bytes(dir: &Path) -> std::io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        files.push((path.clone(), std::fs::read(path)?));
    }
    files.sort();
    Ok(files)
}

#[test]
fn an_older_version_is_refused_with_file_versions_and_command() -> Outcome {
    for (name, found) in [("v1", 1), ("v2", 2)] {
        let dir = older(name);
        let text = results::read(&dir).map(|_| ()).unwrap_err().to_string();
        for words in [
            format!("record format is version {SCHEMA}"),
            format!("{} line 2 is version {found}", dir.join("trials.csv").display()),
            format!("`harness records upgrade {}`", dir.display()),
            "another output folder".to_owned(),
        ] {
            assert!(text.contains(&words), "{text}");
        }
    }
    // A campaign is continued in its own version alone, even where its rows can be read.
    let folder = tempfile::tempdir()?;
    for (path, bytes) in bytes(&older("v3"))? {
        std::fs::write(folder.path().join(path.file_name().ok_or("no name")?), bytes)?;
    }
    std::fs::remove_file(folder.path().join("ops.csv"))?;
    let text = Campaign::open(folder.path()).map(|_| ()).unwrap_err().to_string();
    assert!(text.contains("line 2 is version 3") && text.contains("records upgrade"), "{text}");
    Ok(())
}

#[test]
fn a_newer_version_is_refused_and_not_upgraded() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (dir, to) = (folder.path().join("records"), folder.path().join("to"));
    let row = Trial { trial: "s/c/m/t1/s1".into(), status: Status::Failed, ..Trial::default() };
    Campaign::open(&dir)?.append_trial(&row, &Details::default())?;
    let path = dir.join(Trial::FILE);
    let own = std::fs::read_to_string(&path)?;
    // The columns may be the same or others.
    for newer in [own.clone(), own.replacen("schema,campaign,", "schema,colour,", 1)] {
        std::fs::write(&path, newer.replacen(&format!("\n{SCHEMA},"), "\n99,", 1))?;
        let reading = results::read(&dir).map(|_| ()).unwrap_err();
        assert!(matches!(reading, Error::Newer { found: 99, expected: SCHEMA, .. }), "{reading}");
        assert!(reading.to_string().contains("trials.csv line 2 is version 99"), "{reading}");
        assert!(upgrade(&dir, &to).is_err() && !to.exists());
    }
    Ok(())
}

#[test]
fn trials_are_carried_over_with_every_value_that_they_had() -> Outcome {
    let folder = tempfile::tempdir()?;
    for (name, missing) in [
        (
            "v1",
            "record format 1 had no stand_in, protocol, gradient_cosine, gradient_norm_ratio, weights, protocol_hash",
        ),
        ("v2", "record format 2 had no stand_in, protocol, protocol_hash"),
        ("v3", ""),
    ] {
        let (dir, to) = (older(name), folder.path().join(name));
        let before = bytes(&dir)?;
        let carried = upgrade(&dir, &to)?;
        assert_eq!(bytes(&dir)?, before, "the old folder is as it was");
        let records = results::read(&to)?;
        let rows =
            |file: &str| carried.iter().find(|carried| carried.file == file).map(|carried| carried.rows);
        assert_eq!(
            (rows("trials.csv"), rows("curve.csv"), rows("ledger.csv")),
            (Some(records.trials.len()), Some(records.curve.len()), Some(records.ledger.len()))
        );
        for trial in &records.trials {
            assert_eq!((trial.schema, trial.trial.is_empty()), (SCHEMA, false));
            assert!(trial.note.ends_with(missing), "{}", trial.note);
            assert_eq!(trial.stand_in, (name == "v3").then_some(true));
        }
        // Cell by cell: what was there is there, and what was not is empty.
        for file in ["trials.csv", "curve.csv", "ledger.csv", "fidelity.csv"] {
            if dir.join(file).exists() {
                same_cells(&dir.join(file), &to.join(file))?;
            }
        }
        // A campaign of this version, in every way: it can be continued and reported.
        Campaign::open(&to)?;
        results::report(&to, &folder.path().join("report"), "harness report")?;
    }
    Ok(())
}

fn same_cells(old: &Path, new: &Path) -> Outcome {
    let (mut old, mut new) = (csv::Reader::from_path(old)?, csv::Reader::from_path(new)?);
    let (before, after) = (old.headers()?.clone(), new.headers()?.clone());
    let pairs: Vec<_> = old.records().zip(new.records()).collect();
    assert!(!pairs.is_empty());
    for (old, new) in pairs {
        let (old, new) = (old?, new?);
        for (column, cell) in
            after.iter().zip(&new).filter(|(column, _)| !["schema", "note"].contains(column))
        {
            let was = before.iter().position(|name| name == column).and_then(|place| old.get(place));
            assert_eq!(cell, was.unwrap_or_default(), "{column}");
        }
    }
    Ok(())
}

#[test]
fn a_column_that_meant_something_else_is_emptied_and_the_note_says_so() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (dir, to) = (older("v2-points"), folder.path().join("to"));
    let before = results::read(&dir)?;
    upgrade(&dir, &to)?;
    let after = results::read(&to)?;
    assert!(before.inference.iter().any(|row| row.acs_per_sample.is_some()));
    assert_eq!(before.inference.len(), after.inference.len());
    for (before, after) in before.inference.iter().zip(&after.inference) {
        let said = "acs_per_sample of record format 2 counted borders as if they were whole";
        let note = if before.acs_per_sample.is_some() { said.to_owned() } else { before.note.clone() };
        let kept = InferenceRow { schema: SCHEMA, acs_per_sample: None, note, ..before.clone() };
        assert_eq!(*after, kept);
    }
    let scaling = before.scaling.into_iter().map(|row| ScalingRow { schema: SCHEMA, ..row });
    assert_eq!(after.scaling, scaling.collect::<Vec<_>>());
    Ok(())
}

#[test]
fn nothing_is_written_over_and_nothing_half_written_stays() -> Outcome {
    let folder = tempfile::tempdir()?;
    let to = folder.path().join("to");
    std::fs::create_dir(&to)?;
    assert!(matches!(upgrade(&older("v1"), &to), Err(Error::Exists { .. })));
    std::fs::remove_dir(&to)?;
    let dir = folder.path().join("dir");
    std::fs::create_dir(&dir)?;
    assert!(matches!(upgrade(&dir, &to), Err(Error::NoRecords { .. })));
    let trials = std::fs::read_to_string(older("v1").join(Trial::FILE))?;
    std::fs::write(dir.join(Trial::FILE), trials.replacen("firing_rate", "hue", 1))?;
    let text = upgrade(&dir, &to).unwrap_err().to_string();
    assert!(text.contains("no place for its column `hue`"), "{text}");
    let left: Vec<_> = std::fs::read_dir(folder.path())?.collect::<Result<_, _>>()?;
    assert_eq!(left.len(), 1, "{left:?}");
    Ok(())
}
