//! Records of older versions of the format, carried over to this one.
//!
//! Nothing is made up: a column that an older version did not have stays empty, one whose meaning has changed is emptied, and
//! the row's note says so. The old folder is only read.

use crate::error::Error;
use crate::read::read;
use crate::record::{
    CurvePoint, Environment, FidelityRow, FrameRow, InferenceRow, LedgerRow, MeterRow, OpsRow, Row, SCHEMA,
    ScalingRow, Trial,
};
use crate::rows::whole_lines;
use crate::store::{sync_folder, write_whole};
use csv::StringRecord;
use std::path::{Path, PathBuf};

/// A file that was carried over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The file's name.
    pub file: &'static str,
    /// Its rows.
    pub rows: usize,
    /// Columns that its version did not have: they are empty.
    pub empty: Vec<&'static str>,
}

/// A column that a file of one version can't fill although it has it: what it meant was something else.
struct Emptied {
    file: &'static str,
    column: &'static str,
    /// The first version in which the column means what it means now.
    since: u32,
    why: &'static str,
}

const EMPTIED: &[Emptied] = &[Emptied {
    file: InferenceRow::FILE,
    column: "acs_per_sample",
    since: 4,
    why: "counted borders as if they were whole",
}];

/// Carries a folder of records over to this version of the format, into a new folder.
///
/// The new folder appears as a whole, once everything in it has been read back.
///
/// # Errors
/// Where the folder has no records or rows of a newer version, where a file has a column that this version has no place for,
/// and where the new folder exists or can't be written.
pub fn upgrade(dir: &Path, to: &Path) -> Result<Vec<Carried>, Error> {
    if to.exists() {
        return Err(Error::Exists { path: to.to_owned() });
    }
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let draft = to.with_file_name(name);
    let failed = |source| Error::Folder { path: draft.clone(), source };
    if draft.exists() {
        std::fs::remove_dir_all(&draft).map_err(failed)?;
    }
    std::fs::create_dir_all(&draft).map_err(failed)?;
    let carried = carry_all(dir, &draft).and_then(|carried| {
        if read(&draft)?.is_empty() {
            return Err(Error::NoRows { path: dir.join(Trial::FILE) });
        }
        Ok(carried)
    });
    match carried {
        Ok(carried) => {
            std::fs::rename(&draft, to).map_err(failed)?;
            sync_folder(to)?;
            Ok(carried)
        }
        Err(error) => {
            std::fs::remove_dir_all(&draft).map_err(failed)?;
            Err(error)
        }
    }
}

fn carry_all(dir: &Path, draft: &Path) -> Result<Vec<Carried>, Error> {
    let trials = carry::<Trial>(dir, draft, None)?;
    let points = [carry::<ScalingRow>(dir, draft, None)?, carry::<InferenceRow>(dir, draft, None)?];
    if trials.is_none() && points.iter().all(Option::is_none) {
        return Err(Error::NoRecords { path: dir.join(Trial::FILE) });
    }
    // A file of details has no version of its own: it is of the trials' version.
    let version = trials.as_ref().map_or(SCHEMA, |(_, oldest)| *oldest);
    let details = [
        carry::<CurvePoint>(dir, draft, Some(version))?,
        carry::<LedgerRow>(dir, draft, Some(version))?,
        carry::<OpsRow>(dir, draft, Some(version))?,
        carry::<FidelityRow>(dir, draft, Some(version))?,
        carry::<MeterRow>(dir, draft, Some(version))?,
        carry::<FrameRow>(dir, draft, Some(version))?,
    ];
    let machine = dir.join(Environment::FILE);
    if machine.exists() {
        let bytes = std::fs::read(&machine).map_err(|source| Error::Read { path: machine, source })?;
        write_whole(&draft.join(Environment::FILE), &bytes)?;
    }
    Ok([trials].into_iter().chain(points).chain(details).flatten().map(|(carried, _)| carried).collect())
}

