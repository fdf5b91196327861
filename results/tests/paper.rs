//! Papers' tables from sample records: what compares, what does not, and what is missing.
//!
//! `UPDATE_GOLDEN=1 cargo test -p results --test paper` writes the golden files; look at the difference.

use results::record::Status;
use results::table::{Cell, Grid};
use results::{
    Campaign, Details, InferenceRow, OpsRow, Origin, PAPERS, Paper, Points, Records, ScalingRow, Trial,
    paper, render,
};
use std::path::{Path, PathBuf};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const COMMAND: &str = "harness report DIR --paper trevsnn";
const SMALL: &str = "trevsnn-small";
const TRANSFORMER: &str = "spike-driven-transformer-8-512";

/// A measured training step of a network at its published size; bytes and seconds are of one image.
fn step(method: &str, model: &str, batch: u32, image_bytes: u64, seconds: f64) -> ScalingRow {
    let law = 50_000_000 + image_bytes * u64::from(batch);
    ScalingRow {
        point: format!("s/{model}/{method}/t4/n{batch}"),
        suite: "s".into(),
        sweep: model.into(),
        model: model.into(),
        method: method.into(),
        status: Status::Ok,
        steps_t: 4,
        batch,
        image: "3x224x224".into(),
        classes: 1000,
        width: 1.0,
        dtype: "f32".into(),
        device: "cpu".into(),
        threads: 2,
        parameters: Some(32_331_312),
        law_bytes: Some(law),
        input_most_bytes: Some(600_000 * u64::from(batch)),
        whole_bytes: Some(law + 500_000_000),
        workspace_bytes: Some(1_000_000),
        step_seconds_min: Some(seconds * f64::from(batch)),
        step_seconds_median: Some(1.02 * seconds * f64::from(batch)),
        step_seconds_mad: Some(0.01 * seconds * f64::from(batch)),
        ..ScalingRow::default()
    }
}

/// What one image costs a network that was not trained, at a firing rate of 1/10.
fn image(model: &str, macs: f64, acs: f64) -> InferenceRow {
    InferenceRow {
        point: format!("s/{model}/per-step/t4"),
        suite: "s".into(),
        sweep: model.into(),
        step_width: "per-step".into(),
        model: model.into(),
        status: Status::Ok,
        steps_t: 4,
        batch: 1,
        image: "3x224x224".into(),
        classes: 1000,
        width: 1.0,
        parameters: Some(29_787_312),
        macs_per_sample: Some(macs),
        acs_per_sample: Some(acs),
        firing_rate: Some(0.1),
        ..InferenceRow::default()
    }
}

fn points(dir: &Path) -> Outcome {
    let mut points = Points::open(dir)?;
    for batch in [1, 2] {
        points.append_scaling(&step("stbp", TRANSFORMER, batch, 170_000_000, 2.0))?;
        points.append_scaling(&step("temporal-rev", SMALL, batch, 19_400_000, 1.01))?;
    }
    points.append_inference(&image(SMALL, 4e8, 4e8))?;
    points.append_inference(&image(TRANSFORMER, 2e8, 9e8))?;
    Ok(())
}

fn records(fill: impl Fn(&Path) -> Outcome) -> Result<Records, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    fill(folder.path())?;
    Ok(results::read(folder.path())?)
}

fn grids(id: &str, records: &Records) -> Result<Vec<Grid>, results::Error> {
    paper::grids(Paper::find(id)?, records, "DIR")
}

/// The cells of the first row whose words begin like this, by the key of their column.
fn cell<'g>(grids: &'g [Grid], row: &str, quantity: &str, key: &str) -> Result<&'g Cell, String> {
    for grid in grids {
        let place = |key: &str| grid.columns.iter().position(|column| column.key == key);
        let (Some(own), Some(at)) = (place("quantity"), place(key)) else { continue };
        let found = grid
            .groups
            .iter()
            .flat_map(|group| &group.rows)
            .find(|cells| cells[0].display().starts_with(row) && cells[own].display() == quantity);
        if let Some(cells) = found {
            return Ok(&cells[at]);
        }
    }
    Err(format!("no row {row}, {quantity}"))
}

fn verdict(grids: &[Grid], row: &str, quantity: &str) -> Result<String, String> {
    Ok(cell(grids, row, quantity, "verdict")?.display().to_owned())
}

