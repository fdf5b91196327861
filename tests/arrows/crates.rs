//! The import arrows, checked on what `cargo metadata` says of every package of the workspace.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What the rules need to know of a package.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its folder, from the root of the workspace.
    pub(crate) folder: String,
    /// Number of binary targets.
    pub(crate) binaries: usize,
    pub(crate) imports: Vec<Import>,
    /// The text of its `Cargo.toml`.
    pub(crate) manifest: String,
}

/// A dependency as a manifest states it.
#[derive(Clone, Debug)]
pub(crate) struct Import {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// Which section of the manifest a dependency stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

/// What the packages of a place may import.
struct Rule {
    /// The package's folder, or a folder and `*` for all that are not named by a rule above.
    folder: &'static str,
    /// Folders of our own packages, in the same notation.
    may: &'static [&'static str],
    outside: Outside,
}

/// What a package may take from outside the workspace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outside {
    Anything,
    /// Host data only: no tensors.
    NoCandle,
    /// Nothing but tools for its tests.
    Nothing,
}

/// The first rule that fits a folder holds.
const RULES: &[Rule] = &[
    Rule { folder: "zoo/keys", may: &[], outside: Outside::Nothing },
    Rule { folder: "zoo/kernels", may: &["zoo/keys"], outside: Outside::Anything },
    Rule { folder: "zoo/engine", may: &["zoo/keys", "zoo/kernels"], outside: Outside::Anything },
    Rule { folder: "zoo/models", may: &["zoo/keys", "zoo/engine"], outside: Outside::Anything },
    Rule { folder: "methods/registry", may: &["zoo/engine", "methods/*"], outside: Outside::Anything },
    Rule { folder: "methods/*", may: &["zoo/keys", "zoo/engine"], outside: Outside::Anything },
    Rule { folder: "datasets", may: &["zoo/keys"], outside: Outside::NoCandle },
    Rule { folder: "results", may: &[], outside: Outside::NoCandle },
    Rule {
        folder: "harness",
        may: &["zoo/*", "methods/*", "datasets", "results"],
        outside: Outside::Anything,
    },
    Rule {
        folder: "tests",
        may: &["zoo/*", "methods/*", "datasets", "results", "harness"],
        outside: Outside::Anything,
    },
];

/// Every package of the workspace under `root`.
pub(crate) fn packages(root: &Path) -> Result<Vec<Package>, Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    parse(&serde_json::from_slice(&output.stdout)?)
}

fn parse(metadata: &Value) -> Result<Vec<Package>, Box<dyn Error>> {
    // Cargo's own idea of the root, so that a link on the way to it does not matter.
    let root = text(metadata, "workspace_root")?;
    list(metadata, "packages")?.iter().map(|package| parse_package(Path::new(root), package)).collect()
}

fn parse_package(root: &Path, package: &Value) -> Result<Package, Box<dyn Error>> {
    let manifest = Path::new(text(package, "manifest_path")?);
    let folder = manifest.parent().ok_or("a manifest stands in a folder")?.strip_prefix(root)?;
    let imports = list(package, "dependencies")?
        .iter()
        .map(|dependency| {
            let kind = match dependency["kind"].as_str() {
                Some("dev") => Kind::Dev,
                Some("build") => Kind::Build,
                _ => Kind::Normal,
            };
            Ok(Import { name: text(dependency, "name")?.to_string(), kind })
        })
        .collect::<Result<_, Box<dyn Error>>>()?;
    let is_binary = |target: &&Value| {
        target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "bin"))
    };
    Ok(Package {
        name: text(package, "name")?.to_string(),
        folder: folder.to_string_lossy().replace('\\', "/"),
        binaries: list(package, "targets")?.iter().filter(is_binary).count(),
        imports,
        manifest: std::fs::read_to_string(manifest)?,
    })
}

fn text<'v>(value: &'v Value, field: &str) -> Result<&'v str, String> {
    value[field].as_str().ok_or_else(|| format!("cargo metadata has no text {field}"))
}

fn list<'v>(value: &'v Value, field: &str) -> Result<&'v Vec<Value>, String> {
    value[field].as_array().ok_or_else(|| format!("cargo metadata has no list {field}"))
}

