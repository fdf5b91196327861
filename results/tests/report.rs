//! Sample records give exactly the tables that are on file, and charts that are the same on every run.
//!
//! `UPDATE_GOLDEN=1 cargo test -p results --test report` writes the golden files; look at the difference.

use results::chart::{Body, CHARTS};
use results::record::{Status, Trial};
use results::table::{Grid, TABLES};
use results::{Campaign, CurvePoint, Details, Origin, Records, render};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const COMMAND: &str = "cargo run -p harness -- report results/tests/sample";

fn here(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

fn sample() -> Result<Records, results::Error> {
    results::read(here("sample"))
}

fn sweeps() -> Result<Records, results::Error> {
    results::read(here("sweeps"))
}

/// Ids of the tables and of the charts that records fill.
fn filled(records: &Records) -> (Vec<&'static str>, Vec<&'static str>) {
    let tables = TABLES.iter().filter(|table| !(table.grid)(records).groups.is_empty());
    let charts = CHARTS.iter().filter(|chart| (chart.figure)(records).is_some());
    (tables.map(|table| table.id).collect(), charts.map(|chart| chart.id).collect())
}

fn is_golden(name: &str, text: &str) -> Outcome {
    let path = here("golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(here("golden"))?;
        std::fs::write(&path, text)?;
    }
    assert_eq!(text, std::fs::read_to_string(&path)?, "{} differs", path.display());
    Ok(())
}

/// Braces and environments are closed in order, every row has its cells and its end, and nothing needs more than ASCII.
fn is_whole_latex(grid: &Grid, text: &str) {
    assert!(text.is_ascii(), "{}: {:?}", grid.id, text.chars().find(|c| !c.is_ascii()));
    let text: String =
        text.lines().filter(|line| !line.starts_with('%')).map(|line| format!("{line}\n")).collect();
    let (mut depth, mut before) = (0_i32, ' ');
    for c in text.chars() {
        match c {
            '{' if before != '\\' => depth += 1,
            '}' if before != '\\' => depth -= 1,
            _ => {}
        }
        assert!(depth >= 0, "{}: a brace closes nothing", grid.id);
        // Two backslashes end a row; they escape nothing.
        before = if before == '\\' && c == '\\' { ' ' } else { c };
    }
    assert_eq!(depth, 0, "{}: a brace is not closed", grid.id);
    let mut open: Vec<&str> = Vec::new();
    for part in text.split('\\').skip(1) {
        let name = part.split(['{', '}']).nth(1).unwrap_or_default();
        if part.starts_with("begin{") {
            open.push(name);
        } else if part.starts_with("end{") {
            assert_eq!(open.pop(), Some(name), "{}", grid.id);
        }
    }
    assert!(open.is_empty(), "{}: {open:?}", grid.id);
    assert_eq!(text.replace("\\$", "").matches('$').count() % 2, 0, "{}: a formula is not closed", grid.id);
    let rows: Vec<&str> = text.lines().filter(|line| line.ends_with("\\\\")).collect();
    let (spanned, cells): (Vec<&str>, Vec<&str>) =
        rows.iter().partition(|line| line.starts_with("\\multicolumn"));
    let data: usize = grid.groups.iter().map(|group| group.rows.len()).sum();
    let headings = text.matches("\\toprule").count();
    let continued = text.matches(", continued}").count();
    assert_eq!((cells.len(), spanned.len()), (data + headings, grid.groups.len() + continued), "{}", grid.id);
    for line in cells {
        let cells = line.replace("\\&", "").matches('&').count() + 1;
        assert_eq!(cells, grid.columns.len(), "{}: {line}", grid.id);
    }
}

#[test]
fn tables_are_the_golden_ones() -> Outcome {
    for (folder, table) in
        ["sample", "sweeps"].iter().flat_map(|folder| TABLES.iter().map(move |table| (folder, table)))
    {
        let records = &results::read(here(folder))?;
        let grid = (table.grid)(records);
        if grid.groups.is_empty() {
            continue;
        }
        is_golden(&format!("{}.txt", table.id), &render::terminal(&grid))?;
        is_golden(
            &format!("{}.md", table.id),
            &render::markdown(&grid, &Origin::new(&here(folder), COMMAND)?),
        )?;
        is_golden(&format!("{}.csv", table.id), &render::csv(&grid))?;
        is_golden(&format!("{}.html", table.id), &render::html(&grid))?;
        let latex = render::latex(&grid, &Origin::new(&here(folder), COMMAND)?);
        is_whole_latex(&grid, &latex);
        is_golden(&format!("{}.tex", table.id), &latex)?;
    }
    Ok(())
}

#[test]
fn every_row_of_a_table_has_a_cell_for_every_column() -> Outcome {
    for records in [sample()?, sweeps()?, Records::default()] {
        for table in TABLES {
            let grid = (table.grid)(&records);
            assert_eq!(grid.id, table.id);
            let rows = grid.groups.iter().flat_map(|group| &group.rows);
            assert!(rows.into_iter().all(|row| row.len() == grid.columns.len()), "{}", table.id);
        }
    }
    Ok(())
}

#[test]
fn charts_are_drawn_and_the_same_on_every_run() -> Outcome {
    let mut drawn = String::new();
    for chart in CHARTS {
        let (records, words): (_, &[&str]) = match (chart.figure)(&sample()?) {
            // The sample has detail rows of a few trials alone.
            Some(_)
                if ["fidelity-layers", "learning-curves", "energy-stacks", "firing-rate-map"]
                    .contains(&chart.id) =>
            {
                (sample()?, &["stbp", "tiny-conv on fashion-mnist-6k"])
            }
            Some(_) => (sample()?, &["stbp", "tiny-trev on fashion-mnist-6k", "temporal-rev"]),
            None if chart.id == "event-frames" => (
                results::read(here("frames"))?,
                &["sim-nmnist, a stand-in", "T = 4", "class 7", "OFF: darker"],
            ),
            None if chart.id.starts_with("inference") => (sweeps()?, &["per-step", "divided", "operations"]),
            None if chart.id == "scaling-time-batch" => (
                sweeps()?,
                &["stbp", "rev-resnet21, 3×32×32", "spatial-rev", "T = 4, 1 block a stage", "linear"],
            ),
            None => (sweeps()?, &["stbp", "rev-resnet21, 3×32×32, batch 8", "spatial-rev"]),
        };
        let figure = (chart.figure)(&records).ok_or(chart.id)?;
        assert_eq!(figure.id, chart.id);
        let svg = render::svg(&figure)?;
        assert_eq!(svg, render::svg(&(chart.figure)(&records).ok_or(chart.id)?)?);
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
        for word in words.iter().copied().chain([figure.title.as_str()]) {
            assert!(svg.contains(word), "{} lacks {word}", chart.id);
        }
        let origin = Origin { command: COMMAND.into(), records: "sample".into() };
        let png = render::png(chart.id, &svg, &origin)?;
        let signed = format!("records sample; {COMMAND}");
        assert!(png.windows(signed.len()).any(|bytes| bytes == signed.as_bytes()), "{}", chart.id);
        assert!(png.starts_with(b"\x89PNG"));
        assert_eq!(png, render::png(chart.id, &svg, &origin)?);
        assert_eq!((chart.figure)(&Records::default()), None, "{} draws nothing", chart.id);
        // A picture's bytes are no text to read: what is on file is their sum, and a PNG's size.
        let sum: String = Sha256::digest(&svg).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let side = |at: usize| png[at..at + 4].iter().fold(0_u32, |side, byte| side << 8 | u32::from(*byte));
        drawn.push_str(&format!("{}: svg {sum}, png {}x{}\n", chart.id, side(16), side(20)));
    }
    is_golden("charts.txt", &drawn)?;
    Ok(())
}

#[test]
fn letters_are_drawn_without_the_machines_fonts() -> Outcome {
    let with = |text: &str| {
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"90\" height=\"20\"><text y=\"15\" \
             font-family=\"No Such Font, sans-serif\">{text}</text></svg>"
        );
        render::png("letters", &svg, &Origin { command: COMMAND.into(), records: "none".into() })
    };
    assert_ne!(with("")?, with("MiB ± µ")?);
    Ok(())
}

