//! `report DIR`: tables, charts and a page from a folder of records; with `--paper` a paper's tables.

use std::io::Write;
use std::path::Path;

use results::Paper;
use results::table::{Grid, TABLES};

use crate::error::{Error, Result};

/// Rows of a table that a terminal still shows.
const LONGEST: usize = 60;

/// Writes the report and says where it is; its tables go to `output` first.
pub(crate) fn report(
    dir: &Path,
    to: Option<&Path>,
    paper: Option<&str>,
    output: &mut dyn Write,
) -> Result<()> {
    let to = to.map_or_else(|| dir.join("report"), Path::to_owned);
    let records = results::read(dir).map_err(Error::Report)?;
    let (folder, chosen) = (shown(dir), paper.map(|paper| format!(" --paper {paper}")).unwrap_or_default());
    let command = format!("harness report {folder}{chosen} --to {}", shown(&to));
    let (grids, paths): (Vec<Grid>, _) = match paper {
        None => {
            let paths = results::report(dir, &to, &command).map_err(Error::Report)?;
            (TABLES.iter().map(|table| (table.grid)(&records)).collect(), paths)
        }
        Some(id) => {
            let paper = Paper::find(id).map_err(Error::Report)?;
            let paths = results::paper_report(paper, dir, &to, &folder, &command).map_err(Error::Report)?;
            let grids = results::paper::grids(paper, &records, &folder).map_err(Error::Report)?;
            (grids.into_iter().map(|grid| grid.without(results::paper::BACKGROUND)).collect(), paths)
        }
    };
    for grid in &grids {
        let rows: usize = grid.groups.iter().map(|group| group.rows.len()).sum();
        if rows > LONGEST {
            let file = to.join(format!("{}.md", grid.id));
            writeln!(output, "{}: {rows} rows, in {}\n", grid.title, file.display())?;
        } else if rows > 0 {
            writeln!(output, "{}", results::render::terminal(grid))?;
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
