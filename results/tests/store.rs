//! The store keeps its promises: what is finished is whole, what is torn is repaired, what is wrong is told.

use results::{
    Campaign, CurvePoint, Details, Environment, Error, FidelityRow, LedgerRow, OpsRow, Row, SCHEMA, Status,
    Trial,
};
use std::io::Write;
use std::path::Path;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn trial(seed: u64, status: Status) -> Trial {
    Trial {
        trial: format!("suite/case/method/t4/s{seed}"),
        suite: "suite".into(),
        case: "case".into(),
        method: "method".into(),
        config_hash: "c0ffee".into(),
        status,
        seed,
        steps_t: 4,
        ..Trial::default()
    }
}

fn point(epoch: u32, loss: f64) -> CurvePoint {
    CurvePoint { epoch, train_loss: Some(loss), ..CurvePoint::default() }
}

fn curve(points: &[CurvePoint]) -> Details<'_> {
    Details { curve: points, ..Details::default() }
}

fn append_raw(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::OpenOptions::new().append(true).open(path)?.write_all(text.as_bytes())
}

#[test]
fn what_is_written_is_read_back_to_the_bit() -> Outcome {
    let folder = tempfile::tempdir()?;
    let dir = folder.path().join("campaign");
    let mut row = trial(1, Status::Ok);
    row.note = "a \"quoted\", comma'd note".into();
    row.top1_last = Some(0.1 + 0.2);
    row.train_loss_last = Some(1e-300);
    row.train_step_seconds_median = Some(1.0 / 3.0);
    row.peak_step_bytes = Some(u64::MAX);
    row.seed = u64::MAX;
    let ledger = LedgerRow {
        probe_t: 4,
        phase: "forward".into(),
        category: "saved".into(),
        bytes: 7,
        ..Default::default()
    };
    let ops = OpsRow { layer: "conv1".into(), step: 2, acs_per_sample: Some(0.5), ..Default::default() };
    let fidelity = FidelityRow {
        layer: "conv1".into(),
        gradient_cosine: Some(1.0 / 7.0),
        gradient_norm_ratio: None,
        ..Default::default()
    };
    let environment =
        Environment { cpu: "a cpu".into(), features: vec!["cuda".into()], ..Default::default() };

    let mut campaign = Campaign::open(&dir)?;
    campaign.set_environment(&environment)?;
    let (curve, ledger, ops, layers) = ([point(1, 0.7)], [ledger], [ops], [fidelity]);
    let details =
        Details { curve: &curve, ledger: &ledger, ops: &ops, fidelity: &layers, ..Details::default() };
    assert_eq!(campaign.append_trial(&row, &details)?, 1);
    let records = results::read(&dir)?;

    let key = row.trial.clone();
    assert_eq!(records.trials, [Trial { attempt: 1, campaign: "campaign".into(), ..row }]);
    assert_eq!(records.curve, [CurvePoint { trial: key.clone(), attempt: 1, ..point(1, 0.7) }]);
    assert_eq!((records.ledger[0].trial.as_str(), records.ledger[0].bytes), (key.as_str(), 7));
    assert_eq!((records.ops[0].trial.as_str(), records.ops[0].acs_per_sample), (key.as_str(), Some(0.5)));
    let [fidelity] = layers;
    assert_eq!(records.fidelity, [FidelityRow { trial: key, attempt: 1, ..fidelity }]);
    assert_eq!(records.environment, Some(environment));
    Ok(())
}

#[test]
fn a_line_break_in_a_note_does_not_break_the_row() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut row = trial(1, Status::Failed);
    row.note = "first\nsecond\r\nthird".into();
    Campaign::open(folder.path())?.append_trial(&row, &Details::default())?;
    assert_eq!(results::read(folder.path())?.trials[0].note, "first second  third");
    Ok(())
}

#[test]
fn a_torn_last_line_is_skipped_by_readers_and_cut_off_by_the_writer() -> Outcome {
    let folder = tempfile::tempdir()?;
    let dir = folder.path();
    Campaign::open(dir)?.append_trial(&trial(1, Status::Ok), &curve(&[point(1, 0.5)]))?;
    let whole = std::fs::read(dir.join(Trial::FILE))?;
    append_raw(&dir.join(Trial::FILE), "1,campaign,suite/case/meth")?;
    append_raw(&dir.join(CurvePoint::FILE), "suite/case/method/t4/s2,1,1,,0.")?;

    assert_eq!(results::read(dir)?.trials.len(), 1);
    let mut campaign = Campaign::open(dir)?;
    assert_eq!(std::fs::read(dir.join(Trial::FILE))?, whole);
    campaign.append_trial(&trial(2, Status::Ok), &curve(&[point(1, 0.25)]))?;
    let records = results::read(dir)?;
    assert_eq!(records.trials.len(), 2);
    assert_eq!(records.curve.iter().map(|row| row.train_loss).collect::<Vec<_>>(), [Some(0.5), Some(0.25)]);
    Ok(())
}

