//! `report DIR`: tables, charts and a page from a folder of records.

use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};

/// Rows of a table that a terminal still shows.
const LONGEST: usize = 60;

/// Writes the report and says where it is; the comparison table goes to `output` first.
pub(crate) fn report(dir: &Path, to: Option<&Path>, output: &mut dyn Write) -> Result<()> {
    let to = to.map_or_else(|| dir.join("report"), Path::to_owned);
    let records = results::read(dir).map_err(Error::Report)?;
    let command = format!("harness report {} --to {}", shown(dir), shown(&to));
    let paths = results::report(dir, &to, &command).map_err(Error::Report)?;
    for table in results::table::TABLES {
        let grid = (table.grid)(&records);
        let rows: usize = grid.groups.iter().map(|group| group.rows.len()).sum();
        if rows > LONGEST {
            let file = to.join(format!("{}.md", table.id));
            writeln!(output, "{}: {rows} rows, in {}\n", grid.title, file.display())?;
        } else if rows > 0 {
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
