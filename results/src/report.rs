//! From a campaign folder to its report: tables, charts and one page.

use crate::chart::{CHARTS, Chart};
use crate::error::Error;
use crate::page::{Picture, page};
use crate::read::read;
use crate::record::{Row, Trial};
use crate::render;
use crate::store::write_whole;
use crate::table::TABLES;
use std::path::{Path, PathBuf};

/// The files of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportPaths {
    /// The page.
    pub page: PathBuf,
    /// The tables, as Markdown and as CSV; a table with nothing to show has no file.
    pub tables: Vec<PathBuf>,
    /// The charts, as SVG and as PNG; a chart with nothing to draw has no file.
    pub charts: Vec<PathBuf>,
}

/// Writes the report of a campaign into a folder.
///
/// Everything in it comes from the records; `command` is what a reader types to make it again, and is printed
/// in every file that can hold it.
pub fn report(dir: &Path, out: &Path, command: &str) -> Result<ReportPaths, Error> {
    let records = read(dir)?;
    if records.is_empty() {
        return Err(Error::NoRows { path: dir.join(Trial::FILE) });
    }
    std::fs::create_dir_all(out).map_err(|source| Error::Folder { path: out.to_owned(), source })?;
    let mut paths = ReportPaths { page: out.join("report.html"), tables: Vec::new(), charts: Vec::new() };
    let write = |name: String, bytes: &[u8]| -> Result<PathBuf, Error> {
        let path = out.join(name);
        write_whole(&path, bytes)?;
        Ok(path)
    };

    let mut grids = Vec::new();
    for table in TABLES {
        let grid = (table.grid)(&records);
        if grid.groups.is_empty() {
            for kind in ["md", "csv"] {
                remove(&out.join(format!("{}.{kind}", table.id)))?;
            }
            continue;
        }
        let markdown = render::markdown(&grid, command);
        paths.tables.push(write(format!("{}.md", table.id), markdown.as_bytes())?);
        paths.tables.push(write(format!("{}.csv", table.id), render::csv(&grid).as_bytes())?);
        grids.push(grid);
    }
    let mut pictures = Vec::new();
    for Chart { id, figure } in CHARTS {
        let Some(figure) = figure(&records) else {
            for kind in ["svg", "png"] {
                remove(&out.join(format!("{id}.{kind}")))?;
            }
            continue;
        };
        let svg = render::svg(&figure)?;
        paths.charts.push(write(format!("{id}.svg"), svg.as_bytes())?);
        paths.charts.push(write(format!("{id}.png"), &render::png(id, &svg)?)?);
        pictures.push(Picture { figure, svg });
    }
    write_whole(&paths.page, page(&records, &grids, &pictures, command).as_bytes())?;
    Ok(paths)
}

/// Removes a file of an earlier report, which would pass for this one's.
fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Write { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