fn is_golden(name: &str, text: &str) -> Outcome {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text)?;
    }
    assert_eq!(text, std::fs::read_to_string(&path)?, "{} differs", path.display());
    Ok(())
}

#[test]
fn tables_are_the_golden_ones() -> Outcome {
    let records = records(points)?;
    for grid in grids("trevsnn", &records)? {
        if ["paper-trevsnn-cost", "paper-trevsnn-imagenet"].contains(&grid.id.as_str()) {
            is_golden(&format!("{}.txt", grid.id), &render::terminal(&grid))?;
            is_golden(
                &format!("{}.md", grid.id),
                &render::markdown(&grid, &Origin { command: COMMAND.into(), records: "sample".into() }),
            )?;
            is_golden(&format!("{}.csv", grid.id), &render::csv(&grid))?;
            is_golden(&format!("{}.html", grid.id), &render::html(&grid))?;
        }
    }
    Ok(())
}

#[test]
fn ratios_compare_where_absolute_numbers_do_not() -> Outcome {
    let grids = grids("trevsnn", &records(points)?)?;
    let pair = format!("stbp on {TRANSFORMER} / temporal-rev on {SMALL}");
    // (170 + 0.6) / (19.4 + 0.6) MB: what does not grow with the batch is in neither.
    assert_eq!(cell(&grids, &pair, "memory, ratio", "measured")?.display(), "8.5");
    assert_eq!(verdict(&grids, &pair, "memory, ratio")?, "off by −0.8 %");
    assert_eq!(cell(&grids, &pair, "memory, ratio", "delta")?.display(), "−0.1");
    // 2.0 / 1.01 of the fastest steps.
    assert_eq!(verdict(&grids, &pair, "time, ratio")?, "match");
    assert_eq!(
        cell(&grids, &pair, "time, ratio", "interval")?.display().split(" (").next(),
        Some("1.9 to 2.0")
    );
    let small = "T-RevSNN, last stage of 512 channels";
    let found = verdict(&grids, small, "memory, MB/img")?;
    assert_eq!(found, "not comparable because f32 on a CPU, published f16 on 6 A100-40GB");
    assert_eq!(cell(&grids, small, "memory, MB/img", "measured")?.display(), "20.0");
    assert_eq!(cell(&grids, small, "memory, MB/img", "delta")?.display(), "–");
    let how = cell(&grids, small, "memory, MB/img", "how")?.display().to_owned();
    assert_eq!(how, "temporal-rev on trevsnn-small, cpu, f32: one more image, batch 1 to 2");
    assert_eq!(verdict(&grids, small, "parameters in use")?, "match");
    assert_eq!(verdict(&grids, small, "parameters trained")?, "match");
    // An epoch was published, a step was measured: no number stands in the cell.
    assert_eq!(cell(&grids, small, "time, min/epoch", "measured")?.display(), "–");
    Ok(())
}

#[test]
fn rates_that_were_not_trained_give_no_energy_but_the_rate_of_the_claim() -> Outcome {
    let grids = grids("trevsnn", &records(points)?)?;
    // 4.6 pJ * 0.4 G = 1.84 mJ, 0.9 pJ * 4 G at a rate of 1 = 3.6 mJ: 2.8 mJ at 0.96 / 3.6.
    let small = "T-RevSNN, last stage of 512 channels";
    let found = verdict(&grids, small, "energy, mJ")?;
    assert_eq!(found, "rates not trained: not comparable; 2.8 mJ would hold at a firing rate of 26.7 %");
    assert_eq!(cell(&grids, small, "energy, mJ", "measured")?.display(), "–");
    // 0.92 + 8.1 r = 1.6 (1.84 + 3.6 r): r = 2.024 / 2.34.
    let pair = format!("stbp on {TRANSFORMER} / temporal-rev on {SMALL}");
    let found = verdict(&grids, &pair, "energy, ratio")?;
    assert!(found.contains("1.6× would hold at a firing rate of 86.5 % in both"), "{found}");
    // Where the multiply-accumulates alone cost more, no rate holds.
    let dear =
        records(|dir| Ok(Points::open(dir)?.append_inference(&image(SMALL, 2e9, 4e8)).map(|_| ())?))?;
    let found = verdict(&self::grids("trevsnn", &dear)?, small, "energy, mJ")?;
    assert!(
        found.contains("multiply-accumulates alone cost 9.20 mJ, more than the 2.8 published"),
        "{found}"
    );
    Ok(())
}

