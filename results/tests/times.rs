//! Times of sweeps: what rises faster than in proportion is told, and published ratios meet those that were measured.

use results::record::Status;
use results::table::{Cell, Grid, TABLES};
use results::{Points, Records, ScalingRow};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A measured point: 4 samples, so many seconds.
fn point(model: &str, method: &str, steps_t: u32, seconds: f64) -> ScalingRow {
    ScalingRow {
        point: format!("s/{model}/{method}/t{steps_t}"),
        suite: "s".into(),
        sweep: model.into(),
        model: model.into(),
        method: method.into(),
        status: Status::Ok,
        steps_t,
        batch: 4,
        image: "3x8x8".into(),
        width: 1.0,
        law_bytes: Some(1000),
        // The median is what another process left of it.
        step_seconds_median: Some(2.0 * seconds),
        step_seconds_min: Some(seconds),
        ..ScalingRow::default()
    }
}

fn records(rows: &[ScalingRow]) -> Result<Records, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let mut points = Points::open(folder.path())?;
    for row in rows {
        points.append_scaling(row)?;
    }
    Ok(results::read(folder.path())?)
}

fn table(id: &str, records: &Records) -> Result<Grid, String> {
    let table = TABLES.iter().find(|table| table.id == id).ok_or(format!("no table {id}"))?;
    Ok((table.grid)(records))
}

/// What a reader sees in a column, row by row.
fn column(grid: &Grid, key: &str) -> Vec<String> {
    let place = grid.columns.iter().position(|column| column.key == key);
    let rows = grid.groups.iter().flat_map(|group| &group.rows);
    rows.filter_map(|row| place.map(|place| row[place].display().to_owned())).collect()
}

#[test]
fn a_time_that_rises_faster_than_in_proportion_is_told() -> Outcome {
    let mut rows = Vec::new();
    for steps in [1, 2, 4, 8, 16] {
        let t = f64::from(steps);
        // In proportion with something paid once, squared, and a cliff between 8 and 16.
        rows.push(point("net", "stbp", steps, 0.012 + 0.002 * t));
        rows.push(point("net", "squared", steps, t * t / 1024.0));
        rows.push(point("net", "cliff", steps, if steps < 16 { 0.001 * t } else { 0.0016 * t }));
    }
    let grid = table("time-rise", &records(&rows)?)?;
    assert_eq!(grid.groups.len(), 1);
    assert_eq!(
        column(&grid, "verdict"),
        [
            "linear or better",
            "worse: 4.00 times as long at 4 as at 2",
            "worse: 3.20 times as long at 16 as at 8"
        ]
    );
    assert_eq!(column(&grid, "fixed_seconds")[0], "12.0");
    assert_eq!(column(&grid, "each_seconds")[0], "2.00");
    assert_eq!(column(&grid, "exponent")[1], "2.00");
    Ok(())
}

#[test]
fn samples_are_an_axis_as_steps_are() -> Outcome {
    let rows: Vec<ScalingRow> = [1, 2, 4, 8]
        .into_iter()
        .map(|batch: u32| {
            let own = point("net", "stbp", 4, 0.003 * f64::from(batch).powf(1.3));
            let key = if batch == 4 { String::new() } else { format!("/n{batch}") };
            ScalingRow { point: format!("{}{key}", own.point), batch, ..own }
        })
        .collect();
    let records = records(&rows)?;
    let grid = table("time-rise", &records)?;
    assert_eq!(grid.groups[0].title, "net, 3×8×8: against the batch");
    assert!(column(&grid, "verdict")[0].starts_with("worse: "), "{grid:?}");
    let grid = table("sweep-time-batch", &records)?;
    let keys: Vec<&str> = grid.columns.iter().map(|column| column.key.as_str()).collect();
    assert!(keys.contains(&"step_seconds_n1") && keys.contains(&"step_seconds_n8"), "{keys:?}");
    // One T and one number of blocks: no line runs along either.
    assert!(table("sweep-time", &records)?.groups.is_empty());
    Ok(())
}

