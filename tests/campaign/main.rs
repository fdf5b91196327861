//! Campaigns: every trial is a row, whatever happens to it, and nothing that is on file runs twice.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod mixing;
mod sweeps;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use results::{Records, Status, Trial};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_harness");

/// A folder with a suite of three short trials and an output folder.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tiny.toml"), include_str!("tiny.toml")).unwrap();
        Self { folder }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("--suite").arg(self.folder.path().join("tiny.toml"));
        command.arg("--out").arg(self.out()).args(["--limit", "100"]).args(more);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, more: &[&str]) -> Output {
        self.command(more).output().unwrap()
    }

    fn records(&self) -> Records {
        results::read(self.out()).unwrap()
    }

    fn trial(&self, method: &str) -> Trial {
        let records = self.records();
        records.trials.into_iter().find(|trial| trial.method == method).unwrap()
    }

    /// A program that does `special` for one method and is the real thing for all others.
    fn stand_in(&self, method: &str, special: &str) -> String {
        let path = self.folder.path().join("stand-in");
        let script = format!(
            "#!/bin/sh\nspec=$(cat)\ncase \"$spec\" in\n  *'\"method\":\"{method}\"'*) {special} ;;\n\
             esac\nprintf '%s' \"$spec\" | exec '{PROGRAM}' trial\n"
        );
        write_program(&path, &script);
        path.to_str().unwrap().to_owned()
    }
}

