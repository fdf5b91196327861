//! The command line: what it refuses, how it says so, and what it leaves alone.

#![allow(clippy::unwrap_used)]

mod device;
mod measure;
mod papers;
mod plan;
mod probe;
mod records;
mod regress;
mod splice;
mod sweeps;
mod weights;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn harness(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness")).args(arguments).output().unwrap()
}

/// Runs it, expects exit code 2 and an empty standard output, and returns what it said.
fn refused(arguments: &[&str]) -> String {
    let output = harness(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{arguments:?}");
    said
}

fn printed(arguments: &[&str]) -> String {
    let output = harness(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn unknown_names_get_the_nearest_known_one() {
    for (flag, slip, meant) in [
        ("--suite", "smoek", "smoke"),
        ("--method", "stpb", "stbp"),
        ("--model", "tiny-covn", "tiny-conv"),
        ("--dataset", "cifar-10", "cifar10"),
    ] {
        let mut arguments = vec!["--dry-run", flag, slip];
        if flag != "--suite" {
            arguments.extend(["--suite", "smoke"]);
        }
        let said = refused(&arguments);
        let kind = &flag[2..];
        assert!(
            said.contains(&format!("unknown {kind} '{slip}'; did you mean '{meant}'? Known: ")),
            "{said}"
        );
    }
    assert!(refused(&["recipe", "plain-lf"]).contains("did you mean 'plain-lif'?"));
    assert!(refused(&["lst"]).contains("list"));
}

#[test]
fn values_out_of_range_name_flag_and_rule() {
    let said = refused(&["--suite", "smoke", "--steps-t", "0"]);
    assert!(said.contains("'0'") && said.contains("--steps-t") && said.contains("at least 1"), "{said}");
    for (flag, value) in
        [("--steps-t", "-1"), ("--steps-t", "99999999999"), ("--limit", "0"), ("--threads", "0")]
    {
        let said = refused(&["--suite", "smoke", flag, value]);
        assert!(said.contains(&format!("'{value}'")) && said.contains(flag), "{said}");
        assert!(said.contains("must be a whole number of at least 1"), "{said}");
    }
    let said = refused(&["--suite", "smoke", "--limit", "7000", "--dry-run"]);
    assert!(said.contains("train_limit must be in 1..=6000") && said.contains("7000"), "{said}");
    let said = refused(&["--suite", "smoke", "--limit", "20", "--dry-run"]);
    assert!(said.contains("batch size must be in 1..=20"), "{said}");
    let said = refused(&["--suite", "smoke", "--device", "cuda", "--dry-run"]);
    assert!(said.contains("--device must be cpu"), "{said}");
    assert!(refused(&["--dry-run"]).contains("--suite must be given"));
}

#[test]
fn a_suite_file_is_refused_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let suite = include_str!("../campaign/tiny.toml");
    for (from, to, complaint) in [
        ("epochs = 1", "epoch = 1", "mine.toml:9: unknown key 'epoch'; did you mean 'epochs'?"),
        ("\"sltt\"", "\"slt\"", "mine.toml:10: unknown method 'slt'; did you mean 'sltt'?"),
        ("steps = 2", "steps = 0", "steps (T) must be at least 1, got 0"),
        ("steps = 2", "steps = -2", "mine.toml:8: invalid value: integer `-2`, expected a whole number"),
        ("steps = 2", "steps = 99999999999", "steps (T) must be at most 1024, got 99999999999"),
        ("id = \"tiny\"", "id = \"a/b\"", "mine.toml:4: case id must be one or more of"),
        ("[1, 2]", "[1, 2]\n[case.settings.slt]\nk = 1", "mine.toml:15: unknown method 'slt'"),
        (
            "recipe = \"plain-lif\"",
            "recipe = \"plain-lfi\"",
            "mine.toml:12: unknown recipe 'plain-lfi'; did you mean 'plain-lif'?",
        ),
    ] {
        let wrong = suite.replacen(from, to, 1);
        assert_ne!(wrong, suite, "{from}");
        fs::write(&path, wrong).unwrap();
        let said = refused(&["--suite", path.to_str().unwrap(), "--dry-run"]);
        assert!(said.contains(complaint), "{said}");
    }
    assert!(refused(&["--suite", "no/such.toml"]).contains("cannot read no/such.toml"));
}

#[test]
fn an_unwritable_output_folder_is_told_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let out = file.join("records");
    let said = refused(&["--suite", "smoke", "--out", out.to_str().unwrap()]);
    assert!(said.contains("--out") && said.contains(out.to_str().unwrap()), "{said}");
}

#[test]
fn a_report_needs_records() {
    let folder = tempfile::tempdir().unwrap();
    let said = refused(&["report", folder.path().to_str().unwrap()]);
    assert!(said.contains("no records here") && said.contains("trials.csv"), "{said}");
}

#[test]
fn truncated_data_is_told_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    fs::create_dir(&data).unwrap();
    for batch in 1..=5 {
        fs::write(data.join(format!("data_batch_{batch}.bin")), [0; 100]).unwrap();
    }
    fs::write(data.join("test_batch.bin"), [0; 100]).unwrap();
    let said =
        refused(&["--suite", "cifar", "--data", data.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert!(said.contains("data_batch_1.bin") && said.contains("100"), "{said}");
    assert!(!out.exists());
    let said = refused(&["--suite", "fashion", "--out", out.to_str().unwrap()]);
    assert!(said.contains("--data DIR"), "{said}");
}

#[test]
fn a_dry_run_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let plan = printed(&["--suite", "smoke", "--dry-run", "--out", out.to_str().unwrap()]);
    assert!(plan.contains("12 of 12 trials to run"), "{plan}");
    assert!(plan.contains("smoke/tiny-trev/temporal-rev/t4/s1"), "{plan}");
    // The network without time runs at its own T.
    assert!(plan.contains("smoke/tiny-conv/ann/t1/s1"), "{plan}");
    assert_eq!(entries(folder.path()), 0);
}

#[test]
fn filters_and_flags_choose_trials() {
    let dry = |more: &[&str]| {
        let mut arguments = vec!["--suite", "smoke", "--dry-run", "--out", "/nowhere/at/all"];
        arguments.extend(more);
        printed(&arguments)
    };
    assert!(dry(&["--model", "tiny-rev"]).contains("3 of 3 trials"));
    assert!(dry(&["--method", "stbp", "--seeds", "1,2"]).contains("6 of 6 trials"));
    assert!(dry(&["--method", "ann", "--steps-t", "2,4"]).contains("1 of 1 trials"));
    assert!(dry(&["--filter", "*/tiny-conv/s*"]).contains("2 of 2 trials"));
    assert!(dry(&["--filter", "tiny-trev/temp"]).contains("1 of 1 trials"));
    assert!(refused(&["--suite", "smoke", "--filter", "nothing-like-it"]).contains("nothing to run"));
    assert!(refused(&["--suite", "smoke", "--dataset", "cifar10"]).contains("nothing to run"));
}

#[test]
fn help_teaches_and_lists_are_complete() {
    let start = printed(&[]);
    assert!(start.contains("harness --suite smoke") && start.contains("harness list"), "{start}");
    let help = printed(&["--help"]);
    assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{help}");
    assert!(!help.contains("trial-program"), "{help}");
    let list = printed(&["list"]);
    for heading in ["suites", "methods", "models", "datasets", "recipes"] {
        assert!(list.lines().any(|line| line == heading), "{list}");
    }
    for method in registry::all() {
        assert!(printed(&["list", "methods"]).contains(method.id));
    }
}

#[test]
fn a_printed_recipe_is_a_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.toml");
    let recipe = printed(&["recipe", "coupled-lif"]);
    fs::write(&path, &recipe).unwrap();
    assert_eq!(printed(&["recipe", path.to_str().unwrap()]), recipe);
}

