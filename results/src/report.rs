//! From a campaign folder to its report: tables, charts and one page.

use crate::chart::{CHARTS, Chart};
use crate::error::Error;
use crate::origin::Origin;
use crate::page::{Picture, page};
use crate::paper;
use crate::published::Paper;
use crate::read::{Records, read};
use crate::record::{Row, Trial};
use crate::render;
use crate::store::write_whole;
use crate::table::{Grid, TABLES};
use std::path::{Path, PathBuf};

/// The files of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportPaths {
    /// The page.
    pub page: PathBuf,
    /// The tables, as Markdown, CSV and LaTeX; a table with nothing to show has no file.
    pub tables: Vec<PathBuf>,
    /// The charts, as SVG and as PNG; a chart with nothing to draw has no file.
    pub charts: Vec<PathBuf>,
}

/// Writes the report of a campaign into a folder.
///
/// Everything in it comes from the records; `command` is what a reader types to make it again, and is printed
/// in every file that can hold it, beside the name and the sum of the records.
pub fn report(dir: &Path, out: &Path, command: &str) -> Result<ReportPaths, Error> {
    let records = some(dir)?;
    let grids = TABLES.iter().map(|table| (table.grid)(&records)).collect();
    let origin = Origin::new(dir, command)?;
    Sheets { records: &records, out, origin }.write(None, "report.html", grids)
}

/// Writes a paper's tables, with what a campaign's records have of the same, into a folder; `folder` is where the records
/// lie, as the commands that fill empty cells name it.
///
/// The page is `paper-<id>.html`, the tables are `paper-<id>-<table>.md`, `.csv` and `.tex`; charts are those of [`report`].
///
/// # Errors
/// As those of [`report`], and where the paper's file breaks a rule.
pub fn paper_report(
    paper: &Paper,
    dir: &Path,
    out: &Path,
    folder: &str,
    command: &str,
) -> Result<ReportPaths, Error> {
    let records = some(dir)?;
    let grids = paper::grids(paper, &records, folder)?;
    let title = paper::title(paper)?;
    let page = format!("paper-{}.html", paper.id);
    let origin = Origin::new(dir, command)?;
    Sheets { records: &records, out, origin }.write(Some(&title), &page, grids)
}

/// The records of a folder that has some.
fn some(dir: &Path) -> Result<Records, Error> {
    let records = read(dir)?;
    if records.is_empty() {
        return Err(Error::NoRows { path: dir.join(Trial::FILE) });
    }
    Ok(records)
}

/// Where files are written, and from what.
struct Sheets<'a> {
    records: &'a Records,
    out: &'a Path,
    origin: Origin,
}

impl Sheets<'_> {
    /// Writes tables, charts and the page; a table without groups and a chart without a figure lose the file of an earlier
    /// report, which would pass for this one's.
    fn write(&self, title: Option<&str>, page_name: &str, grids: Vec<Grid>) -> Result<ReportPaths, Error> {
        std::fs::create_dir_all(self.out)
            .map_err(|source| Error::Folder { path: self.out.to_owned(), source })?;
        let mut paths =
            ReportPaths { page: self.out.join(page_name), tables: Vec::new(), charts: Vec::new() };
        let (shown, empty): (Vec<Grid>, Vec<Grid>) =
            grids.into_iter().partition(|grid| !grid.groups.is_empty());
        for grid in empty {
            self.remove(&grid.id, &["md", "csv", "tex"])?;
        }
        for grid in &shown {
            let markdown = render::markdown(grid, &self.origin);
            paths.tables.push(self.file(&grid.id, "md", markdown.as_bytes())?);
            paths.tables.push(self.file(&grid.id, "csv", render::csv(grid).as_bytes())?);
            paths.tables.push(self.file(&grid.id, "tex", render::latex(grid, &self.origin).as_bytes())?);
        }
        let mut pictures = Vec::new();
        for Chart { id, figure } in CHARTS {
            let Some(figure) = figure(self.records) else {
                self.remove(id, &["svg", "png"])?;
                continue;
            };
            let svg = render::svg(&figure)?;
            let signed = render::signed(&svg, &self.origin);
            paths.charts.push(self.file(id, "svg", signed.as_bytes())?);
            paths.charts.push(self.file(id, "png", &render::png(id, &svg, &self.origin)?)?);
            pictures.push(Picture { figure, svg });
        }
        let text = page(self.records, title, &shown, &pictures, &self.origin);
        write_whole(&paths.page, text.as_bytes())?;
        Ok(paths)
    }

    fn file(&self, id: &str, kind: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.out.join(format!("{id}.{kind}"));
        write_whole(&path, bytes)?;
        Ok(path)
    }

    fn remove(&self, id: &str, kinds: &[&str]) -> Result<(), Error> {
        for path in kinds.iter().map(|kind| self.out.join(format!("{id}.{kind}"))) {
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::Write { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }
}
