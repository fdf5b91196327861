//! What is launched on a device is what the CUDA sources declare: by their text, as nothing can be launched without one.
//!
//! Each `launch!` names a kernel of its source, with as many arguments and in the order of types that it declares; each
//! kernel is launched by someone; each op of this crate that has a device's way has it for every number type that the
//! processor takes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where something is wrong")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use kernels::cuda::source;

/// The texts of all files below a folder of this crate that end so.
fn texts(folder: &str) -> Vec<(PathBuf, String)> {
    let mut all = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                all.push((path, text));
            }
        }
    }
    all.sort();
    all
}

/// A text without its comments of one line.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// What stands between the bracket that `text` begins with and the one that closes it.
fn inside(text: &str) -> &str {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[1..i];
        }
    }
    panic!("a bracket stays open: {text}");
}

/// The parts of a list, at the commas outside of any bracket.
fn parts(list: &str) -> Vec<String> {
    let (mut depth, mut all) = (0, vec![String::new()]);
    for c in list.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        all.last_mut().unwrap().push(c);
    }
    let all = all.iter().map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    all.filter(|part| !part.is_empty()).collect()
}

/// What an argument is, on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Address,
    Size,
    Flag,
    Real,
    Double,
    Structure,
    /// A name that does not tell.
    Unknown,
}

/// Of a declaration in CUDA C: `const held* x`.
fn declared(parameter: &str) -> Kind {
    let words = parameter.replace('*', " * ");
    let words: Vec<&str> = words.split_whitespace().filter(|word| *word != "const").collect();
    match (words.contains(&"*"), words[0]) {
        (true, _) => Kind::Address,
        (false, "u64") => Kind::Size,
        (false, "int") => Kind::Flag,
        (false, "real") => Kind::Real,
        (false, "double") => Kind::Double,
        (false, name) if name.starts_with(char::is_uppercase) => Kind::Structure,
        (false, other) => panic!("a parameter of type {other}"),
    }
}

/// Of an argument in Rust: `len as u64`.
fn given(argument: &str) -> Kind {
    let ends = |ending: &[&str]| ending.iter().any(|ending| argument.ends_with(ending));
    if ends(&[" as u64", "1u64", "2u64", ".plane", ".splits"]) {
        Kind::Size
    } else if argument.starts_with("i32::from") || ends(&["0i32", ".kind", ".wide"]) {
        Kind::Flag
    } else if ends(&[" as R", "Real>::of(factor)"]) {
        Kind::Real
    } else if ends(&[" as f64"]) {
        Kind::Double
    } else if argument.starts_with("gpu.of_buffer") || ends(&[".at"]) {
        Kind::Address
    } else if argument.starts_with("Sizes::from") || argument.starts_with("Averages::from") {
        Kind::Structure
    } else {
        Kind::Unknown
    }
}

/// The parameters of every kernel, by source and name.
fn kernels() -> BTreeMap<(String, String), Vec<String>> {
    const BEFORE: &str = "extern \"C\" __global__ void ";
    let mut all = BTreeMap::new();
    for source in source::ALL {
        let text = code(source.text);
        for (at, _) in text.match_indices(BEFORE) {
            let rest = &text[at + BEFORE.len()..];
            let bracket = rest.find('(').unwrap();
            let known = (source.name.to_uppercase(), rest[..bracket].to_string());
            all.insert(known, parts(inside(&rest[bracket..])));
        }
    }
    all
}

/// Every `launch!`: where it stands, its source, the kernel and the arguments.
fn launches() -> Vec<(PathBuf, (String, String), Vec<String>)> {
    let mut all = Vec::new();
    for (path, text) in texts("src/cuda/ops") {
        let text = code(&text);
        for (at, word) in text.match_indices("launch!(") {
            let call = parts(inside(&text[at + word.len() - 1..]));
            let [_, source, _, _, name, _, arguments] = &call[..] else {
                panic!("{}: {call:?}", path.display());
            };
            let arguments = parts(inside(arguments));
            all.push((path.clone(), (source.clone(), name.trim_matches('"').to_string()), arguments));
        }
    }
    all
}

