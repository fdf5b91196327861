//! The format, its description and its code agree.

use results::{
    CurvePoint, Environment, FidelityRow, FrameRow, InferenceRow, LedgerRow, MeterRow, OpsRow, Row, SCHEMA,
    ScalingRow, Trial,
};
use std::path::Path;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The names in the first column of the table below a file's heading in docs/FORMAT.md.
fn documented(file: &str) -> std::io::Result<Vec<String>> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/FORMAT.md"))?;
    let heading = format!("## `{file}`");
    let section = text.lines().skip_while(|line| *line != heading).skip(1);
    let rows =
        section.take_while(|line| !line.starts_with("## ")).filter_map(|line| line.strip_prefix("| `"));
    Ok(rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect())
}

fn serialised<R: Row>(row: &R) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.serialize(row)?;
    let text = String::from_utf8(writer.into_inner()?)?;
    Ok(text.lines().next().unwrap_or_default().split(',').map(str::to_owned).collect())
}

fn agrees<R: Row>(row: &R) -> Outcome {
    assert_eq!(serialised(row)?, R::COLUMNS, "{}: the struct's fields and COLUMNS differ", R::FILE);
    assert_eq!(documented(R::FILE)?, R::COLUMNS, "{}: docs/FORMAT.md and COLUMNS differ", R::FILE);
    Ok(())
}

#[test]
fn every_column_is_documented_in_its_place() -> Outcome {
    agrees(&Trial::default())?;
    agrees(&CurvePoint::default())?;
    agrees(&LedgerRow::default())?;
    agrees(&OpsRow::default())?;
    agrees(&FidelityRow::default())?;
    agrees(&MeterRow::default())?;
    agrees(&FrameRow::default())?;
    agrees(&ScalingRow::default())?;
    agrees(&InferenceRow::default())
}

#[test]
fn every_field_of_the_environment_is_documented_in_its_place() -> Outcome {
    let text = serde_json::to_string_pretty(&Environment::default())?;
    let fields: Vec<&str> =
        text.lines().filter_map(|line| line.trim().strip_prefix('"')?.split('"').next()).collect();
    assert_eq!(fields, Environment::FIELDS);
    assert_eq!(documented(Environment::FILE)?, Environment::FIELDS);
    Ok(())
}

#[test]
fn the_documented_version_is_the_written_one() -> Outcome {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/FORMAT.md"))?;
    assert!(text.contains(&format!("The current version is **{SCHEMA}**.")));
    Ok(())
}