#[test]
fn a_model_is_told_by_its_counts_and_an_unknown_one_by_the_nearest() {
    let told = printed(&["model", "tiny-conv"]);
    for words in ["tiny-conv: ", "input ", "layer1.conv", "readout", "neurons  ", "MACs", "trained"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    // As published: 3x3 convolutions to 8, 16 and 32 channels, norms, a read-out of 10 classes.
    let line = told.lines().find(|line| line.starts_with("parameters ")).unwrap();
    assert!(
        line.split_whitespace().nth(1).unwrap().replace(',', "").parse::<usize>().unwrap() > 1000,
        "{line}"
    );
    for method in registry::all() {
        assert!(told.contains(&format!("  {} ", method.id)), "{told}");
    }
    let wide = printed(&["model", "tiny-conv", "--width", "2"]);
    assert_ne!(wide.lines().find(|line| line.starts_with("parameters ")).unwrap(), line);
    let said = refused(&["model", "tiny-covn"]);
    assert!(said.contains("unknown model 'tiny-covn'; did you mean 'tiny-conv'? Known: "), "{said}");
    assert!(refused(&["model", "tiny-conv", "--image", "3x32"]).contains("three positive numbers"));
    assert_eq!(harness(&["model", "tiny-conv", "--steps-t", "0"]).status.code(), Some(2));
}
