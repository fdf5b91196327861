//! One CSV file of rows: encode, append durably, repair a torn end, decode.
//!
//! A row is one line, always: line breaks inside a field become spaces. So the last line break of a file marks
//! the end of its last whole row, and whatever follows it was cut off by a crash.

use crate::error::{Error, of_version};
use crate::record::{Row, SCHEMA};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// An open row file; everything up to its end is whole rows.
#[derive(Debug)]
pub(crate) struct RowFile {
    path: PathBuf,
    file: File,
    /// Length of the whole rows.
    end: u64,
}

impl RowFile {
    /// Opens or creates the file, locks it against other writers, checks its columns and cuts off a torn last line.
    pub(crate) fn open<R: Row>(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(R::FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| Error::Write { path: path.clone(), source })?;
        // Held until the file is closed, by a crash too. A file system without locks can't tell, and is believed.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(Error::Busy { path });
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|source| Error::Read { path: path.clone(), source })?;
        let whole = whole_lines(&bytes).len();
        if whole > 0 {
            check_columns::<R>(&path, &bytes[..whole])?;
        }
        let mut rows = RowFile { path, file, end: whole as u64 };
        if whole < bytes.len() {
            rows.write(|file| file.set_len(whole as u64))?;
        }
        rows.write(|file| file.seek(SeekFrom::End(0)).map(|_| ()))?;
        if whole == 0 {
            rows.extend(format!("{}\n", R::COLUMNS.join(",")).as_bytes())?;
        }
        Ok(rows)
    }

    /// Appends rows and returns when they are on the disk.
    pub(crate) fn append<R: Row>(&mut self, rows: &[R]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        for row in rows {
            text.extend(encode(row)?);
        }
        self.extend(&text)
    }

    /// Writes whole rows at the end; a write that fails half-way, on a full disk say, is taken back, so that the
    /// next row does not begin in the middle of a line.
    fn extend(&mut self, text: &[u8]) -> Result<(), Error> {
        let written = self.write(|file| file.write_all(text).and_then(|()| file.sync_data()));
        match written {
            Ok(()) => self.end += text.len() as u64,
            Err(_) => {
                let end = self.end;
                self.write(|file| {
                    file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end)).map(|_| ()))
                })?;
            }
        }
        written
    }

    fn write(&mut self, action: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<(), Error> {
        action(&mut self.file).map_err(|source| Error::Write { path: self.path.clone(), source })
    }
}

/// Reads every whole row of a file; a missing file has none.
pub(crate) fn read<R: Row>(dir: &Path) -> Result<Vec<(usize, R)>, Error> {
    let path = dir.join(R::FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::Read { path, source }),
    };
    let whole = whole_lines(&bytes);
    if whole.is_empty() {
        return Ok(Vec::new());
    }
    // A heading without rows has nothing in it to be misread.
    if whole.iter().filter(|&&byte| byte == b'\n').count() == 1 {
        return Ok(Vec::new());
    }
    check_columns::<R>(&path, whole)?;
    let mut reader = csv::ReaderBuilder::new().from_reader(whole);
    let mut rows = Vec::new();
    for (index, row) in reader.deserialize::<R>().enumerate() {
        let line = index + 2;
        let row = row.map_err(|error| Error::Row { path: path.clone(), line, reason: error.to_string() })?;
        rows.push((line, row));
    }
    Ok(rows)
}

/// Everything up to and including the last line break.
pub(crate) fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    &bytes[..end]
}

fn check_columns<R: Row>(path: &Path, whole: &[u8]) -> Result<(), Error> {
    let header = whole.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let header = String::from_utf8_lossy(header);
    let found: Vec<&str> = header.trim_end_matches('\r').split(',').collect();
    let longest = found.len().max(R::COLUMNS.len());
    let differs = (0..longest).find(|&column| found.get(column) != R::COLUMNS.get(column));
    let Some(column) = differs else { return Ok(()) };
    // Other columns are those of another version, where the rows have one.
    if let Some(found) = version(whole).filter(|found| *found != SCHEMA) {
        return Err(of_version(path.to_owned(), 2, SCHEMA, found));
    }
    Err(Error::Columns {
        path: path.to_owned(),
        expected: SCHEMA,
        column: column + 1,
        wanted: R::COLUMNS.get(column).copied().unwrap_or_default().to_owned(),
        found: found.get(column).copied().unwrap_or_default().to_owned(),
    })
}

/// The version in the first row of a file that has such a column.
fn version(whole: &[u8]) -> Option<u32> {
    let mut reader = csv::ReaderBuilder::new().from_reader(whole);
    let place = reader.headers().ok()?.iter().position(|name| name == "schema")?;
    reader.records().next()?.ok()?.get(place)?.parse().ok()
}

/// One row as one line. Floats are written in their shortest form that reads back to the same bits.
fn encode<R: Row>(row: &R) -> Result<Vec<u8>, Error> {
    let failed = |reason: String| Error::Encode { file: R::FILE, reason };
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.serialize(row).map_err(|error| failed(error.to_string()))?;
    let mut line = writer.into_inner().map_err(|error| failed(error.to_string()))?;
    line.pop();
    for byte in &mut line {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    Ok(line)
}