/// A trained trial with the counts of one layer.
fn trained(model: &str, method: &str, dataset: &str, stand_in: bool, acs: f64) -> (Trial, OpsRow) {
    let trial = Trial {
        trial: format!("s/{model}/{method}/t4/s1"),
        suite: "s".into(),
        case: model.into(),
        method: method.into(),
        model: model.into(),
        dataset: dataset.into(),
        stand_in: Some(stand_in),
        status: Status::Ok,
        epochs: 300,
        steps_t: 4,
        seed: 1,
        test_samples: 50_000,
        recipe: "trevsnn-imagenet".into(),
        top1_last: Some(0.72),
        top1_best: Some(0.731),
        ..Trial::default()
    };
    let counts = OpsRow {
        during: OpsRow::EVALUATION.into(),
        layer: "conv".into(),
        kind: "convolution".into(),
        reads: "spikes".into(),
        macs_per_sample: Some(0.0),
        acs_per_sample: Some(acs),
        chained_acs_per_sample: Some(0.0),
        ..OpsRow::default()
    };
    (trial, counts)
}

fn campaign(dir: &Path, dataset: &str, stand_in: bool) -> Outcome {
    let mut campaign = Campaign::open(dir)?;
    for (model, method, acs) in [(SMALL, "temporal-rev", 3.2e9), (TRANSFORMER, "stbp", 5.0e9)] {
        let (trial, counts) = trained(model, method, dataset, stand_in, acs);
        campaign.append_trial(&trial, &Details { ops: &[counts], ..Details::default() })?;
    }
    Ok(())
}

#[test]
fn energies_of_trained_networks_compare_with_their_accuracy_beside() -> Outcome {
    let grids = grids("trevsnn", &records(|dir| campaign(dir, "imagenet", false))?)?;
    let small = "T-RevSNN, last stage of 512 channels";
    // 0.9 pJ * 3.2 G = 2.88 mJ.
    assert_eq!(cell(&grids, small, "energy, mJ", "measured")?.display(), "2.9");
    assert_eq!(verdict(&grids, small, "energy, mJ")?, "off by +2.9 %");
    let pair = format!("stbp on {TRANSFORMER} / temporal-rev on {SMALL}");
    assert_eq!(verdict(&grids, &pair, "energy, ratio")?, "match");
    let how = cell(&grids, &pair, "energy, ratio", "how")?.display().to_owned();
    assert!(how.contains("top-1 72.00 %"), "{how}");
    // 73.1 % of 50,000 images: Wilson's interval holds 73.2.
    assert_eq!(verdict(&grids, small, "top-1, %")?, "within noise");
    let interval = cell(&grids, small, "top-1, %", "interval")?.display().to_owned();
    assert_eq!(interval, "72.7 to 73.5 (95 % of one run, Wilson)");
    Ok(())
}

#[test]
fn a_stand_ins_accuracy_stands_beside_no_published_one() -> Outcome {
    let grids = grids("trevsnn", &records(|dir| campaign(dir, "synth-imagenet", true))?)?;
    let small = "T-RevSNN, last stage of 512 channels";
    let found = verdict(&grids, small, "top-1, %")?;
    assert!(
        found.starts_with("not measured: needs imagenet; synth-imagenet stands for another set"),
        "{found}"
    );
    assert_eq!(cell(&grids, small, "top-1, %", "measured")?.display(), "–");
    let found = verdict(&grids, small, "energy, mJ")?;
    assert_eq!(found, "not comparable because trained on synth-imagenet, which stands for another set");
    Ok(())
}