fn fits(pattern: &str, folder: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(parent) => folder.strip_prefix(parent).is_some_and(|rest| !rest.contains('/')),
        None => pattern == folder,
    }
}

/// One line for each import that no arrow allows.
pub(crate) fn broken_arrows(packages: &[Package]) -> Vec<String> {
    let mut broken = Vec::new();
    for package in packages {
        let (name, folder) = (&package.name, &package.folder);
        let Some(rule) = RULES.iter().find(|rule| fits(rule.folder, folder)) else {
            broken.push(format!(
                "{name} stands in {folder}, which no rule names: move it to zoo/, methods/ or another folder of the \
                 house, or add a rule in tests/arrows/crates.rs and the arrow in CONTRIBUTING.md"
            ));
            continue;
        };
        for import in &package.imports {
            let section = match import.kind {
                Kind::Normal => "dependencies",
                Kind::Build => "build-dependencies",
                Kind::Dev => "dev-dependencies",
            };
            let own = packages.iter().find(|other| other.name == import.name);
            let complaint = match own {
                Some(own) if rule.may.iter().any(|pattern| fits(pattern, &own.folder)) => continue,
                Some(_) => format!("{folder} may import of ours only: {}", rule.may.join(", ")),
                None => match rule.outside {
                    Outside::Anything => continue,
                    Outside::Nothing if import.kind == Kind::Dev => continue,
                    Outside::NoCandle if !import.name.starts_with("candle") => continue,
                    Outside::Nothing => format!("{folder} depends on nothing"),
                    Outside::NoCandle => format!("{folder} holds host data only and knows no tensor"),
                },
            };
            broken.push(format!(
                "{folder}/Cargo.toml, [{section}]: {name} imports {}; {complaint}. Remove the line and pass what is \
                 needed in as a value, or move the code to a crate that may import it",
                import.name
            ));
        }
    }
    broken
}

/// One line for each package whose name is not its folder's.
pub(crate) fn broken_names(packages: &[Package]) -> Vec<String> {
    packages
        .iter()
        .filter(|package| package.folder.rsplit('/').next() != Some(&package.name))
        .map(|package| {
            format!(
                "{}/Cargo.toml: the package is named {}; name it after its folder, or rename the folder",
                package.folder, package.name
            )
        })
        .collect()
}

/// One line for each package with a binary that should have none.
pub(crate) fn broken_binaries(packages: &[Package]) -> Vec<String> {
    packages
        .iter()
        .filter(|package| package.folder != "harness" && package.binaries > 0)
        .map(|package| {
            format!(
                "{}: it has a binary, and only harness has one; make it a verb of the harness or an example",
                package.folder
            )
        })
        .collect()
}

/// One line for each package that has lints of its own, or none.
pub(crate) fn broken_lints(packages: &[Package]) -> Vec<String> {
    packages
        .iter()
        .filter(|package| !takes_workspace_lints(&package.manifest))
        .map(|package| format!("{}/Cargo.toml: add `[lints]` with `workspace = true`", package.folder))
        .collect()
}