#[test]
fn methods_are_put_beside_the_exact_one_at_the_same_t() -> Outcome {
    let failed = ScalingRow {
        status: Status::Crashed,
        note: "the roof fell in".into(),
        step_seconds_min: None,
        ..point("net", "sltt", 4, 1.0)
    };
    let rows = [
        point("net", "stbp", 2, 0.02),
        point("net", "stbp", 4, 0.05),
        ScalingRow { law_bytes: Some(250), ..point("net", "sltt", 2, 0.03) },
        failed,
    ];
    let grid = table("relative-time", &records(&rows)?)?;
    assert_eq!(column(&grid, "seconds_ratio_t2"), ["1.50×"]);
    let row = &grid.groups[0].rows[0];
    assert!(row.contains(&Cell::Missing("crashed: the roof fell in".into())), "{row:?}");
    assert_eq!(column(&grid, "law_bytes_ratio"), ["0.25×"]);
    Ok(())
}

#[test]
fn a_published_ratio_meets_the_measured_one_of_the_same_pair() -> Outcome {
    let transformer = "spike-driven-transformer-8-512";
    let rows = [
        // Half as many samples: an image takes twice as long, and no pair has two batches.
        ScalingRow { batch: 2, ..point(transformer, "stbp", 8, 9.0) },
        point(transformer, "stbp", 4, 2.4),
        point("trevsnn-small", "temporal-rev", 4, 0.8),
        // Another T is not what the paper's is compared with.
        point("trevsnn-small", "temporal-rev", 8, 0.1),
        point(transformer, "stbp", 8, 0.4),
        point("net", "stbp", 4, 0.02),
        point("net", "sltt", 4, 0.01),
    ];
    let grid = table("published", &records(&rows)?)?;
    let ids: Vec<&str> = grid.groups.iter().filter_map(|group| group.title.split(':').next()).collect();
    assert_eq!(ids, ["sltt-imagenet-time", "trevsnn-imagenet-time"]);
    assert_eq!(column(&grid, "measured_ratio"), ["0.50×", "3.00×"]);
    assert_eq!(column(&grid, "published_ratio"), ["below 0.50×", "2.0×"]);
    assert_eq!(column(&grid, "of_seconds_per_sample"), ["2.50", "600"]);
    assert!(table("published", &records(&rows[..2])?)?.groups.is_empty());
    Ok(())
}

#[test]
fn a_network_at_one_place_has_its_step_in_a_table_and_a_line_has_its_own() -> Outcome {
    let bytes = |whole, workspace| ScalingRow {
        whole_bytes: Some(whole),
        workspace_bytes: Some(workspace),
        ..point("net", "stbp", 4, 0.25)
    };
    let lost =
        ScalingRow { status: Status::OutOfMemory, note: "8 GiB".into(), ..point("net", "sltt", 4, 0.0) };
    let lost = ScalingRow { step_seconds_median: None, ..lost };
    let line = [1, 2].map(|steps| point("line", "stbp", steps, 0.1));
    let grid = table(
        "training-step",
        &records(&[bytes(4 << 20, 800_000), lost, line[0].clone(), line[1].clone()])?,
    )?;
    assert_eq!(grid.groups.len(), 1, "the line's points stand elsewhere");
    let missing = Cell::Missing(String::new()).display().to_owned();
    assert_eq!(column(&grid, "method"), ["stbp", "sltt"]);
    assert_eq!(column(&grid, "bytes_per_sample"), ["1.25", &missing]);
    assert_eq!(column(&grid, "whole_bytes"), ["4.00", &missing]);
    assert_eq!(column(&grid, "step_seconds_median"), ["500", &missing]);
    assert!(column(&grid, "status")[1].contains("8 GiB"));
    Ok(())
}
