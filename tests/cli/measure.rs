//! `harness measure`: what steps held is what the plan said, and a method that can't run has its reason.

use std::collections::BTreeMap;

use super::{printed, refused};

/// A line of comma-separated values by the names of its columns.
type Row = BTreeMap<String, String>;

fn rows(arguments: &[&str]) -> Vec<Row> {
    let told = printed(&[&["measure"], arguments, &["--csv"]].concat());
    let mut reader = csv::Reader::from_reader(told.as_bytes());
    reader.deserialize().collect::<Result<_, _>>().unwrap()
}

fn number(row: &Row, column: &str) -> f64 {
    assert!(!row[column].is_empty(), "{column}: {row:?}");
    row[column].parse().unwrap()
}

/// 40 samples, so that a step takes a moment and holds some mebibytes.
const FLAGS: [&str; 4] = ["--batch", "40", "--threads", "1"];

#[test]
fn a_step_holds_what_the_plan_says_by_every_method() {
    for model in ["tiny-conv", "tiny-rev", "tiny-trev"] {
        let rows = rows(&[&[model], FLAGS.as_slice()].concat());
        let methods: Vec<&str> = rows.iter().map(|row| row["method"].as_str()).collect();
        assert_eq!(methods, registry::all().map(|method| method.id).collect::<Vec<_>>());
        for row in &rows {
            assert_eq!((row["model"].as_str(), row["batch"].as_str()), (model, "40"));
            if row["status"] == "unsupported" {
                assert!(row["note"].len() > 20 && row["ledger_peak_bytes"].is_empty(), "{row:?}");
                continue;
            }
            assert_eq!((row["status"].as_str(), row["train_steps"].as_str()), ("ok", "3"), "{row:?}");
            assert_eq!(row["ledger_peak_bytes"], row["planned_peak_bytes"], "{row:?}");
            let booked = number(row, "ledger_peak_bytes") - number(row, "most_workspace_bytes");
            assert!(number(row, "heap_peak_bytes") >= booked, "{row:?}");
            assert!(number(row, "heap_growth_bytes") < number(row, "heap_peak_bytes"), "{row:?}");
            assert!(number(row, "saved_after_forward_bytes") > 0.0, "{row:?}");
            assert!(number(row, "saved_after_forward_bytes") <= number(row, "most_saved_bytes"), "{row:?}");
            let fastest = number(row, "fastest_step_seconds");
            assert!(fastest > 0.0 && fastest <= number(row, "step_seconds"), "{row:?}");
            if row["steps_t"] == "1" {
                assert_eq!(row["firing_rate"], "", "a method without time has no spikes: {row:?}");
            } else {
                let rate = number(row, "firing_rate");
                assert!(rate > 0.0 && rate < 1.0, "{row:?}");
            }
        }
    }
}

#[test]
fn clipping_averages_and_other_number_types_are_planned_too() {
    for (model, recipe, dtype) in [
        ("tiny-conv", "plain-lif", "f64"),
        ("tiny-trev", "trevsnn-imagenet", "f64"),
        ("tiny-conv", "plain-lif", "bf16"),
        ("tiny-trev", "trevsnn-imagenet", "f16"),
    ] {
        let step = ["--recipe", recipe, "--image", "1x28x28", "--classes", "10", "--dtype", dtype];
        let small = ["--batch", "2", "--train-steps", "2", "--threads", "1"];
        let rows = rows(&[&[model], step.as_slice(), small.as_slice()].concat());
        let measured: Vec<&Row> = rows.iter().filter(|row| row["status"] == "ok").collect();
        assert!(measured.len() > 3, "{rows:?}");
        for row in measured {
            assert_eq!(row["dtype"], dtype);
            assert_eq!(row["ledger_peak_bytes"], row["planned_peak_bytes"], "{row:?}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn resident_memory_grows_by_what_the_heap_holds() {
    // Wide enough that pages and the allocator's own reserve are small beside it.
    let rows = rows(&["tiny-conv", "--batch", "256", "--threads", "1", "--method", "stbp"]);
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    let (resident, ledger) = (number(row, "resident_growth_bytes"), number(row, "ledger_peak_bytes"));
    assert!(resident > 0.8 * ledger && resident < 2.0 * ledger, "{row:?}");
}

#[test]
fn the_tables_have_a_line_a_method() {
    let told =
        printed(&[&["measure", "tiny-rev", "--method", "stbp,temporal-rev"], FLAGS.as_slice()].concat());
    assert!(told.contains("tiny-rev: ") && told.contains("batch of 40"), "{told}");
    assert_eq!(told.lines().filter(|line| line.starts_with("stbp ")).count(), 2, "{told}");
    assert!(told.contains("temporal-rev  can't: "), "{told}");
    assert!(told.contains("3 steps, the first to warm up"), "{told}");
}

#[cfg(unix)]
#[test]
fn a_process_that_fails_is_a_line_with_the_reason() {
    use std::os::unix::process::CommandExt;

    for (program, reason) in [
        ("false", "ended with exit code 1 without a result"),
        ("true", "its process printed something else than a measurement"),
        ("/no/such/program", "cannot start /no/such/program"),
    ] {
        // The program's own name is what it starts.
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_harness"));
        let output =
            command.arg0(program).args(["measure", "tiny-conv", "--method", "stbp"]).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(&format!("stbp  failed: {reason}")), "{told}");
    }
}

#[test]
fn a_measurement_of_nothing_is_refused() {
    let said = refused(&["measure", "tiny-covn"]);
    assert!(said.contains("unknown model 'tiny-covn'; did you mean 'tiny-conv'? Known: "), "{said}");
    assert!(refused(&["measure", "tiny-conv", "--method", "stpb"]).contains("did you mean 'stbp'?"));
    let said = refused(&["measure", "tiny-conv", "--train-steps", "1"]);
    assert!(said.contains("--train-steps") && said.contains("at least 2"), "{said}");
    assert!(refused(&["measure", "tiny-conv", "--batch", "0"]).contains("at least 1"));
}
