//! Suites of sweeps: every point is a row, bytes depend on nothing but the point, and nothing on file runs twice.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use results::{InferenceRow, Records, ScalingRow, Status};
use tempfile::TempDir;

use crate::{PROGRAM, said, write_program};

struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("sweeps.toml"), include_str!("sweeps.toml")).unwrap();
        Self { folder }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn run(&self, more: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.arg("--suite").arg(self.folder.path().join("sweeps.toml")).arg("--out").arg(self.out());
        command.args(more).output().unwrap()
    }

    fn records(&self) -> Records {
        results::read(self.out()).unwrap()
    }

    fn point(&self, key: &str) -> ScalingRow {
        let records = self.records();
        records.scaling.into_iter().find(|row| row.point == format!("sweeps/stages/{key}")).unwrap()
    }
}

/// The columns that clocks, the number of threads and the sitting decide.
fn without_clocks(records: Records) -> (Vec<ScalingRow>, Vec<InferenceRow>) {
    let scaling = records.scaling.into_iter().map(|row| ScalingRow {
        step_seconds_median: None,
        step_seconds_mad: None,
        step_seconds_min: None,
        wall_seconds: None,
        workspace_bytes: None,
        threads: 0,
        started_utc: String::new(),
        ..row
    });
    let inference = records.inference.into_iter().map(|row| InferenceRow {
        seconds_per_sample_median: None,
        seconds_per_sample_mad: None,
        wall_seconds: None,
        threads: 0,
        started_utc: String::new(),
        ..row
    });
    (scaling.collect(), inference.collect())
}

#[test]
fn points_are_measured_once_and_hold_the_same_bytes_on_one_and_two_threads() {
    let bench = Bench::new();
    let first = bench.run(&["--threads", "1"]);
    assert_eq!(first.status.code(), Some(0), "{}", said(&first));
    let records = bench.records();
    // 2 T, 2 more blocks and another batch for three methods; the one without time has T = 1 alone. Two widths at two T.
    assert_eq!((records.scaling.len(), records.inference.len()), (3 * 5 + 4, 4), "{}", said(&first));
    for row in &records.scaling {
        if row.method == "temporal-rev" {
            assert_eq!(row.status, Status::Unsupported);
            assert!(
                row.note.contains("carried value") && row.law_bytes.is_none() && row.wall_seconds.is_none()
            );
            continue;
        }
        assert_eq!((row.status, row.timed_steps), (Status::Ok, Some(2)), "{}: {}", row.point, row.note);
        assert_eq!(row.law_bytes, row.planned_law_bytes, "{}", row.point);
        assert_eq!(row.whole_bytes, row.planned_whole_bytes, "{}", row.point);
        let sum: Option<u64> = row.at_peak().into_iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(sum, row.whole_bytes, "{}", row.point);
        assert!(row.heap_peak_bytes >= row.law_bytes && row.step_seconds_median.unwrap() > 0.0);
    }
    let law = |key: &str| bench.point(key).law_bytes.unwrap();
    // What its paper promises: flat in blocks, and not in T.
    assert_eq!(law("spatial-rev/t2/b1"), law("spatial-rev/t2/b3"));
    assert!(law("spatial-rev/t3/b1") > law("spatial-rev/t2/b1"));
    assert_eq!((bench.point("stbp/t2/b1").batch, bench.point("stbp/t2/b1/n2").batch), (4, 2));
    assert!(law("stbp/t2/b1/n2") < law("stbp/t2/b1"));
    assert!(law("stbp/t2/b3") > law("stbp/t2/b2") && law("stbp/t3/b1") > law("stbp/t2/b1"));
    let cost = |width: &str, steps: u32| {
        let mut rows = records.inference.iter();
        let row = rows.find(|row| row.step_width == width && row.steps_t == steps).unwrap();
        assert!(row.firing_rate.unwrap() > 0.0 && row.acs_per_sample.unwrap() > 0.0, "{row:?}");
        assert_eq!((row.status, row.published_steps_t), (Status::Ok, 4));
        (row.dense_macs_per_sample.unwrap(), row.parameters.unwrap())
    };
    // At the T of the paper both kinds of width are one network; away from it, one of them costs about the same.
    assert_eq!(cost("per-step", 4), cost("divided", 4));
    let (few, all) = (cost("per-step", 2), cost("per-step", 4));
    assert!(few.0 < 0.7 * all.0 && cost("divided", 2).0 > 0.9 * all.0);

    let printed = String::from_utf8_lossy(&first.stdout).into_owned();
    for words in [
        "an extra time step",
        "an extra block",
        "against the batch",
        "(4, f32)",
        "divided widths",
        "time-batch.png",
    ] {
        assert!(printed.contains(words), "{words}: {printed}");
    }
    assert!(!printed.contains("Training methods side by side"), "{printed}");

    let again = bench.run(&["--threads", "1"]);
    assert!(said(&again).contains("23 of 23 points done already"), "{}", said(&again));
    assert!(bench.records().scaling.iter().all(|row| row.attempt == 1));
    let forced = bench.run(&["--again", "--method", "ann", "--filter", "*/b1"]);
    assert_eq!(forced.status.code(), Some(0), "{}", said(&forced));
    assert_eq!((bench.point("ann/t1/b1").attempt, bench.point("ann/t1/b2").attempt), (2, 1));

    let two = Bench::new();
    assert_eq!(two.run(&["--threads", "2"]).status.code(), Some(0));
    assert_eq!(without_clocks(records), without_clocks(two.records()));
}

