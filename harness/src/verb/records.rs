//! `records upgrade DIR`: a folder of an older version of the record format, copied into this one.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use results::SCHEMA;

use crate::error::{Error, Result};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Asked {
    /// Copy a folder of records into this version of the format; the folder itself stays as it is.
    ///
    /// No value is made up. A column that the older version did not have stays empty, a column that meant something else is
    /// emptied, and the row's note says so; tables show a dash there. A newer version is refused: use the program that wrote
    /// it. The new folder appears once all of it has been read back.
    Upgrade {
        /// Folder of records, such as results/records/smoke.
        dir: PathBuf,
        /// Folder to write to; DIR-v<VERSION> without it.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
}

pub(crate) fn records(asked: &Asked, output: &mut dyn Write) -> Result<()> {
    let Asked::Upgrade { dir, to } = asked;
    let to = to.clone().unwrap_or_else(|| beside(dir));
    for carried in results::upgrade(dir, &to).map_err(Error::Report)? {
        let empty = match carried.empty.as_slice() {
            [] => String::new(),
            columns => format!(", empty: {}", columns.join(", ")),
        };
        writeln!(output, "{:<14} {} rows{empty}", carried.file, carried.rows)?;
    }
    writeln!(output, "\nrecords  {} (record format {SCHEMA}; {} is as it was)", to.display(), dir.display())?;
    Ok(())
}

/// The folder beside another that says its version.
fn beside(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(format!("-v{SCHEMA}"));
    dir.with_file_name(name)
}