fn takes_workspace_lints(manifest: &str) -> bool {
    let sections: BTreeSet<(&str, &str)> = manifest
        .lines()
        .map(str::trim)
        .scan("", |section, line| {
            if line.starts_with('[') {
                *section = line;
            }
            Some((*section, line))
        })
        .collect();
    sections.contains(&("[lints]", "workspace = true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(folder: &str, imports: &[(&str, Kind)]) -> Package {
        Package {
            name: folder.rsplit('/').next().unwrap_or(folder).to_string(),
            folder: folder.to_string(),
            binaries: 0,
            imports: imports.iter().map(|&(name, kind)| Import { name: name.to_string(), kind }).collect(),
            manifest: "[package]\n\n[lints]\nworkspace = true\n".to_string(),
        }
    }

    /// One package in each folder of the house, without imports, and the given one in place of its namesake.
    fn house(changed: Package) -> Vec<Package> {
        let folders = [
            "zoo/keys",
            "zoo/kernels",
            "zoo/engine",
            "zoo/models",
            "methods/stbp",
            "methods/online",
            "methods/registry",
            "datasets",
            "results",
            "harness",
            "tests",
        ];
        let mut packages: Vec<Package> = folders
            .iter()
            .filter(|folder| **folder != changed.folder)
            .map(|folder| package(folder, &[]))
            .collect();
        packages.push(changed);
        packages
    }

    #[test]
    fn every_forbidden_import_is_found_in_every_section() {
        let forbidden = [
            ("zoo/keys", "kernels"),
            ("zoo/keys", "serde"),
            ("zoo/kernels", "engine"),
            ("zoo/engine", "models"),
            ("zoo/models", "stbp"),
            ("zoo/models", "kernels"),
            ("methods/online", "models"),
            ("methods/online", "stbp"),
            ("methods/online", "registry"),
            ("methods/online", "datasets"),
            ("methods/online", "results"),
            ("methods/online", "kernels"),
            ("methods/registry", "models"),
            ("datasets", "engine"),
            ("datasets", "candle-core"),
            ("results", "keys"),
            ("results", "candle-nn"),
            ("zoo/engine", "harness"),
            ("harness", "tests"),
        ];
        for (folder, import) in forbidden {
            for kind in [Kind::Normal, Kind::Build, Kind::Dev] {
                if import == "serde" && kind == Kind::Dev {
                    continue;
                }
                let broken = broken_arrows(&house(package(folder, &[(import, kind)])));
                assert_eq!(broken.len(), 1, "{folder} imports {import} ({kind:?})");
                assert!(broken[0].contains(import), "{}", broken[0]);
            }
        }
    }

    #[test]
    fn every_allowed_import_passes() {
        let allowed = [
            ("zoo/keys", "proptest", Kind::Dev),
            ("zoo/kernels", "keys", Kind::Dev),
            ("zoo/engine", "kernels", Kind::Normal),
            ("zoo/models", "engine", Kind::Normal),
            ("methods/online", "keys", Kind::Normal),
            ("methods/registry", "online", Kind::Normal),
            ("datasets", "keys", Kind::Normal),
            ("datasets", "flate2", Kind::Normal),
            ("results", "plotters", Kind::Normal),
            ("harness", "models", Kind::Normal),
            ("harness", "candle-core", Kind::Normal),
            ("tests", "harness", Kind::Dev),
        ];
        for (folder, import, kind) in allowed {
            let broken = broken_arrows(&house(package(folder, &[(import, kind)])));
            assert!(broken.is_empty(), "{broken:?}");
        }
    }

    #[test]
    fn a_package_in_a_place_of_its_own_is_found() {
        for folder in ["extras", "zoo/engine/inner", "methods/online/inner"] {
            assert_eq!(broken_arrows(&[package(folder, &[])]).len(), 1, "{folder}");
        }
    }

    #[test]
    fn a_name_that_is_not_the_folders_is_found() {
        let mut packages = house(package("datasets", &[]));
        assert!(broken_names(&packages).is_empty());
        packages[0].name = "snn-keys".to_string();
        assert_eq!(broken_names(&packages).len(), 1);
    }

    #[test]
    fn a_second_binary_is_found() {
        let mut packages = house(package("harness", &[]));
        for package in &mut packages {
            package.binaries = usize::from(package.folder == "harness");
        }
        assert!(broken_binaries(&packages).is_empty());
        packages[0].binaries = 1;
        assert_eq!(broken_binaries(&packages).len(), 1);
    }

    #[test]
    fn lints_of_its_own_and_none_at_all_are_found() {
        for (manifest, broken) in [
            ("[lints]\nworkspace = true\n", 0),
            ("[package]\nname = \"a\"\n", 1),
            ("[lints.rust]\nmissing_docs = \"allow\"\n", 1),
            ("[lints]\n\n[dependencies]\nworkspace = true\n", 1),
        ] {
            let package = Package { manifest: manifest.to_string(), ..package("datasets", &[]) };
            assert_eq!(broken_lints(&[package]).len(), broken, "{manifest}");
        }
    }

    #[test]
    fn metadata_without_its_fields_is_refused() {
        assert!(parse(&serde_json::json!({})).is_err());
        assert!(parse(&serde_json::json!({ "workspace_root": "/", "packages": [{}] })).is_err());
    }
}
