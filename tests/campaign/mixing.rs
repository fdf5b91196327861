//! Trials on batches that are mixed.

use std::fs;

use results::Status;

use super::{PROGRAM, said};

/// A recipe that ships, with labels mixed in its batches.
fn mixed(recipe: &str) -> String {
    format!("{recipe}\n[data.mix]\nmixup = 0.2\ncutmix = 1.0\nprobability = 0.75\n")
}

const HEAD: &str = "title = \"Mixed batches\"\nanalysis = \"Does every method train on them?\"\n";

fn case(model: &str, recipe: &str, methods: &[&str]) -> String {
    format!(
        "[[case]]\nid = \"{model}\"\nrev = 1\ndataset = \"fashion-mnist-mini\"\nmodel = \"{model}\"\nsteps = 2\n\
         budget = {{ epochs = 2, batch = 20 }}\nmethods = {methods:?}\nrecipe = \"{recipe}.toml\"\nseeds = [1]\n"
    )
}

#[test]
fn every_method_trains_on_mixed_batches_and_twice_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    write("plain.toml", mixed(include_str!("../../harness/recipes/plain-lif.toml")));
    write("coupled.toml", mixed(include_str!("../../harness/recipes/coupled-lif.toml")));
    write("levels.toml", mixed(include_str!("../../harness/recipes/levels-exact.toml")));
    let all: Vec<&str> = registry::all().map(|entry| entry.id).collect();
    let suite = [
        HEAD.to_owned(),
        case("tiny-conv", "plain", &all),
        case("tiny-rev", "coupled", &all),
        case("tiny-trev-rev", "levels", &all),
    ];
    write("mixed.toml", suite.concat());
    let curves = ["one", "two"].map(|out| {
        let out = folder.path().join(out);
        let mut command = std::process::Command::new(PROGRAM);
        command.arg("--suite").arg(folder.path().join("mixed.toml")).arg("--out").arg(&out);
        let output = command.args(["--limit", "60"]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let records = results::read(&out).unwrap();
        for method in &all {
            let mut rows = records.trials.iter().filter(|trial| trial.method == *method);
            assert!(rows.any(|trial| trial.status == Status::Ok), "{method}: {}", said(&output));
        }
        for trial in &records.trials {
            assert!(
                matches!(trial.status, Status::Ok | Status::Unsupported),
                "{}: {}",
                trial.trial,
                trial.note
            );
            assert_eq!(trial.protocol, "normalise+shift0+mixup0.2+cutmix1@1");
        }
        let told = |point: &results::CurvePoint| {
            (point.trial.clone(), point.epoch, point.train_loss, point.train_top1, point.test_top1)
        };
        records.curve.iter().map(told).collect::<Vec<_>>()
    });
    assert!(!curves[0].is_empty());
    assert_eq!(curves[0], curves[1]);
}