#[test]
fn a_torn_header_is_written_again() -> Outcome {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join(Trial::FILE), "schema,camp")?;
    Campaign::open(folder.path())?.append_trial(&trial(1, Status::Ok), &Details::default())?;
    assert_eq!(results::read(folder.path())?.trials.len(), 1);
    Ok(())
}

#[test]
fn details_of_an_unfinished_trial_are_left_out_and_never_joined_to_the_next_attempt() -> Outcome {
    let folder = tempfile::tempdir()?;
    let dir = folder.path();
    Campaign::open(dir)?;
    append_raw(&dir.join(CurvePoint::FILE), "suite/case/method/t4/s1,1,1,,9,,,,\n")?;
    assert!(results::read(dir)?.curve.is_empty());

    let mut campaign = Campaign::open(dir)?;
    assert_eq!(campaign.append_trial(&trial(1, Status::Ok), &curve(&[point(1, 0.5)]))?, 2);
    let losses: Vec<_> = results::read(dir)?.curve.iter().map(|row| row.train_loss).collect();
    assert_eq!(losses, [Some(0.5)]);
    Ok(())
}

#[test]
fn a_campaign_has_one_writer_and_any_number_of_readers() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut campaign = Campaign::open(folder.path())?;
    let error = Campaign::open(folder.path()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("one process at a time writes to a campaign"), "{error}");
    campaign.append_trial(&trial(1, Status::Ok), &Details::default())?;
    assert_eq!(results::read(folder.path())?.trials.len(), 1);
    drop(campaign);
    Campaign::open(folder.path())?;
    Ok(())
}

#[test]
fn the_newest_attempt_wins_and_keeps_the_first_ones_place() -> Outcome {
    let folder = tempfile::tempdir()?;
    let dir = folder.path();
    let mut campaign = Campaign::open(dir)?;
    campaign.append_trial(&trial(1, Status::Interrupted), &curve(&[point(1, 9.0)]))?;
    campaign.append_trial(&trial(2, Status::Ok), &Details::default())?;
    assert!(!campaign.finished(&trial(1, Status::Ok).trial, "c0ffee"));
    drop(campaign);

    let mut campaign = Campaign::open(dir)?;
    assert_eq!(campaign.append_trial(&trial(1, Status::Ok), &curve(&[point(1, 0.5)]))?, 2);
    let records = results::read(dir)?;
    let ends: Vec<_> = records.trials.iter().map(|row| (row.seed, row.status)).collect();
    assert_eq!(ends, [(1, Status::Ok), (2, Status::Ok)]);
    assert_eq!(records.curve.iter().map(|row| row.train_loss).collect::<Vec<_>>(), [Some(0.5)]);
    Ok(())
}

#[test]
fn a_trial_is_finished_for_its_own_configuration_only() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut campaign = Campaign::open(folder.path())?;
    campaign.append_trial(&trial(1, Status::Ok), &Details::default())?;
    campaign.append_trial(&trial(2, Status::Crashed), &Details::default())?;
    let check = |campaign: &Campaign| {
        assert!(campaign.finished("suite/case/method/t4/s1", "c0ffee"));
        assert!(!campaign.finished("suite/case/method/t4/s1", "other"));
        assert!(!campaign.finished("suite/case/method/t4/s2", "c0ffee"));
        assert_eq!(campaign.latest("suite/case/method/t4/s2", "c0ffee"), Some(Status::Crashed));
        assert_eq!(campaign.latest("suite/case/method/t4/s3", "c0ffee"), None);
    };
    check(&campaign);
    drop(campaign);
    check(&Campaign::open(folder.path())?);
    Ok(())
}

#[test]
fn the_same_rows_give_the_same_bytes_in_another_folder() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut bytes = Vec::new();
    for name in ["a", "b"] {
        let dir = folder.path().join(name);
        let curve = [point(1, 1.0 / 3.0), point(2, 0.1)];
        Campaign::open(&dir)?.append_trial(&trial(1, Status::Ok), &self::curve(&curve))?;
        bytes.push(std::fs::read(dir.join(CurvePoint::FILE))?);
    }
    assert_eq!(bytes[0], bytes[1]);
    Ok(())
}

