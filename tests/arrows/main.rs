//! Who may import whom, and what may stand where.
//!
//! The rules are those of CONTRIBUTING.md. They are read from `cargo metadata` (dev-dependencies included), from the
//! manifests and from the source text, so no crate has to be built for them. A broken rule prints what to do.
#![forbid(unsafe_code)]

mod crates;
mod lexer;
mod source;

use std::error::Error;
use std::path::{Path, PathBuf};

fn root() -> Result<PathBuf, Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().ok_or("the tests package stands in the root folder of the workspace")?.to_path_buf())
}

/// Fails with one line a broken rule.
#[track_caller]
fn none(broken: &[String]) {
    assert!(broken.is_empty(), "broken rules:\n{}", broken.join("\n"));
}

#[test]
fn crates_import_only_what_the_arrows_allow() -> Result<(), Box<dyn Error>> {
    let packages = crates::packages(&root()?)?;
    none(&crates::broken_arrows(&packages));
    Ok(())
}

#[test]
fn packages_are_named_after_their_folders() -> Result<(), Box<dyn Error>> {
    none(&crates::broken_names(&crates::packages(&root()?)?));
    Ok(())
}

#[test]
fn the_harness_alone_has_a_binary() -> Result<(), Box<dyn Error>> {
    let packages = crates::packages(&root()?)?;
    assert!(
        packages.iter().any(|package| package.binaries > 0),
        "no binary was found: the check saw nothing"
    );
    none(&crates::broken_binaries(&packages));
    Ok(())
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() -> Result<(), Box<dyn Error>> {
    none(&crates::broken_lints(&crates::packages(&root()?)?));
    Ok(())
}

#[test]
fn unsafe_code_stands_in_kernels_alone() -> Result<(), Box<dyn Error>> {
    let files = source::files(&root()?)?;
    assert!(files.iter().any(|file| file.path.starts_with("zoo/kernels/")), "no kernel was found");
    none(&source::unsafe_outside_kernels(&files));
    Ok(())
}

#[test]
fn candles_backward_is_called_in_the_bridge_alone() -> Result<(), Box<dyn Error>> {
    let files = source::files(&root()?)?;
    assert!(files.iter().any(|file| file.path == source::BRIDGE), "{} was not found", source::BRIDGE);
    none(&source::backward_outside_the_bridge(&files));
    Ok(())
}

#[test]
fn the_harness_names_no_method_and_no_model() -> Result<(), Box<dyn Error>> {
    let files = source::files(&root()?)?;
    let ids = source::contestant_ids(&files);
    for table in ["methods/", "zoo/models/"] {
        assert!(ids.iter().any(|id| id.from.starts_with(table)), "no id was found under {table}");
    }
    none(&source::contestants_named_in_the_harness(&files, &ids));
    Ok(())
}

#[test]
fn source_files_stay_short() -> Result<(), Box<dyn Error>> {
    none(&source::long_files(&source::files(&root()?)?));
    Ok(())
}