#[test]
fn an_empty_cell_says_what_fills_it() -> Outcome {
    let records = records(|dir| {
        let mut points = Points::open(dir)?;
        let unsupported = ScalingRow {
            status: Status::Unsupported,
            note: "no carried value".into(),
            ..step("temporal-rev", SMALL, 2, 0, 1.0)
        };
        points.append_scaling(&unsupported)?;
        Ok(())
    })?;
    for paper in PAPERS {
        let grids = grids(paper.id, &records)?;
        assert!(!grids.is_empty());
        for grid in &grids {
            for cells in grid.groups.iter().flat_map(|group| &group.rows) {
                assert_eq!(cells.len(), grid.columns.len(), "{}", grid.id);
                let verdict =
                    grid.columns.iter().position(|column| column.key == "verdict").ok_or("no verdict")?;
                assert!(cells[verdict].display().len() > 3, "{}: {cells:?}", grid.id);
            }
        }
    }
    let found = grids("trevsnn", &records)?;
    let command = format!("harness --suite paper-trevsnn --model {SMALL} --method temporal-rev --out DIR");
    let small = "T-RevSNN, last stage of 512 channels";
    assert_eq!(
        verdict(&found, small, "memory, MB/img")?,
        format!("not measured: unsupported: no carried value; {command}")
    );
    let found = grids("ottt", &records)?;
    let said = verdict(&found, "OTTT_A, VGG-11 on CIFAR-10", "top-1, %")?;
    assert!(said.contains("needs cifar10; harness --suite paper-ottt-training --dataset cifar10"), "{said}");
    Ok(())
}

#[test]
fn what_differs_from_the_papers_network_is_told() -> Outcome {
    let grids = grids(
        "trevsnn",
        &records(|dir| {
            let mut points = Points::open(dir)?;
            for (method, model) in [("stbp", TRANSFORMER), ("temporal-rev", SMALL)] {
                let own = step(method, model, 2, 20_000_000, 1.0);
                points.append_scaling(&ScalingRow {
                    width: 0.25,
                    steps_t: 8,
                    image: "3x32x32".into(),
                    ..own
                })?;
            }
            Ok(())
        })?,
    )?;
    let pair = format!("stbp on {TRANSFORMER} / temporal-rev on {SMALL}");
    let found = verdict(&grids, &pair, "memory, ratio")?;
    assert_eq!(
        found,
        "not comparable because T = 8 here, 4 there; images of 3×32×32 here, 3×224×224 there; 0.25 of the published channels"
    );
    Ok(())
}

#[test]
fn notes_judge_nothing() -> Outcome {
    let grids = grids(
        "sltt",
        &records(|dir| {
            let mut points = Points::open(dir)?;
            for method in ["stbp", "sltt"] {
                let own =
                    step(method, "nf-resnet34", 2, if method == "stbp" { 100 } else { 60 } * 1_000_000, 1.0);
                points.append_scaling(&ScalingRow { steps_t: 6, ..own })?;
            }
            Ok(())
        })?,
    )?;
    let mut told = Vec::new();
    for cells in grids.iter().flat_map(|grid| &grid.groups).flat_map(|group| &group.rows) {
        if cells[0].display() == "sltt on nf-resnet34 / stbp on nf-resnet34" {
            told.push(format!("{} {}", cells[3].display(), cells[7].display()));
        }
    }
    assert_eq!(
        told,
        [
            "below 0.30 off by +127.2 %",
            "0.30 off by +127.2 %; a note, no gate",
            "below 0.50 off by +100.0 %",
            "0.91 off by +9.9 %; a note, no gate"
        ]
    );
    Ok(())
}

#[test]
fn a_paper_report_is_whole() -> Outcome {
    let folder = tempfile::tempdir()?;
    points(folder.path())?;
    let out = folder.path().join("out");
    let paths = results::paper_report(Paper::find("trevsnn")?, folder.path(), &out, "DIR", COMMAND)?;
    assert_eq!(paths.page, out.join("paper-trevsnn.html"));
    assert!(out.join("paper-trevsnn-cost.md").exists() && out.join("paper-trevsnn-cost.csv").exists());
    let page = std::fs::read_to_string(&paths.page)?;
    for word in ["T-RevSNN, arXiv 2405.16466: published beside measured", COMMAND, "rates not trained"] {
        assert!(page.contains(word), "the page lacks {word}");
    }
    for foreign in ["<script ", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(foreign), "the page holds {foreign}");
    }
    assert!(
        Paper::find("trev")
            .is_err_and(|error| error.to_string().contains("Known: ottt, revsnn, sltt, trevsnn"))
    );
    Ok(())
}