/// Writes a script through another process: a file that this one has held open for writing can't be started while
/// any thread of it is between fork and exec.
fn write_program(path: &Path, script: &str) {
    let draft = path.with_extension("draft");
    fs::write(&draft, script).unwrap();
    assert!(Command::new("cp").arg(&draft).arg(path).status().unwrap().success());
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn statuses(records: &Records) -> Vec<(&str, Status)> {
    records.trials.iter().map(|trial| (trial.method.as_str(), trial.status)).collect()
}

#[test]
fn gradients_at_trained_weights_are_those_that_a_trial_from_these_weights_begins_with() {
    let bench = Bench::new();
    let file = bench.folder.path().join("tiny.toml");
    let (suite, saved) = (fs::read_to_string(&file).unwrap(), bench.folder.path().join("weights"));
    fs::write(&file, format!("{suite}gradient-weights = \"trained\"\n")).unwrap();
    let out = bench.run(&["--method", "sltt", "--save-weights", saved.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    let trained = bench.trial("sltt");
    assert!(trained.note.contains("gradients compared at the trained weights"), "{}", trained.note);

    fs::write(&file, &suite).unwrap();
    let weights = fs::read_dir(&saved).unwrap().next().unwrap().unwrap().path();
    let out = bench.run(&["--method", "sltt", "--weights", weights.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    let from_there = bench.trial("sltt");
    assert_eq!(from_there.gradient_cosine, trained.gradient_cosine);
    assert_eq!(from_there.gradient_norm_ratio, trained.gradient_norm_ratio);

    let out = bench.run(&["--method", "sltt"]);
    assert_eq!(out.status.code(), Some(0), "{}", said(&out));
    let untrained = bench.trial("sltt");
    assert!(untrained.gradient_cosine.is_some() && untrained.note.is_empty(), "{}", untrained.note);
    assert_ne!(untrained.gradient_cosine, trained.gradient_cosine);
}

#[test]
fn a_campaign_measures_reports_and_is_not_run_twice() {
    let bench = Bench::new();
    let first = bench.run(&[]);
    assert_eq!(first.status.code(), Some(0), "{}", said(&first));
    let records = bench.records();
    let ok = Status::Ok;
    assert_eq!(statuses(&records), [("stbp", ok), ("sltt", ok), ("ann", ok)], "{}", said(&first));
    let trial = bench.trial("stbp");
    assert!(trial.baseline && trial.steps_t == 2 && trial.train_samples == 100 && trial.test_samples == 34);
    for measured in [trial.parameters, trial.peak_host_bytes, trial.peak_step_bytes, trial.saved_bytes_peak] {
        assert!(measured.unwrap() > 0);
    }
    let rate = trial.firing_rate.unwrap();
    assert!(rate > 0.0 && rate < 1.0, "{rate}");
    assert!(trial.train_step_seconds_median.unwrap() > 0.0 && trial.timed_steps == Some(3));
    assert_eq!(bench.trial("ann").steps_t, 1);
    // The exact method is measured as any other, and one without time has nothing to be compared with.
    assert_eq!((trial.gradient_cosine, trial.gradient_norm_ratio), (Some(1.0), Some(1.0)));
    let cut = bench.trial("sltt").gradient_cosine.unwrap();
    assert!(cut > 0.5 && cut < 1.0, "{cut}");
    assert!(bench.trial("ann").gradient_cosine.is_none() && bench.trial("ann").note.contains("has no time"));
    let layers = |method: &str| {
        let rows = records.fidelity.iter().filter(|row| row.trial.contains(method));
        rows.map(|row| (row.layer.clone(), row.gradient_cosine)).collect::<Vec<_>>()
    };
    assert!(layers("/stbp/").len() > 2 && layers("/stbp/").iter().all(|(_, cosine)| *cosine == Some(1.0)));
    assert_eq!(layers("/sltt/").len(), layers("/stbp/").len());
    assert!(layers("/ann/").is_empty());
    assert!(records.ledger.iter().any(|row| row.phase == "step" && row.category == "law" && row.bytes > 0));
    let of_steps = |category: &str| -> Vec<u64> {
        let rows = records.ledger.iter().filter(|row| row.phase == "step" && row.category == category);
        rows.map(|row| row.bytes).collect()
    };
    let (totals, unattributed) = (of_steps("total"), of_steps("unattributed"));
    assert!(!totals.is_empty() && totals.len() == unattributed.len());
    assert!(totals.iter().zip(&unattributed).all(|(total, part)| part < total), "{unattributed:?}");

    let printed = String::from_utf8_lossy(&first.stdout).into_owned();
    for name in ["stbp", "sltt", "ann", "report.html", ".svg", ".png"] {
        assert!(printed.contains(name), "{printed}");
    }
    assert!(bench.out().join("report/report.html").is_file());

    let again = bench.run(&[]);
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    assert!(said(&again).contains("3 of 3 trials done already"), "{}", said(&again));
    assert!(bench.records().trials.iter().all(|trial| trial.attempt == 1));
    let forced = bench.run(&["--again", "--method", "ann"]);
    assert_eq!(forced.status.code(), Some(0), "{}", said(&forced));
    assert_eq!(bench.trial("ann").attempt, 2);
    // Another budget is another configuration.
    bench.run(&["--method", "ann", "--epochs", "2"]);
    assert_eq!(bench.trial("ann").attempt, 3);
}

#[test]
fn trials_of_halves_are_cases_of_their_own() {
    let bench = Bench::new();
    for dtype in ["f32", "bf16", "f16"] {
        let output = bench.run(&["--dtype", dtype]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
    let records = bench.records();
    let of = |case: &str| records.trials.iter().filter(|t| t.case == case).cloned().collect::<Vec<_>>();
    let singles = of("tiny");
    assert_eq!((records.trials.len(), singles.len()), (9, 3));
    for case in ["tiny-bf16", "tiny-f16"] {
        for (half, single) in of(case).iter().zip(&singles) {
            assert_eq!((half.status, &half.method), (Status::Ok, &single.method));
            assert!(half.trial.contains(&format!("/{case}/{}/", half.method)), "{}", half.trial);
            assert!(half.saved_bytes_peak < single.saved_bytes_peak, "{half:?}");
            assert_eq!(half.note.contains("updates left out"), case == "tiny-f16", "{}", half.note);
            // Beside the exact gradient in the same numbers: no factor of a scale is left on it.
            if let Some(ratio) = single.gradient_norm_ratio {
                let own = half.gradient_norm_ratio.unwrap();
                assert!((own / ratio - 1.0).abs() < 0.2, "{case} {}: {own} beside {ratio}", half.method);
            }
        }
    }
}

#[test]
fn curve_and_gradients_have_the_same_bytes_for_one_and_two_threads() {
    let rows = |threads| {
        let bench = Bench::new();
        let output = bench.run(&["--threads", threads, "--epochs", "2"]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        ["curve.csv", "fidelity.csv"].map(|file| fs::read(bench.out().join(file)).unwrap())
    };
    let one = rows("1");
    assert!(one.iter().all(|bytes| bytes.len() > 200));
    assert_eq!(one, rows("2"));
}

#[test]
fn an_impossible_pair_is_a_row_with_its_reason() {
    let bench = Bench::new();
    let output = bench.run(&["--method", "temporal-rev"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let trial = bench.trial("temporal-rev");
    assert_eq!(trial.status, Status::Unsupported);
    assert!(trial.note.contains("carried value"), "{}", trial.note);
    assert!(said(&bench.run(&["--method", "temporal-rev"])).contains("1 of 1 trials done already"));
}

#[test]
fn a_crash_is_a_row_and_the_campaign_goes_on_and_later_runs_what_is_missing() {
    let bench = Bench::new();
    let program = bench.stand_in("sltt", "echo 'the roof fell in' >&2; exit 3");
    let output = bench.run(&["--trial-program", &program]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(
        statuses(&bench.records()),
        [("stbp", Status::Ok), ("sltt", Status::Crashed), ("ann", Status::Ok)]
    );
    let note = bench.trial("sltt").note;
    assert!(note.contains("exit code 3") && note.contains("the roof fell in"), "{note}");

    let repaired = bench.run(&[]);
    assert_eq!(repaired.status.code(), Some(0), "{}", said(&repaired));
    let attempts: Vec<u32> = bench.records().trials.iter().map(|trial| trial.attempt).collect();
    assert_eq!(attempts, [1, 2, 1]);
    assert_eq!(bench.trial("sltt").status, Status::Ok);
}

#[test]
fn signals_and_allocation_failures_are_told_apart() {
    let note_of = |special: &str| {
        let bench = Bench::new();
        let program = bench.stand_in("stbp", special);
        let output = bench.run(&["--trial-program", &program, "--method", "stbp"]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let trial = bench.trial("stbp");
        (trial.status, trial.note)
    };
    let (status, note) = note_of("kill -SEGV $$");
    assert!(status == Status::Crashed && note.contains("signal 11"), "{note}");
    let (status, note) = note_of("kill -KILL $$");
    // The system counts what it kills for memory; this was somebody else.
    assert!(status == Status::Crashed && note.contains("signal 9"), "{note}");
    let (status, note) = note_of("echo 'memory allocation of 4096 bytes failed' >&2; kill -ABRT $$");
    assert!(status == Status::OutOfMemory && note.contains("4096 bytes"), "{note}");
    let (status, note) = note_of(
        "echo '{\"event\":\"failed\",\"status\":\"out-of-memory\",\"note\":\"device full\"}'; exit 1",
    );
    assert_eq!(status, Status::OutOfMemory);
    // The bytes that were refused, and beside them what was to be expected.
    assert!(
        note.starts_with("device full; a plan of the step holds ") && note.ends_with(" bytes)"),
        "{note}"
    );
    let (status, note) = note_of("echo 'hello'; exit 0");
    assert!(status == Status::Crashed && note.contains("hello"), "{note}");
}

#[test]
fn a_trial_that_outgrows_its_memory_limit_is_a_row_and_the_campaign_goes_on() {
    let both = ["--method", "stbp,ann", "--batch", "100", "--steps-t", "16"];
    let free = Bench::new();
    let output = free.run(&both);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let [large, small] = ["stbp", "ann"].map(|method| free.trial(method).peak_host_bytes.unwrap());
    assert!(large > 2 * small, "{large} and {small} bytes");

    let bench = Bench::new();
    let limit = ((large + small) / 2).to_string();
    let output = bench.run(&[&both[..], &["--memory-limit", &limit]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let trial = bench.trial("stbp");
    assert_eq!(trial.status, Status::OutOfMemory, "{}", trial.note);
    for words in ["before the first step", "memory allocation of", "bytes failed", "(--memory-limit "] {
        assert!(trial.note.contains(words), "{}", trial.note);
    }
    assert!(trial.top1_last.is_none() && trial.peak_host_bytes.is_none());
    assert_eq!(bench.trial("ann").status, Status::Ok);
    // A limit does not decide the numbers: what is on file is done, and the rest runs once the limit is gone.
    assert!(said(&bench.run(&both)).contains("1 of 2 trials done already, 1 to run"));
    assert_eq!(bench.trial("stbp").status, Status::Ok);
}

#[test]
fn a_limit_that_the_exact_method_does_not_fit_costs_the_gradients_cell_and_nothing_else() {
    // On one thread: on two, the packed panels of two matrix products overlap in one run and not in another.
    let sltt = ["--batch", "100", "--steps-t", "32", "--method", "sltt", "--threads", "1"];
    let free = Bench::new();
    let output = free.run(&sltt);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let measured = free.trial("sltt");
    assert!(measured.gradient_cosine.is_some());

    let bench = Bench::new();
    let limit = (measured.peak_host_bytes.unwrap() * 5 / 4).to_string();
    let output = bench.run(&[&sltt[..], &["--memory-limit", &limit]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let trial = bench.trial("sltt");
    assert!(trial.gradient_cosine.is_none() && trial.gradient_norm_ratio.is_none());
    assert!(trial.note.contains("exact backpropagation through time would need"), "{}", trial.note);
    assert_eq!((trial.top1_last, trial.peak_step_bytes), (measured.top1_last, measured.peak_step_bytes));
}

#[test]
fn saved_weights_evaluate_to_the_same_accuracy_and_can_be_trained_on() {
    let bench = Bench::new();
    let folder = bench.folder.path().join("weights");
    let file = folder.join("tiny__tiny__stbp__t2__s1.safetensors");
    let (folder, file) = (folder.to_str().unwrap(), file.to_str().unwrap());
    let trained = bench.run(&["--method", "stbp,ann", "--save-weights", folder]);
    assert_eq!(trained.status.code(), Some(0), "{}", said(&trained));
    let first = bench.trial("stbp");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 2);
    assert_eq!(first.weights, "");

    let judged = bench.run(&["--method", "stbp", "--weights", file, "--epochs", "0"]);
    assert_eq!(judged.status.code(), Some(0), "{}", said(&judged));
    let trial = bench.trial("stbp");
    assert_eq!((trial.attempt, trial.status, trial.epochs), (2, Status::Ok, 0));
    assert_eq!((trial.top1_last, trial.firing_rate), (first.top1_last, first.firing_rate));
    assert!(trial.weights.len() == 12 && trial.config_hash != first.config_hash, "{}", trial.weights);
    assert_eq!(trial.note, "evaluation alone");
    // Nothing was trained, so nothing was timed or probed: empty, not 0.
    assert_eq!(
        (trial.train_loss_last, trial.train_step_seconds_median, trial.timed_steps),
        (None, None, None)
    );
    assert_eq!((trial.train_seconds_total, trial.eval_seconds_total), (None, None));
    assert_eq!((trial.peak_step_bytes, trial.gradient_cosine), (None, None));
    let curve = bench.records().curve.into_iter().filter(|point| point.trial.contains("/stbp/"));
    let points: Vec<_> = curve.map(|point| (point.epoch, point.train_loss, point.test_top1)).collect();
    assert_eq!(points, [(0, None, first.top1_last)]);
    assert!(
        said(&bench.run(&["--method", "stbp", "--weights", file, "--epochs", "0"])).contains("done already")
    );

    let tuned = bench.run(&["--method", "stbp", "--weights", file]);
    assert_eq!(tuned.status.code(), Some(0), "{}", said(&tuned));
    let tuned = bench.trial("stbp");
    assert!(tuned.train_loss_last < first.train_loss_last && tuned.gradient_cosine == Some(1.0));
    assert_eq!((tuned.attempt, tuned.weights.as_str()), (3, trial.weights.as_str()));
    // Another method takes the same file: the parameters are the model's.
    let other = bench.run(&["--method", "sltt", "--weights", file, "--epochs", "0"]);
    assert_eq!(other.status.code(), Some(0), "{}", said(&other));
    assert_eq!(bench.trial("sltt").top1_last, first.top1_last);
}

#[test]
fn a_limit_below_the_data_set_is_out_of_memory_and_no_damage_of_the_data() {
    let bench = Bench::new();
    let output = bench.run(&["--method", "ann", "--memory-limit", "8MiB"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let trial = bench.trial("ann");
    assert_eq!(trial.status, Status::OutOfMemory, "{}", trial.note);
    assert!(!trial.note.contains("damage"), "{}", trial.note);
}

#[test]
fn a_second_campaign_keeps_out_of_a_folder_in_use() {
    let bench = Bench::new();
    let program = bench.stand_in("stbp", "exec sleep 600");
    let mut first = bench.command(&["--trial-program", &program]).spawn().unwrap();
    wait_until(&mut first, || bench.out().join("environment.json").exists());
    let second = bench.run(&["--method", "ann"]);
    assert_eq!(second.status.code(), Some(2), "{}", said(&second));
    assert!(said(&second).contains("one process at a time"), "{}", said(&second));
    // Reading is free.
    assert_eq!(bench.run(&["--dry-run"]).status.code(), Some(0));
    assert!(Command::new("kill").args(["-INT", &first.id().to_string()]).status().unwrap().success());
    assert_eq!(first.wait_with_output().unwrap().status.code(), Some(130));
    assert_eq!(statuses(&bench.records()), [("stbp", Status::Interrupted)]);
}

#[test]
fn a_reader_that_leaves_early_does_not_hide_a_failure() {
    let bench = Bench::new();
    let program = bench.stand_in("stbp", "exit 3");
    let mut campaign = bench.command(&["--trial-program", &program, "--method", "stbp"]).spawn().unwrap();
    drop(campaign.stdout.take());
    assert_eq!(campaign.wait_with_output().unwrap().status.code(), Some(1));
    assert!(bench.out().join("report/report.html").is_file());
}

#[test]
fn a_program_that_can_not_start_is_a_row() {
    let bench = Bench::new();
    let output = bench.run(&["--trial-program", "/no/such/program", "--method", "stbp"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(bench.trial("stbp").note.contains("/no/such/program"));
}

#[test]
fn a_trial_that_takes_too_long_is_a_row_and_the_campaign_goes_on() {
    let bench = Bench::new();
    let program = bench.stand_in("stbp", "exec sleep 600");
    // Generous for the real trials, which share the machine with other tests.
    let output = bench.run(&["--trial-program", &program, "--timeout", "20", "--method", "stbp,ann"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let trial = bench.trial("stbp");
    assert_eq!(trial.status, Status::TimedOut);
    assert!(trial.note.contains("20 s (--timeout)") && trial.top1_last.is_none(), "{}", trial.note);
    assert_eq!(bench.trial("ann").status, Status::Ok);
}

#[test]
fn ctrl_c_keeps_finished_rows_and_the_same_command_runs_the_rest() {
    let bench = Bench::new();
    let program = bench.stand_in("sltt", "exec sleep 600");
    let mut campaign = bench.command(&["--trial-program", &program]).spawn().unwrap();
    wait_until(&mut campaign, || {
        // The first trial is on file, so the second is running or about to.
        results::read(bench.out()).is_ok_and(|records| !records.trials.is_empty())
    });
    std::thread::sleep(Duration::from_millis(500));
    let pid = campaign.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = campaign.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("1 of 3 trials are done and kept"), "{}", said(&output));
    assert_eq!(statuses(&bench.records()), [("stbp", Status::Ok), ("sltt", Status::Interrupted)]);

    let output = bench.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("1 of 3 trials done already, 2 to run"), "{}", said(&output));
    let attempts: Vec<u32> = bench.records().trials.iter().map(|trial| trial.attempt).collect();
    assert_eq!(attempts, [1, 2, 1]);
}

fn wait_until(child: &mut Child, happened: impl Fn() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < Duration::from_secs(120), "nothing happened for two minutes");
        assert!(child.try_wait().unwrap().is_none(), "the campaign ended too early");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Clipping and the average are choices of a recipe: the curve has the average's accuracy, the ledger its bytes.
#[test]
fn an_average_of_the_weights_is_judged_beside_them() {
    let bench = Bench::new();
    let plain = include_str!("../../harness/recipes/plain-lif.toml");
    let more = "\n[clip]\nkind = \"norm\"\nat = 1.0\n\n[average]\ndecay = 0.5\n";
    fs::write(bench.folder.path().join("averaged.toml"), format!("{plain}{more}")).unwrap();
    let suite = include_str!("tiny.toml").replace("\"plain-lif\"", "\"averaged.toml\"");
    fs::write(bench.folder.path().join("tiny.toml"), suite).unwrap();
    let output = bench.run(&["--method", "stbp", "--epochs", "2"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let records = bench.records();
    assert_eq!(records.curve.len(), 2);
    for point in &records.curve {
        let (raw, average) = (point.test_top1.unwrap(), point.test_top1_average.unwrap());
        assert!((0.0..=1.0).contains(&raw) && (0.0..=1.0).contains(&average), "{point:?}");
    }
    let held = |category: &str| {
        let rows = records.ledger.iter().filter(|row| row.phase == "update" && row.category == category);
        rows.map(|row| row.bytes).collect::<Vec<_>>()
    };
    // Both hold the parameters and the running statistics of every norm.
    assert!(held("average").iter().all(|bytes| *bytes > 0));
    assert_eq!(held("average"), held("parameters"));

    let without = Bench::new();
    assert_eq!(without.run(&["--method", "stbp"]).status.code(), Some(0));
    let records = without.records();
    assert!(records.curve.iter().all(|point| point.test_top1_average.is_none()));
    assert!(records.ledger.iter().filter(|row| row.category == "average").all(|row| row.bytes == 0));
}

#[test]
fn updates_and_traces_are_counted_as_often_as_a_method_has_them() {
    let bench = Bench::new();
    let output = bench.run(&["--method", "stbp,ottt-o"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let records = bench.records();
    let (steps, batch) = (2.0, 20.0);
    for (method, updates, traced) in [("stbp", 1.0, 0), ("ottt-o", steps, 2)] {
        let trial = records.trials.iter().find(|trial| trial.method == method).unwrap();
        let rows = || records.ops.iter().filter(|row| row.trial == trial.trial);
        let moved: f64 =
            rows().filter(|row| row.during == "update").map(|row| row.outputs_per_sample.unwrap()).sum();
        // Each sample of the batch bears its part of the update, which is no whole number.
        let expected = updates * trial.parameters.unwrap() as f64 / batch;
        assert!((moved - expected).abs() < 1e-9 * expected, "{method}: {moved} and {expected}");
        let traces: Vec<_> = rows().filter(|row| row.kind == "trace").collect();
        assert_eq!(traces.len(), traced, "{method}");
        for row in traces {
            assert_eq!(
                (row.multiplies_per_sample, row.adds_per_sample),
                (row.outputs_per_sample, row.outputs_per_sample)
            );
            assert!(row.outputs_per_sample > Some(0.0) && row.during == "forward");
        }
    }
    let page = fs::read_to_string(bench.out().join("report/training-operations.md")).unwrap();
    assert!(page.contains("traces, M | update, M"), "{page}");
}
