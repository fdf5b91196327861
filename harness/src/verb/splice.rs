//! `splice FILE...`: the tables and charts of documents, written anew or checked.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::{Error, Result};

/// Splices each document; with `check` exit code 1 where one is stale.
pub(crate) fn splice(documents: &[PathBuf], check: bool, output: &mut dyn Write) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for document in documents {
        let name = document.file_name().unwrap_or_default().display();
        // What a document says is the same wherever it is made from.
        let stale = results::splice(document, &format!("cargo run -p harness -- splice {name}"), !check)
            .map_err(Error::Report)?;
        for block in &stale {
            let (path, line, what) = (block.path.display(), block.line, &block.what);
            let verb = if check { "stale  " } else { "written" };
            writeln!(output, "{verb}  {path}: {what} ({}, line {line})", document.display())?;
        }
        match (stale.is_empty(), check) {
            (true, _) => writeln!(output, "fresh    {}", document.display())?,
            (false, true) => {
                writeln!(
                    output,
                    "\n{} is not what its records say; write it anew with\n\n  cargo run -p harness -- splice {}\n",
                    document.display(),
                    document.display()
                )?;
                code = ExitCode::FAILURE;
            }
            (false, false) => {}
        }
    }
    Ok(code)
}
