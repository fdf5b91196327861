//! `--weights` and `--save-weights`: every mistake is told before a trial runs.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;

use candle_core::{DType, Device, Tensor};
use engine::param::Params;
use engine::pass::Session;
use engine::unroll::Statistics;
use keys::Key;
use tempfile::TempDir;

use crate::{printed, refused};

/// A file that fits `tiny-conv` as the smoke suite builds it, and may be spoilt.
struct Bench {
    folder: TempDir,
    tensors: HashMap<String, Tensor>,
}

impl Bench {
    fn new() -> Self {
        let recipe = harness::shelf::recipe("plain-lif", None).unwrap();
        let spec = recipe.model.spec([1, 28, 28], 10, 4);
        let session = Rc::new(Session::new(Device::Cpu, DType::F32));
        let params = Params::new(session, Key::new(5));
        let network = models::find("tiny-conv").unwrap().network(&spec, params).unwrap();
        let tensors = engine::weights::store(&network, &Statistics::default()).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), tensors: tensors.into_iter().collect() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("mine.safetensors")
    }

    fn write(&self) {
        candle_core::safetensors::save(&self.tensors, self.file()).unwrap();
    }

    /// What the program says to the file as it is on the disk, without `--dry-run`; nothing may have begun.
    fn refusal(&self) -> String {
        let out = self.folder.path().join("out");
        let said = refused(&[
            "--suite",
            "smoke",
            "--model",
            "tiny-conv",
            "--weights",
            self.file().to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
        ]);
        assert!(!out.exists() && said.contains("mine.safetensors"), "{said}");
        said
    }

    fn refusal_of_tensors(&self) -> String {
        self.write();
        let said = self.refusal();
        assert!(said.contains("weights do not fit tiny-conv"), "{said}");
        said
    }
}

#[test]
fn weights_that_fit_are_planned_with_and_make_another_configuration() {
    let bench = Bench::new();
    bench.write();
    let file = bench.file();
    let arguments = ["--suite", "smoke", "--model", "tiny-conv", "--dry-run", "--out", "/nowhere/at/all"];
    let with = [&arguments[..], &["--weights", file.to_str().unwrap()]].concat();
    assert!(printed(&with).contains("6 of 6 trials to run"));
    let alone = printed(&[&with[..], &["--epochs", "0", "--method", "stbp"]].concat());
    assert!(alone.contains("1 of 1 trials to run"), "{alone}");
    let said = refused(&[&arguments[..], &["--epochs", "0"]].concat());
    assert!(said.contains("--epochs must be at least 1 without --weights, got 0"), "{said}");
}

#[test]
fn every_missing_name_is_listed() {
    let mut bench = Bench::new();
    for name in ["layer1.conv.weight", "layer2.norm.running_var", "readout.bias"] {
        assert!(bench.tensors.remove(name).is_some(), "{:?}", bench.tensors.keys());
    }
    let said = bench.refusal_of_tensors();
    for words in ["3 missing: ", "layer1.conv.weight", "layer2.norm.running_var", "readout.bias"] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn every_unexpected_name_and_every_other_shape_is_listed() {
    let mut bench = Bench::new();
    for name in ["head.weight", "layer9.conv.weight"] {
        bench.tensors.insert(name.into(), Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap());
    }
    let said = bench.refusal_of_tensors();
    assert!(said.contains("2 not of this network: head.weight, layer9.conv.weight"), "{said}");

    let mut bench = Bench::new();
    let readout = bench.tensors["readout.weight"].clone();
    bench.tensors.insert("readout.weight".into(), readout.t().unwrap().contiguous().unwrap());
    let half = bench.tensors["layer1.norm.running_mean"].narrow(0, 0, 1).unwrap().contiguous().unwrap();
    bench.tensors.insert("layer1.norm.running_mean".into(), half);
    let said = bench.refusal_of_tensors();
    let (ours, found) = (readout.dims(), [readout.dims()[1], readout.dims()[0]]);
    assert!(said.contains(&format!("readout.weight must have shape {ours:?}, got {found:?}")), "{said}");
    assert!(said.contains("layer1.norm.running_mean must have shape"), "{said}");
}

#[test]
fn weights_of_another_model_are_refused_with_its_name() {
    let bench = Bench::new();
    bench.write();
    let file = bench.file();
    let said = refused(&["--suite", "smoke", "--model", "tiny-rev", "--weights", file.to_str().unwrap()]);
    assert!(said.contains("weights do not fit tiny-rev") && said.contains("mine.safetensors"), "{said}");
}

#[test]
fn a_file_that_is_no_whole_safetensors_file_is_told() {
    let bench = Bench::new();
    bench.write();
    let whole = fs::read(bench.file()).unwrap();
    let mut huge = u64::MAX.to_le_bytes().to_vec();
    huge.extend(b"{}");
    let broken: [&[u8]; 6] = [
        &whole[..whole.len() - 1],
        &whole[..whole.len() / 2],
        &whole[..9],
        b"",
        b"epoch,loss\n1,0.5\n",
        &huge,
    ];
    for bytes in broken {
        fs::write(bench.file(), bytes).unwrap();
        let said = bench.refusal();
        assert!(said.contains("not a whole safetensors file: "), "{said}");
    }
    fs::remove_file(bench.file()).unwrap();
    assert!(bench.refusal().contains("cannot read "));
    fs::create_dir(bench.file()).unwrap();
    assert!(bench.refusal().contains("cannot read "));
}

#[test]
fn a_folder_for_weights_that_can_not_be_written_is_told_before_anything_runs() {
    let bench = Bench::new();
    bench.write();
    let inside_a_file = bench.file().join("weights");
    let out = bench.folder.path().join("out");
    let said = refused(&[
        "--suite",
        "smoke",
        "--out",
        out.to_str().unwrap(),
        "--save-weights",
        inside_a_file.to_str().unwrap(),
    ]);
    assert!(said.contains("--save-weights must be a folder that can be written"), "{said}");
    assert!(!out.exists());
}