#[test]
fn arguments_are_those_that_the_kernel_declares() {
    let kernels = kernels();
    let launches = launches();
    assert!(launches.len() > 60, "{} launches were found", launches.len());
    let mut told = 0;
    for (path, name, arguments) in &launches {
        let place = format!("{}: {name:?}", path.display());
        let parameters = kernels.get(name).unwrap_or_else(|| panic!("{place} is no kernel"));
        assert_eq!(arguments.len(), parameters.len(), "{place}: {arguments:?} for {parameters:?}");
        for (argument, parameter) in arguments.iter().zip(parameters) {
            let (given, declared) = (given(argument), declared(parameter));
            assert!(given == Kind::Unknown || given == declared, "{place}: {argument} for {parameter}");
            told += usize::from(given != Kind::Unknown);
        }
    }
    assert!(told > 200, "the text tells the kind of {told} arguments");
}

#[test]
fn every_kernel_is_launched() {
    let launched: BTreeSet<(String, String)> = launches().into_iter().map(|(_, name, _)| name).collect();
    let idle: Vec<_> = kernels().into_keys().filter(|name| !launched.contains(name)).collect();
    assert!(idle.is_empty(), "{idle:?}");
}

/// Where a door leads: `crate::cuda::ops::norm::moments` is `("norm", "moments")`.
fn doors() -> BTreeSet<(String, String)> {
    const BEFORE: &str = "crate::cuda::ops::";
    let mut all = BTreeSet::new();
    for (path, text) in texts("src") {
        if path.iter().any(|part| part == "cuda") {
            continue;
        }
        let text = code(&text);
        for (at, _) in text.match_indices(BEFORE) {
            let path: String = text[at + BEFORE.len()..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || matches!(c, ':' | '_'))
                .collect();
            if let Some((module, function)) =
                path.split_once("::").filter(|(_, f)| f.starts_with(char::is_lowercase))
            {
                all.insert((module.to_string(), function.to_string()));
            }
        }
    }
    all
}

/// Functions of a file with their bodies.
fn functions(text: &str) -> BTreeMap<String, String> {
    let text = code(text);
    let mut all = BTreeMap::new();
    for (at, word) in text.match_indices("fn ") {
        let rest = &text[at + word.len()..];
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if let Some(brace) = rest.find(" {\n") {
            all.insert(name, inside(&rest[brace + 1..]).to_string());
        }
    }
    all
}

/// What is never a half, on the processor neither: parameters, their updates and statistics.
const NEVER_HALVES: &[(&str, &str)] = &[
    ("norm", "fold"),
    ("norm", "update_running"),
    ("remainder", "encode"),
    ("remainder", "factors"),
    ("standardise", "backward"),
    ("standardise", "forward"),
    ("update", "adam"),
    ("update", "average"),
    ("update", "clip_units"),
    ("update", "lamb"),
    ("update", "norm_of"),
    ("update", "sgd"),
    ("update", "shorten"),
    ("update", "swap"),
];

#[test]
fn every_door_leads_to_a_launch_in_every_number_type() {
    let files: BTreeMap<String, BTreeMap<String, String>> = texts("src/cuda/ops")
        .into_iter()
        .map(|(path, text)| (path.file_stem().unwrap().to_string_lossy().into_owned(), functions(&text)))
        .collect();
    let doors = doors();
    assert!(doors.len() > 55, "{} doors were found", doors.len());
    for door in &doors {
        let (module, function) = door;
        let body = &files[module].get(function).unwrap_or_else(|| panic!("{door:?} leads nowhere"));
        let real = NEVER_HALVES.iter().any(|(m, f)| (*m, *f) == (module.as_str(), function.as_str()));
        let (all, numbers, bits) =
            (body.contains("by_number!("), body.contains("by_real!("), body.contains("Bits"));
        let passes_on = body.contains("max_abs(op, x)");
        assert!(
            if real { numbers && !all } else { (all && !numbers) || passes_on || spikes_alone(body, bits) },
            "{door:?}: in all types {all}, in those that are computed in {numbers}"
        );
    }
    for (module, function) in NEVER_HALVES {
        assert!(
            doors.contains(&(module.to_string(), function.to_string())),
            "{module}::{function} is no door"
        );
    }
}

/// An op of spikes, which have no number type.
fn spikes_alone(body: &str, bits: bool) -> bool {
    bits || body.contains("fresh_bits") || body.contains("gpu.bits(")
}
