//! `report DIR`: tables, charts and a page from a folder of records.

use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};

/// Writes the report and says where it is; the comparison table goes to `output` first.
pub(crate) fn report(dir: &Path, to: Option<&Path>, output: &mut dyn Write) -> Result<()> {
    let to = to.map_or_else(|| dir.join("report"), Path::to_owned);
    let records = results::read(dir).map_err(Error::Report)?;
    let command = format!("harness report {} --to {}", shown(dir), shown(&to));
    let paths = results::report(dir, &to, &command).map_err(Error::Report)?;
    for table in results::table::TABLES {
        let grid = (table.grid)(&records);
        if !grid.groups.is_empty() {
            writeln!(output, "{}", results::render::terminal(&grid))?;
        }
    }
    writeln!(output, "records  {}", dir.display())?;
    for path in &paths.charts {
        writeln!(output, "chart    {}", path.display())?;
    }
    writeln!(output, "tables   {}", to.display())?;
    writeln!(output, "page     {}", paths.page.display())?;
    Ok(())
}

/// A path inside a page that is published: relative to the working folder where it can be.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