/// Carries one file over and says of which version its oldest row was; `None` where there is no such file.
fn carry<R: Row>(dir: &Path, draft: &Path, version: Option<u32>) -> Result<Option<(Carried, u32)>, Error> {
    let path = dir.join(R::FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Read { path, source }),
    };
    let old = Old::<R>::new(path, &bytes)?;
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
    let encode = |error: csv::Error| Error::Encode { file: R::FILE, reason: error.to_string() };
    writer.write_record(R::COLUMNS).map_err(encode)?;
    let mut oldest = version.unwrap_or(SCHEMA);
    for (index, row) in old.rows.iter().enumerate() {
        let found = old.version(row, index, version)?;
        oldest = oldest.min(found);
        writer.write_record(old.carried(row, found)).map_err(encode)?;
    }
    let text =
        writer.into_inner().map_err(|error| Error::Encode { file: R::FILE, reason: error.to_string() })?;
    write_whole(&draft.join(R::FILE), &text)?;
    Ok(Some((Carried { file: R::FILE, rows: old.rows.len(), empty: old.empty }, oldest)))
}

/// A file as an older version wrote it.
struct Old<R> {
    path: PathBuf,
    /// Where each column of this version stands in the file.
    places: Vec<Option<usize>>,
    empty: Vec<&'static str>,
    rows: Vec<StringRecord>,
    row: std::marker::PhantomData<R>,
}

impl<R: Row> Old<R> {
    fn new(path: PathBuf, bytes: &[u8]) -> Result<Self, Error> {
        let malformed = |line: usize, error: csv::Error| Error::Row {
            path: path.clone(),
            line,
            reason: error.to_string(),
        };
        let mut reader = csv::ReaderBuilder::new().from_reader(whole_lines(bytes));
        let head: Vec<String> =
            reader.headers().map_err(|error| malformed(1, error))?.iter().map(str::to_owned).collect();
        let mut rows = Vec::new();
        for (index, row) in reader.records().enumerate() {
            rows.push(row.map_err(|error| malformed(index + 2, error))?);
        }
        // A heading alone may be any: nothing is under it.
        if let Some(column) =
            head.iter().find(|name| !rows.is_empty() && !R::COLUMNS.contains(&name.as_str()))
        {
            return Err(Error::Homeless { path, column: column.clone(), version: SCHEMA });
        }
        let places: Vec<Option<usize>> =
            R::COLUMNS.iter().map(|column| head.iter().position(|name| name == column)).collect();
        let missing = R::COLUMNS.iter().zip(&places).filter(|(_, place)| place.is_none());
        let empty = if rows.is_empty() { Vec::new() } else { missing.map(|(column, _)| *column).collect() };
        Ok(Old { path, places, empty, rows, row: std::marker::PhantomData })
    }

    fn cell<'a>(&self, row: &'a StringRecord, column: &str) -> Option<&'a str> {
        let place = R::COLUMNS.iter().position(|name| *name == column)?;
        row.get(self.places[place]?)
    }

    /// The version of a row; one that is newer than this program's is refused.
    fn version(&self, row: &StringRecord, index: usize, of_trials: Option<u32>) -> Result<u32, Error> {
        let (path, line) = (self.path.clone(), index + 2);
        let found = match (of_trials, self.cell(row, "schema").map(str::parse)) {
            (Some(version), _) => version,
            (None, Some(Ok(version))) => version,
            (None, _) => {
                return Err(Error::Row { path, line, reason: "no version in column `schema`".to_owned() });
            }
        };
        if found > SCHEMA {
            return Err(Error::Newer { path, line, expected: SCHEMA, found });
        }
        Ok(found)
    }

    /// The row in the columns of this version.
    fn carried(&self, row: &StringRecord, version: u32) -> Vec<String> {
        let emptied = |column: &str| {
            let rule =
                |rule: &&Emptied| rule.file == R::FILE && rule.column == column && version < rule.since;
            EMPTIED.iter().find(rule).filter(|_| self.cell(row, column).is_some_and(|cell| !cell.is_empty()))
        };
        let mut reasons: Vec<String> = Vec::new();
        if !self.empty.is_empty() {
            reasons.push(format!("record format {version} had no {}", self.empty.join(", ")));
        }
        for rule in R::COLUMNS.iter().filter_map(|column| emptied(column)) {
            reasons.push(format!("{} of record format {version} {}", rule.column, rule.why));
        }
        let cells = R::COLUMNS.iter().zip(&self.places).map(|(column, place)| {
            let cell = place.and_then(|place| row.get(place)).unwrap_or_default();
            match *column {
                "schema" => SCHEMA.to_string(),
                column if emptied(column).is_some() => String::new(),
                "note" if reasons.is_empty() => cell.to_owned(),
                "note" if cell.is_empty() => reasons.join("; "),
                "note" => format!("{cell}; {}", reasons.join("; ")),
                _ => cell.to_owned(),
            }
        });
        cells.collect()
    }
}
