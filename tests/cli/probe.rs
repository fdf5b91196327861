//! `probe`: a good case passes, a wrong number is found, and a case that can't be replayed says what is missing or known.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use tempfile::TempDir;

use crate::harness;

/// A copy of a golden case that may be spoilt.
struct Bench {
    folder: TempDir,
    name: &'static str,
}

impl Bench {
    fn of(name: &'static str) -> Self {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name);
        let bench = Self { folder: tempfile::tempdir().unwrap(), name };
        for path in [bench.description(), bench.file()] {
            fs::copy(golden.join(path.file_name().unwrap()), path).unwrap();
        }
        bench
    }

    /// A small network whose parameters move at every time step.
    fn new() -> Self {
        Self::of("ottt_o_vgg")
    }

    fn description(&self) -> PathBuf {
        self.folder.path().join("case.json")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(format!("{}_f64.safetensors", self.name))
    }

    /// Replaces text of `case.json`.
    fn describe(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.description()).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(self.description(), text.replacen(from, to, 1)).unwrap();
    }

    fn tensors(&self) -> HashMap<String, Tensor> {
        candle_core::safetensors::load(self.file(), &Device::Cpu).unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<String, Tensor>)) {
        let mut tensors = self.tensors();
        change(&mut tensors);
        candle_core::safetensors::save(&tensors, self.file()).unwrap();
    }

    /// Runs `probe`, expects the exit code, and returns what it printed and what it said.
    fn probe(&self, code: i32) -> (String, String) {
        let output = harness(&["probe", self.folder.path().to_str().unwrap()]);
        let (printed, said) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "{printed}\n{said}");
        assert!(!said.contains("panicked"), "{said}");
        (printed, said)
    }

    /// What it says to a case that can't be replayed.
    fn refusal(&self) -> String {
        let (printed, said) = self.probe(2);
        assert!(!printed.contains("verdict"), "{printed}");
        said
    }
}

/// A tensor of the same shape with its first number moved.
fn moved(tensor: &Tensor) -> Tensor {
    let mut numbers: Vec<f64> = tensor.flatten_all().unwrap().to_vec1().unwrap();
    numbers[0] += 1.0;
    Tensor::from_vec(numbers, tensor.dims(), &Device::Cpu).unwrap()
}

/// The first tensor of a kind in the order of names.
fn first(bench: &Bench, kind: impl Fn(&str) -> bool) -> String {
    let tensors = bench.tensors();
    let mut names: Vec<&String> = tensors.keys().filter(|name| kind(name)).collect();
    names.sort();
    names[0].clone()
}

fn a_parameter(bench: &Bench) -> String {
    first(bench, |name| name.starts_with("param/"))
}

#[test]
fn a_good_case_agrees_and_one_wrong_gradient_is_found_and_named() {
    for name in ["ottt_o_vgg", "lif"] {
        let bench = Bench::of(name);
        assert!(bench.probe(0).0.contains("verdict agrees"));
        let wrong = first(&bench, |name| name.starts_with("grad/") || name.ends_with("/grad_x"));
        let right = bench.tensors()[&wrong].clone();
        for other in [moved(&right), right.narrow(0, 0, 1).unwrap().contiguous().unwrap()] {
            bench.change(|tensors| drop(tensors.insert(wrong.clone(), other)));
            let (printed, _) = bench.probe(1);
            assert!(printed.contains("verdict DIFFERS"), "{printed}");
            let named = printed.lines().filter(|line| line.starts_with("    ")).collect::<Vec<_>>();
            assert!(matches!(named.as_slice(), [line] if line.contains(&wrong)), "{wrong}: {printed}");
        }
    }
}

#[test]
fn unknown_words_list_the_known_ones() {
    for (from, to, complaints) in [
        (
            "\"OnlineSpikingVGG\"",
            "\"OnlineSpikingWGG\"",
            [
                "unknown model of a golden case 'OnlineSpikingWGG'",
                "did you mean 'OnlineSpikingVGG",
                "Known: ",
            ],
        ),
        (
            "\"OTTT\"",
            "\"OTTTT\"",
            ["unknown method of a golden case 'OTTTT, an update at every step'", "did you mean", "Known: "],
        ),
        (
            "OnlineLIFNode: v",
            "IzhikevichNode: v",
            [
                "case.json of ottt_o_vgg: neuron must be OnlineLIFNode, SLTTNeuron",
                "Quant first",
                "IzhikevichNode",
            ],
        ),
        (
            "sigmoid alpha=4",
            "softsign alpha=4",
            ["surrogate must be sigmoid alpha=4", "arctan alpha=2", "got 'softsign alpha=4'"],
        ),
        ("CE(o_t,y)", "HingeLoss(o_t,y)", ["loss must be a per-step CE", "TET_loss", "HingeLoss"]),
        (
            "\"light_classifier\": true",
            "\"light_classifier\": false",
            ["constructor.light_classifier must be true", "got 'false'", "ottt_o_vgg"],
        ),
    ] {
        let bench = Bench::new();
        bench.describe(from, to);
        let said = bench.refusal();
        for complaint in complaints {
            assert!(said.contains(complaint), "{complaint}: {said}");
        }
    }
    for (from, to, complaint) in [
        ("\"T\": 3", "\"T\": 1000000000000", "T must be at least 1 and at most 1024, got 1000000000000"),
        ("\"T\": 3", "\"T\": 0", "T must be at least 1 and at most 1024, got 0"),
        ("\"model\": ", "\"class\": ", "model must be given where there are no variants of a neuron"),
        ("   12,", "   120000,", "must have shape"),
        ("   12,", "   1000000000000,", "model.sizes.widths must be a list of positive numbers of at most"),
        ("   \"M\",\n   12", "   {\"pool\": 2},\n   12", "constructor.cfg must be numbers and pools"),
    ] {
        let bench = Bench::new();
        bench.describe(from, to);
        let said = bench.refusal();
        assert!(said.contains(complaint), "{complaint}: {said}");
    }
    let table = Bench::of("lif");
    table.describe("\"surrogate\": \"rectangle\"", "\"surrogate\": \"rectangel\"");
    let said = table.refusal();
    assert!(said.contains("surrogate must be rectangle, triangle, sigmoid4 or arctan2"), "{said}");
    assert!(said.contains("rectangel"), "{said}");
}