#[test]
fn a_method_has_the_same_colour_in_every_chart() -> Outcome {
    for records in [sample()?, sweeps()?] {
        let mut places = std::collections::BTreeMap::new();
        for body in CHARTS.iter().filter_map(|chart| (chart.figure)(&records)).map(|figure| figure.body) {
            let named: Vec<(String, usize)> = match body {
                Body::Panels { panels, .. } => {
                    panels.into_iter().flat_map(|panel| panel.series).map(|s| (s.name, s.method)).collect()
                }
                Body::Bars { groups, .. } => groups
                    .into_iter()
                    .flat_map(|group| group.bars)
                    .map(|bar| (bar.name, bar.method))
                    .collect(),
                // A colour is a category's there.
                Body::Stacks { .. } | Body::Heat { .. } | Body::Frames { .. } => Vec::new(),
            };
            for (name, place) in named {
                assert_eq!(*places.entry(name).or_insert(place), place);
            }
        }
    }
    Ok(())
}

#[test]
fn a_report_is_whole_and_depends_on_nothing_else() -> Outcome {
    let folder = tempfile::tempdir()?;
    let paths = results::report(&here("sample"), &folder.path().join("out"), COMMAND)?;
    for path in paths.tables.iter().chain(&paths.charts).chain([&paths.page]) {
        assert!(path.metadata()?.len() > 0, "{}", path.display());
    }
    let (tables, charts) = filled(&sample()?);
    assert_eq!((paths.tables.len(), paths.charts.len()), (3 * tables.len(), 2 * charts.len()));
    assert_eq!(tables, ["comparison", "memory", "energy", "operations", "layers", "training-operations"]);
    let page = std::fs::read_to_string(&paths.page)?;
    for word in [COMMAND, "out-of-memory: needed more", "Example CPU", "One seed", "<svg ", "lang=\"en\""] {
        assert!(page.contains(word), "the page lacks {word}");
    }
    let set = Origin::new(&here("sample"), COMMAND)?.records;
    assert!(page.contains(&set), "the page lacks {set}");
    for chart in paths.charts.iter().filter(|path| path.extension().is_some_and(|kind| kind == "svg")) {
        let drawing = std::fs::read_to_string(chart)?;
        assert!(drawing.contains(&set) && drawing.contains(COMMAND), "{}", chart.display());
    }
    for foreign in ["<script ", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(foreign), "the page holds {foreign}");
    }
    Ok(())
}

