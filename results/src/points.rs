//! A campaign folder of points: rows that stand by themselves.

use crate::error::Error;
use crate::read::newest;
use crate::record::{Environment, Head, InferenceRow, SCHEMA, ScalingRow, Status};
use crate::rows::RowFile;
use crate::store::{name_of, sync_folder, write_environment};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An open campaign folder of points: two append-only row files and one environment file.
///
/// A row is on the disk when its append returns. One process writes at a time: the files are locked while it is open.
#[derive(Debug)]
pub struct Points {
    dir: PathBuf,
    name: String,
    scaling: RowFile,
    inference: RowFile,
    /// Of each point the newest attempt: its number, its configuration, and how it ended.
    latest: BTreeMap<String, (u32, String, Status)>,
}

impl Points {
    /// Opens a campaign folder, creating it where needed, so that an unwritable place or a record of another format is
    /// an error before anything runs.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, Error> {
        let dir = dir.as_ref().to_owned();
        let folder = |source| Error::Folder { path: dir.clone(), source };
        std::fs::create_dir_all(&dir).map_err(folder)?;
        let name = name_of(&dir).map_err(folder)?;
        let (scaling, inference) = (RowFile::open::<ScalingRow>(&dir)?, RowFile::open::<InferenceRow>(&dir)?);
        let mut points = Points { dir, name, scaling, inference, latest: BTreeMap::new() };
        points.index::<ScalingRow>()?;
        points.index::<InferenceRow>()?;
        sync_folder(&points.dir)?;
        Ok(points)
    }

    /// Appends a point of a sweep and returns the number of the attempt once it is on the disk.
    ///
    /// The store fills `schema`, `campaign` and `attempt`.
    pub fn append_scaling(&mut self, row: &ScalingRow) -> Result<u32, Error> {
        let row = self.filed(row)?;
        self.scaling.append(std::slice::from_ref(&row))?;
        Ok(self.note(&row))
    }

    /// Appends a point of an inference sweep and returns the number of the attempt once it is on the disk.
    ///
    /// The store fills `schema`, `campaign` and `attempt`.
    pub fn append_inference(&mut self, row: &InferenceRow) -> Result<u32, Error> {
        let row = self.filed(row)?;
        self.inference.append(std::slice::from_ref(&row))?;
        Ok(self.note(&row))
    }

    /// Whether a point with this configuration is done: its newest attempt was measured, or ruled out.
    #[must_use]
    pub fn finished(&self, point: &str, config_hash: &str) -> bool {
        self.latest.get(point).is_some_and(|(_, hash, status)| hash == config_hash && status.is_settled())
    }

    /// Writes the environment file; a campaign begun on another machine is an error.
    pub fn set_environment(&self, environment: &Environment) -> Result<(), Error> {
        write_environment(&self.dir, environment)
    }

    /// A row with what the store knows; a row without a key is refused.
    fn filed<R: Head>(&self, row: &R) -> Result<R, Error> {
        let key = row.trial().to_owned();
        if key.is_empty() {
            return Err(Error::Encode { file: R::FILE, reason: "a point needs a key".to_owned() });
        }
        let attempt = self.latest.get(&key).map_or(0, |(attempt, ..)| *attempt) + 1;
        let mut row = row.clone();
        row.set_key(&key, attempt);
        row.set_origin(SCHEMA, &self.name);
        Ok(row)
    }

    fn note<R: Head>(&mut self, row: &R) -> u32 {
        let found = (row.attempt(), row.config_hash().to_owned(), row.status());
        self.latest.insert(row.trial().to_owned(), found);
        row.attempt()
    }

    fn index<R: Head>(&mut self) -> Result<(), Error> {
        for row in newest::<R>(&self.dir, &[SCHEMA])? {
            self.note(&row);
        }
        Ok(())
    }
}