#[test]
fn a_point_that_goes_wrong_is_a_row_and_the_same_command_mends_it() {
    let bench = Bench::new();
    let program = bench.folder.path().join("stand-in");
    let script = format!(
        "#!/bin/sh\nspec=$(cat)\ncase \"$spec\" in\n  *'\"method\":\"spatial-rev\"'*'\"steps\":3'*|*'\"steps\":3'*'\"method\":\"spatial-rev\"'*) \
         echo '{{\"event\":\"clock\",\"step\":1,\"of\":2}}'; echo 'the roof fell in' >&2; exit 3 ;;\nesac\n\
         printf '%s' \"$spec\" | exec '{PROGRAM}' trial\n"
    );
    write_program(&program, &script);
    let only = ["--method", "spatial-rev", "--filter", "*/b1"];
    let output = bench.run(&[&only[..], &["--trial-program", program.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("1 of 2 points did not come to their end"), "{}", said(&output));
    let broken = bench.point("spatial-rev/t3/b1");
    assert_eq!((broken.status, broken.law_bytes, broken.timed_steps), (Status::Crashed, None, None));
    for words in ["in timed step 1 of 2", "exit code 3", "the roof fell in"] {
        assert!(broken.note.contains(words), "{}", broken.note);
    }
    let table = fs::read_to_string(bench.out().join("report/image-memory.md")).unwrap();
    assert!(table.contains("1 of 2 points: crashed"), "{table}");

    let mended = bench.run(&only);
    assert!(said(&mended).contains("1 of 2 points done already, 1 to run"), "{}", said(&mended));
    let mended = bench.point("spatial-rev/t3/b1");
    assert_eq!((mended.status, mended.attempt), (Status::Ok, 2));
    // Another batch is another point of the same key.
    assert_eq!(bench.run(&[&only[..], &["--batch", "2"]].concat()).status.code(), Some(0));
    assert_eq!((bench.point("spatial-rev/t3/b1").attempt, bench.point("spatial-rev/t3/b1").batch), (3, 2));
    // A limit of the heap ends a point, and nothing else.
    let limited = bench.run(&[&only[..], &["--again", "--memory-limit", "64KiB"]].concat());
    assert_eq!(limited.status.code(), Some(1), "{}", said(&limited));
    let limited = bench.point("spatial-rev/t3/b1");
    assert_eq!(limited.status, Status::OutOfMemory, "{}", limited.note);
    assert!(limited.note.contains("(--memory-limit "), "{}", limited.note);
    assert!(limited.note.contains("; a plan of the step holds "), "{}", limited.note);
}

/// As an accelerator tells it: an error of the step, not the end of the process.
#[test]
fn memory_that_a_device_refuses_is_a_row_with_its_bytes_and_those_of_the_plan() {
    let bench = Bench::new();
    let program = bench.folder.path().join("full");
    let told = r#"{"event":"failed","status":"out-of-memory","note":"conv::forward: 123456 bytes refused"}"#;
    write_program(&program, &format!("#!/bin/sh\ncat >/dev/null\necho '{told}'\nexit 1\n"));
    let only = ["--method", "stbp", "--filter", "*/stbp/t2/b1"];
    let output = bench.run(&[&only[..], &["--trial-program", program.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let row = bench.point("stbp/t2/b1");
    assert_eq!((row.status, row.heap_peak_bytes), (Status::OutOfMemory, None));
    let start = "conv::forward: 123456 bytes refused; a plan of the step holds ";
    assert!(row.note.starts_with(start) && row.note.ends_with(" bytes)"), "{}", row.note);
}

#[test]
fn a_batch_that_fits_is_the_largest_power_of_two_whose_plan_does() {
    let bench = Bench::new();
    let only = ["--method", "stbp", "--filter", "*/stbp/t2/b1", "--threads", "1"];
    let run = |more: &[&str]| {
        let output = bench.run(&[&only[..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let row = bench.point("stbp/t2/b1");
        (row.batch, row.planned_whole_bytes.unwrap() + row.workspace_bytes.unwrap())
    };
    // So many samples at most, whatever fits; a number between two powers is the lower one.
    let (eight, held) = run(&["--batch-up-to", "15", "--fits", "8GiB"]);
    assert_eq!(eight, 8);
    assert_eq!(run(&["--batch-up-to", "64", "--fits", &held.to_string()]), (8, held));
    assert_eq!(run(&["--batch-up-to", "64", "--fits", &(held - 1).to_string()]).0, 4);
    // Not even one: the point keeps one and shows what it holds.
    assert_eq!(run(&["--batch-up-to", "64", "--fits", "1KiB"]).0, 1);
}

#[test]
fn a_number_type_is_told_by_key_and_column_and_stands_beside_the_usual_one() {
    let bench = Bench::new();
    for more in [&["--dtype", "bf16"][..], &[]] {
        let output =
            bench.run(&[&["--threads", "1", "--method", "stbp", "--filter", "*/t2/b1*"], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
    let (half, single) = (bench.point("stbp/t2/b1/bf16"), bench.point("stbp/t2/b1"));
    assert_eq!((half.dtype.as_str(), single.dtype.as_str()), ("bf16", "f32"));
    assert_eq!((half.law_bytes, half.whole_bytes), (half.planned_law_bytes, half.planned_whole_bytes));
    assert!(half.law_bytes < single.law_bytes, "{half:?}");
    // Weights are no halves, a batch is.
    assert_eq!(half.parameters_most_bytes, single.parameters_most_bytes);
    assert_eq!(half.input_most_bytes.map(|bytes| 2 * bytes), single.input_most_bytes);
}