#[test]
fn a_chart_with_nothing_to_draw_leaves_no_old_file() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (dir, out) = (folder.path().join("campaign"), folder.path().join("out"));
    results::report(&here("sample"), &out, COMMAND)?;
    let mut campaign = Campaign::open(&dir)?;
    let note = "<b>a|b</b> & \"c\"".to_owned();
    let row = Trial { trial: "s/c/m/t1/s1".into(), status: Status::Failed, note, ..Trial::default() };
    campaign.append_trial(&row, &Details::default())?;
    let paths = results::report(&dir, &out, COMMAND)?;
    assert!(paths.charts.is_empty() && !out.join("step-time.png").exists());
    let page = std::fs::read_to_string(&paths.page)?;
    assert!(page.contains("&lt;b&gt;a|b&lt;/b&gt; &amp; &quot;c&quot;") && !page.contains("<b>"));
    assert!(std::fs::read_to_string(out.join("comparison.md"))?.contains("&lt;b&gt;a\\|b"));
    Ok(())
}

#[test]
fn seeds_are_put_together_and_failures_among_them_are_told() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut campaign = Campaign::open(folder.path())?;
    for (seed, status, top1) in
        [(1, Status::Ok, Some(0.8)), (2, Status::Ok, Some(0.9)), (3, Status::Crashed, None)]
    {
        let row = Trial {
            trial: format!("s/c/m/t4/s{seed}"),
            method: "m".into(),
            seed,
            status,
            steps_t: 4,
            top1_last: top1,
            ..Trial::default()
        };
        campaign.append_trial(&row, &Details::default())?;
    }
    let records = results::read(folder.path())?;
    let text = render::terminal(&(TABLES[0].grid)(&records));
    assert!(text.contains("85.00 ± 7.07") && text.contains("2 of 3 seeds ok; crashed"), "{text}");
    Ok(())
}