#[test]
fn a_parameter_that_is_missing_misshapen_or_too_many_is_named() {
    let bench = Bench::new();
    let name = a_parameter(&bench);
    let short = name.strip_prefix("param/").unwrap().to_owned();
    bench.change(|tensors| drop(tensors.remove(&name)));
    let said = bench.refusal();
    assert!(said.contains(&format!("1 missing: {short}")) && said.contains("ottt_o_vgg_f64"), "{said}");

    let bench = Bench::new();
    let mut shape = Vec::new();
    bench.change(|tensors| {
        shape = tensors[&name].dims().to_vec();
        let flat = tensors[&name].flatten_all().unwrap();
        tensors.insert(name.clone(), flat.unsqueeze(0).unwrap());
    });
    let said = bench.refusal();
    let found = [1, shape.iter().product::<usize>()];
    assert!(said.contains(&format!("{short} must have shape {shape:?}, got {found:?}")), "{said}");

    let bench = Bench::new();
    bench.change(|tensors| {
        tensors.insert("param/head.scale".into(), Tensor::zeros(4, DType::F64, &Device::Cpu).unwrap());
    });
    let said = bench.refusal();
    assert!(said.contains("1 not of this network: head.scale"), "{said}");
}

#[test]
fn an_input_that_is_missing_or_has_another_form_is_told() {
    for name in ["x", "y"] {
        let bench = Bench::new();
        bench.change(|tensors| drop(tensors.remove(name)));
        assert!(bench.refusal().contains(&format!("tensor {name} is missing; the file has ")));
    }
    for (label, complaint) in [(-1, "y must be classes, counted from 0, got -1"), (10, "got 10 of 10")] {
        let bench = Bench::new();
        bench.change(|tensors| {
            drop(tensors.insert("y".into(), Tensor::new(&[0_i64, label, 1], &Device::Cpu).unwrap()))
        });
        let said = bench.refusal();
        assert!(said.contains(complaint), "{said}");
    }
    let bench = Bench::new();
    bench.change(|tensors| {
        let flat = tensors["x"].flatten_all().unwrap();
        tensors.insert("x".into(), flat);
    });
    let said = bench.refusal();
    assert!(said.contains("shape of x must be [B, C, H, W] or [B, T, C, H, W]"), "{said}");
    let bench = Bench::new();
    bench.change(|tensors| {
        let two = tensors["x"].unsqueeze(1).unwrap().repeat((1, 2, 1, 1, 1)).unwrap();
        tensors.insert("x".into(), two.contiguous().unwrap());
    });
    let said = bench.refusal();
    assert!(said.contains("frames of x must be T = 3, got 2"), "{said}");
}

#[test]
fn broken_files_are_told_with_their_name() {
    let bench = Bench::new();
    let whole = fs::read(bench.file()).unwrap();
    for length in [whole.len() - 1, whole.len() / 2, 9, 0] {
        fs::write(bench.file(), &whole[..length]).unwrap();
        let said = bench.refusal();
        assert!(said.contains("ottt_o_vgg_f64.safetensors: not a whole safetensors file"), "{said}");
    }
    fs::remove_file(bench.file()).unwrap();
    assert!(bench.refusal().contains("no safetensors file beside case.json"));

    let bench = Bench::new();
    let text = fs::read_to_string(bench.description()).unwrap();
    fs::write(bench.description(), &text[..text.len() / 2]).unwrap();
    assert!(bench.refusal().contains("case.json: EOF while parsing"));
    fs::write(bench.description(), text.replacen("\"T\": 3", "\"T\": \"three\"", 1)).unwrap();
    let said = bench.refusal();
    assert!(said.contains("case.json: invalid type: string \"three\""), "{said}");
    fs::remove_file(bench.description()).unwrap();
    let said = bench.refusal();
    assert!(said.contains("cannot read") && said.contains("case.json"), "{said}");
}
