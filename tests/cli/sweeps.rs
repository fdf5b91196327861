//! Suites of sweeps: what their files and flags refuse, and what a dry run tells.

use std::fs;

use crate::{entries, printed, refused};

const SUITE: &str = include_str!("../campaign/sweeps.toml");

#[test]
fn a_suite_of_sweeps_is_refused_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    for (from, to, complaint) in [
        ("timed = 2", "timd = 2", "mine.toml:4: unknown key 'timd'; did you mean 'timed'?"),
        ("timed = 2", "timed = 0", "timed must be at least 1, got 0"),
        (
            "\"spatial-rev\"",
            "\"spatial-rv\"",
            "mine.toml:15: unknown method 'spatial-rv'; did you mean 'spatial-rev'?",
        ),
        ("\"ann\"]", "\"ann\", \"ann\"]", "methods must be listed once each, got ann twice"),
        (
            "methods = [\"stbp\", \"spatial-rev\", \"temporal-rev\", \"ann\"]",
            "methods = []",
            "number of methods must be at least 1",
        ),
        (
            "model = \"tiny-rev\"",
            "model = \"tiny-rv\"",
            "mine.toml:9: unknown model 'tiny-rv'; did you mean 'tiny-rev'?",
        ),
        ("recipe = \"coupled-lif\"", "recipe = \"copled-lif\"", "did you mean 'coupled-lif'?"),
        (
            "steps = [2, 3]",
            "steps = [3, 2]",
            "mine.toml:6: sweep stages: steps (T) must be at least 1 numbers in 1..=1024",
        ),
        ("steps = [2, 3]", "steps = [2, 5000]", "each larger than the one before, got [2, 5000]"),
        ("blocks = [1, 2, 3]", "blocks = [0, 2, 3]", "sweep stages: blocks must be"),
        ("crossing = { steps = 2, blocks = 1 }", "", "crossing must be given with blocks"),
        ("blocks = [1, 2, 3]\n", "", "crossing must be left out without blocks"),
        ("crossing = { steps = 2,", "crossing = { stepz = 2,", "unknown key 'stepz'; did you mean 'steps'?"),
        (
            "batches = { steps = 2, samples = [2, 4] }",
            "batches = { steps = 2, samples = [4, 2] }",
            "sweep stages: batches.samples must be",
        ),
        ("batches = { steps = 2,", "batches = { steps = 0,", "batches.steps (T) must be at least 1"),
        ("width = 0.5", "width = -0.5", "sweep stages: width must be above 0"),
        ("batch = 4", "batch = 0", "sweep stages: batch must be at least 1, got 0"),
        ("id = \"levels\"", "id = \"stages\"", "sweep id must be one that no other sweep has, got stages"),
        ("id = \"levels\"", "id = \"a/b\"", "sweep id must be one or more of"),
        ("\"divided\"", "\"divded\"", "unknown choice 'divded'; did you mean 'divided'?"),
        ("[\"per-step\", \"divided\"]", "[\"divided\", \"divided\"]", "step-widths must be listed once each"),
        ("[\"per-step\", \"divided\"]", "[]", "number of step-widths must be at least 1"),
    ] {
        let wrong = SUITE.replacen(from, to, 1);
        assert_ne!(wrong, SUITE, "{from}");
        fs::write(&path, wrong).unwrap();
        let said = refused(&["--suite", path.to_str().unwrap(), "--dry-run"]);
        assert!(said.contains(complaint), "{complaint}: {said}");
    }
}

#[test]
fn flags_of_training_mean_nothing_to_a_sweep_and_are_refused() {
    for (flag, value) in [
        ("--epochs", "3"),
        ("--dataset", "cifar10"),
        ("--limit", "100"),
        ("--seeds", "1,2"),
        ("--data", "/data"),
        ("--weights", "w.safetensors"),
        ("--save-weights", "/tmp/w"),
        ("--memory-budget", "8GiB"),
    ] {
        let said = refused(&["--suite", "scaling", "--dry-run", flag, value]);
        assert!(said.contains(&format!("{flag} must be left out with suite scaling")), "{said}");
    }
    assert!(refused(&["--suite", "scaling", "--device", "cuda"]).contains("--device must be cpu"));
    assert!(refused(&["--suite", "scaling", "--model", "vgg11-bn"]).contains("nothing to run"));
    assert!(refused(&["--suite", "scaling", "--method", "stpb"]).contains("did you mean 'stbp'?"));
}

#[test]
fn a_dry_run_of_sweeps_leaves_no_trace_and_tries_every_method() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let dry = |more: &[&str]| {
        let mut arguments = vec!["--suite", "scaling", "--dry-run", "--out", out.to_str().unwrap()];
        arguments.extend(more);
        printed(&arguments)
    };
    let plan = dry(&[]);
    for method in registry::all() {
        assert!(plan.contains(&format!("/{}/t", method.id)), "{} is not tried: {plan}", method.id);
    }
    assert!(plan.contains("be unsupported: ") && plan.contains("/divided/t32"), "{plan}");
    assert_eq!(entries(folder.path()), 0);
    // T in place of the suite's own, along both lines; a chosen method has no inference.
    let few = dry(&["--model", "rev-resnet21", "--method", "stbp", "--steps-t", "2"]);
    assert!(few.contains("4 of 4 points to run") && few.contains("scaling/rev-resnet21/stbp/t2/b8"), "{few}");
    // Six batches, one of which is the sweep's own; a chosen batch is the only one.
    let batches = dry(&["--model", "preact-resnet18", "--method", "stbp", "--filter", "*/t4/b1*"]);
    assert!(batches.contains("6 of 6 points") && batches.contains("stbp/t4/b1/n32"), "{batches}");
    let one =
        dry(&["--model", "preact-resnet18", "--method", "stbp", "--filter", "*/t4/b1*", "--batch", "8"]);
    assert!(one.contains("1 of 1 points"), "{one}");
    assert!(dry(&["--method", "ann", "--model", "tiny-conv"]).contains("1 of 1 points"));
    assert!(dry(&["--filter", "*/divided/t?"]).contains("4 of 4 points"));
    assert!(printed(&["list", "suites"]).contains("points)"));
}