#[test]
fn other_columns_are_refused_with_the_first_that_differs() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(CurvePoint::FILE);
    std::fs::write(&path, "trial,attempt,epoch,stride\n")?;
    let error = Campaign::open(folder.path()).map(|_| ()).unwrap_err();
    assert!(matches!(&error, Error::Columns { column: 4, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("column 4 must be `step`, found `stride`") && text.contains("curve.csv"), "{text}");
    Ok(())
}

#[test]
fn another_schema_version_is_refused_with_its_line() -> Outcome {
    let folder = tempfile::tempdir()?;
    let dir = folder.path();
    Campaign::open(dir)?.append_trial(&trial(1, Status::Ok), &Details::default())?;
    let path = dir.join(Trial::FILE);
    let text = std::fs::read_to_string(&path)?.replace(&format!("\n{SCHEMA},"), "\n1,");
    std::fs::write(&path, text)?;
    for error in [Campaign::open(dir).map(|_| ()).unwrap_err(), results::read(dir).map(|_| ()).unwrap_err()] {
        assert!(
            matches!(error, Error::Schema { line: 2, expected: SCHEMA, found: 1, .. }),
            "unexpected: {error}"
        );
    }
    Ok(())
}

#[test]
fn a_campaign_of_version_3_is_read_and_not_continued() -> Outcome {
    let folder = tempfile::tempdir()?;
    let dir = folder.path();
    Campaign::open(dir)?.append_trial(&trial(1, Status::Ok), &curve(&[point(1, 0.5)]))?;
    std::fs::remove_file(dir.join(results::MeterRow::FILE))?;
    std::fs::write(dir.join(OpsRow::FILE), "trial,attempt,layer,step,macs_per_sample,acs_per_sample\n")?;
    let path = dir.join(Trial::FILE);
    let older = std::fs::read_to_string(&path)?.replace(&format!("\n{SCHEMA},"), "\n3,");
    std::fs::write(&path, older)?;
    let records = results::read(dir)?;
    assert_eq!((records.trials.len(), records.curve.len(), records.ops.len()), (1, 1, 0));
    assert!(matches!(Campaign::open(dir).map(|_| ()), Err(Error::Columns { .. })));
    std::fs::remove_file(dir.join(OpsRow::FILE))?;
    assert!(matches!(Campaign::open(dir).map(|_| ()), Err(Error::Schema { found: 3, .. })));
    Ok(())
}

#[test]
fn a_malformed_row_is_told_with_its_line() -> Outcome {
    let folder = tempfile::tempdir()?;
    Campaign::open(folder.path())?;
    append_raw(&folder.path().join(LedgerRow::FILE), "a,1,4,forward,saved,many\n")?;
    let error = Campaign::open(folder.path()).map(|_| ()).unwrap_err();
    assert!(matches!(&error, Error::Row { line: 2, .. }), "{error}");
    Ok(())
}

#[test]
fn an_unwritable_folder_is_an_error_before_anything_runs() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("taken");
    std::fs::write(&file, "")?;
    let error = Campaign::open(file.join("campaign")).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Folder { .. }) && error.to_string().contains("taken"), "{error}");
    Ok(())
}

#[test]
fn a_folder_without_records_is_told() {
    let error = results::read("no/such/folder").unwrap_err();
    assert!(error.to_string().contains("no/such/folder"), "{error}");
}

#[test]
fn a_campaign_does_not_change_machines() -> Outcome {
    let folder = tempfile::tempdir()?;
    let campaign = Campaign::open(folder.path())?;
    let mut environment = Environment { cpu: "first".into(), git_rev: "a".into(), ..Default::default() };
    campaign.set_environment(&environment)?;
    environment.git_rev = "b".into();
    campaign.set_environment(&environment)?;
    assert_eq!(results::read(folder.path())?.environment.as_ref(), Some(&environment));
    environment.cpu = "second".into();
    let error = campaign.set_environment(&environment).unwrap_err().to_string();
    assert!(error.contains("`first`") && error.contains("`second`"), "{error}");
    Ok(())
}

#[test]
fn a_trial_without_a_key_is_refused() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut campaign = Campaign::open(folder.path())?;
    assert!(matches!(campaign.append_trial(&Trial::default(), &Details::default()), Err(Error::Key { .. })));
    Ok(())
}