#[test]
fn a_report_of_sweeps_holds_tables_charts_reasons_and_the_command() -> Outcome {
    let folder = tempfile::tempdir()?;
    // What an earlier report of trials left there is no part of this one.
    results::report(&here("sample"), folder.path(), COMMAND)?;
    let paths = results::report(&here("sweeps"), folder.path(), COMMAND)?;
    let (tables, charts) = filled(&sweeps()?);
    assert_eq!((paths.tables.len(), paths.charts.len()), (3 * tables.len(), 2 * charts.len()));
    let expected = [
        "scaling-steps",
        "scaling-blocks",
        "scaling-time-steps",
        "scaling-time-batch",
        "scaling-categories",
        "inference-steps",
    ];
    assert_eq!(charts, expected);
    for gone in ["comparison.md", "memory.csv", "step-time.png"] {
        assert!(!folder.path().join(gone).exists(), "{gone}");
    }
    let page = std::fs::read_to_string(&paths.page)?;
    let words = [
        COMMAND,
        "suite scaling",
        "points: ",
        "no carried value",
        "(4 points)",
        "out of memory in timed step 1 of 5",
        "(16, f32)",
        "rev-resnet21 (rev-resnet21 at width 0.125)",
    ];
    for word in words {
        assert!(page.contains(word), "the page lacks {word}");
    }
    let text = std::fs::read_to_string(folder.path().join("image-memory.md"))?;
    assert!(text.contains(COMMAND) && text.contains("1,000,000 bytes"), "{text}");
    Ok(())
}

#[test]
fn points_of_another_number_type_are_of_another_sweep() -> Outcome {
    let table = TABLES.iter().find(|table| table.id == "scaling").ok_or("no such table")?;
    let mut records = sweeps()?;
    let alone = render::csv(&(table.grid)(&records));
    let halves: Vec<_> = records.scaling.clone();
    records.scaling.extend(halves.into_iter().map(|mut row| {
        row.dtype = "bf16".to_owned();
        row.law_bytes = row.law_bytes.map(|bytes| bytes / 2);
        row
    }));
    let both = render::csv(&(table.grid)(&records));
    for line in alone.lines() {
        assert!(both.contains(line), "{line}: {both}");
    }
    assert_eq!(both.lines().filter(|line| line.contains(", bf16")).count(), alone.lines().count() - 1);
    Ok(())
}

#[test]
fn fits_are_those_of_the_measured_bytes() -> Outcome {
    let table = TABLES.iter().find(|table| table.id == "scaling").ok_or("no such table")?;
    let csv = render::csv(&(table.grid)(&sweeps()?));
    let line = |group: &str, method: &str| {
        let start = |line: &&str| line.contains(group) && line.contains(&format!("\",{method},"));
        csv.lines().find(start).map(str::to_owned).ok_or(format!("{group} {method}: {csv}"))
    };
    // A point of T = 1 is measured and belongs to no line.
    assert!(line("tiny-conv", "sltt")?.contains("sltt,,3,0,"), "{csv}");
    // Flat in blocks, to the byte, and the slope is not an almost-zero.
    assert!(line("extra block", "spatial-rev")?.contains("spatial-rev,T = 4,3,0,"), "{csv}");
    // Two of three points are left, and any line meets two.
    let two = line("extra block", "stbp")?;
    assert!(two.contains("stbp,T = 4,2,") && two.contains("1 of 3 points: out-of-memory"), "{two}");
    let [fixed, reason] = ["ok: a line needs two points", "no carried value"];
    assert!(
        line("extra time", "ann")?.contains(fixed) && line("extra block", "temporal-rev")?.contains(reason)
    );
    Ok(())
}

#[test]
fn a_learning_curve_over_seeds_has_a_band_and_goes_no_further_than_all_of_them() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut campaign = Campaign::open(folder.path())?;
    for (seed, curve) in [(1, vec![0.5, 0.6, 0.7]), (2, vec![0.6, 0.8, 0.9]), (3, vec![0.7, 0.7])] {
        let row = Trial {
            trial: format!("s/c/m/t4/s{seed}"),
            method: "m".into(),
            seed,
            status: Status::Ok,
            steps_t: 4,
            ..Trial::default()
        };
        let epochs = curve.iter().zip(1..).map(|(top1, epoch)| CurvePoint {
            epoch,
            test_top1: Some(*top1),
            ..CurvePoint::default()
        });
        campaign.append_trial(&row, &Details { curve: &epochs.collect::<Vec<_>>(), ..Details::default() })?;
    }
    let chart = CHARTS.iter().find(|chart| chart.id == "learning-curves").ok_or("no such chart")?;
    let figure = (chart.figure)(&results::read(folder.path())?).ok_or("nothing drawn")?;
    let Body::Panels { panels, .. } = &figure.body else { return Err("no panels".into()) };
    let [series] = panels[0].series.as_slice() else { return Err("one entry is one line".into()) };
    let near = |found: f64, expected: f64| (found - expected).abs() < 1e-9;
    assert!(
        matches!(series.points.as_slice(), [(1.0, a), (2.0, b)] if near(*a, 60.0) && near(*b, 70.0)),
        "{series:?}"
    );
    // Both epochs spread by 10 points: mean ± t(2) 10 / sqrt(3), with t(2) = 4.302652729911275.
    let half = 4.302_652_729_911_275 * 10.0 / 3f64.sqrt();
    for (band, middle) in series.band.iter().zip([60.0, 70.0]) {
        assert!(near(band.low, middle - half) && near(band.high, middle + half), "{band:?}");
    }
    assert_eq!(series.band.len(), 2);
    assert!(render::svg(&figure)?.contains("opacity=\"0.18\""));
    Ok(())
}

#[test]
fn energy_stacks_add_up_to_the_energy_of_the_same_model() -> Outcome {
    let records = sample()?;
    let chart = CHARTS.iter().find(|chart| chart.id == "energy-stacks").ok_or("no such chart")?;
    let figure = (chart.figure)(&records).ok_or("nothing drawn")?;
    let Body::Stacks { groups, .. } = figure.body else { return Err("no stacks".into()) };
    let model = results::energy::find("sop45-fp32-all").ok_or("no such model")?;
    let mut met = 0;
    for stack in groups.iter().flat_map(|group| &group.stacks) {
        let trial = records.trials.iter().find(|trial| {
            trial.method == stack.name
                && records.ops.iter().any(|row| row.trial == trial.trial && row.is_evaluation())
        });
        let trial = trial.ok_or("no trial")?;
        let rows: Vec<_> = records.ops.iter().filter(|row| row.trial == trial.trial).collect();
        let whole = model.energy(&rows)? * 1e-6;
        let sum: f64 = stack.values.iter().sum();
        assert!((sum - whole).abs() <= 1e-12 * whole && whole > 0.0, "{}: {sum} and {whole}", stack.name);
        met += 1;
    }
    assert!(met > 1);
    Ok(())
}

#[test]
fn a_map_of_firing_rates_has_the_spikes_of_each_layer_and_step() -> Outcome {
    let records = sample()?;
    let chart = CHARTS.iter().find(|chart| chart.id == "firing-rate-map").ok_or("no such chart")?;
    let figure = (chart.figure)(&records).ok_or("nothing drawn")?;
    let Body::Heat { groups, .. } = &figure.body else { return Err("no maps".into()) };
    let mut met = 0;
    for (group, map) in groups.iter().flat_map(|group| group.maps.iter().map(move |map| (group, map))) {
        let trial = records.trials.iter().find(|trial| {
            trial.method == map.name
                && group.title.starts_with(&format!("{} on ", trial.model))
                && records.ops.iter().any(|row| row.trial == trial.trial && row.is_evaluation())
        });
        let trial = trial.ok_or("no trial")?;
        assert_eq!((map.cells.len(), map.columns.len()), (group.rows.len(), trial.steps_t as usize));
        for (layer, cells) in group.rows.iter().zip(&map.cells) {
            for (step, cell) in (1..).zip(cells) {
                let row = records.ops.iter().find(|row| {
                    row.trial == trial.trial
                        && row.is_evaluation()
                        && (row.layer.as_str(), row.kind.as_str(), row.step)
                            == (layer.as_str(), "neuron", step)
                });
                let expected = row.and_then(|row| Some(100.0 * row.spikes_per_sample? / row.neurons as f64));
                assert_eq!(*cell, expected, "{layer}, step {step}");
                met += usize::from(expected.is_some());
            }
        }
    }
    assert!(met > 4);
    // A cell with room has its value written in it.
    assert!(render::svg(&figure)?.contains("\n12.5\n</text>"));
    Ok(())
}
