//! A campaign folder that is written to.

use crate::error::Error;
use crate::record::{
    CurvePoint, Environment, FidelityRow, FrameRow, LedgerRow, MeterRow, OpsRow, Row, SCHEMA, Status, Trial,
};
use crate::rows::{self, RowFile};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The detail rows of one trial, by file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Details<'a> {
    /// How it learned.
    pub curve: &'a [CurvePoint],
    /// Where the bytes of a training step went.
    pub ledger: &'a [LedgerRow],
    /// What each layer computed.
    pub ops: &'a [OpsRow],
    /// How right each layer's gradient was.
    pub fidelity: &'a [FidelityRow],
    /// What the machine's energy meter counted.
    pub meter: &'a [MeterRow],
    /// What the network saw.
    pub frames: &'a [FrameRow],
}

/// An open campaign folder: append-only row files and one environment file.
///
/// Each trial is written as a whole: detail rows first, the trial's own row last, each file synced before the
/// next. A crash in between leaves detail rows without a trial row; readers ignore them, and the next attempt at
/// the trial gets a number of its own. One process writes to a campaign at a time: the files are locked while it is
/// open.
#[derive(Debug)]
pub struct Campaign {
    dir: PathBuf,
    name: String,
    trials: RowFile,
    curve: RowFile,
    ledger: RowFile,
    ops: RowFile,
    fidelity: RowFile,
    meter: RowFile,
    frames: RowFile,
    /// Highest attempt on file for a trial, with or without a trial row.
    attempts: BTreeMap<String, u32>,
    /// What the newest trial row says.
    latest: BTreeMap<String, (String, Status)>,
}

impl Campaign {
    /// Opens a campaign folder, creating it where needed, so that an unwritable place or a record of another
    /// format is an error before anything runs.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, Error> {
        let dir = dir.as_ref().to_owned();
        let folder = |source| Error::Folder { path: dir.clone(), source };
        std::fs::create_dir_all(&dir).map_err(folder)?;
        let mut campaign = Campaign {
            name: name_of(&dir).map_err(folder)?,
            trials: RowFile::open::<Trial>(&dir)?,
            curve: RowFile::open::<CurvePoint>(&dir)?,
            ledger: RowFile::open::<LedgerRow>(&dir)?,
            ops: RowFile::open::<OpsRow>(&dir)?,
            fidelity: RowFile::open::<FidelityRow>(&dir)?,
            meter: RowFile::open::<MeterRow>(&dir)?,
            frames: RowFile::open::<FrameRow>(&dir)?,
            attempts: BTreeMap::new(),
            latest: BTreeMap::new(),
            dir,
        };
        campaign.index()?;
        sync_folder(&campaign.dir)?;
        Ok(campaign)
    }

    /// The campaign's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The campaign's name: that of its folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Appends one trial with its detail rows and returns when all of it is on the disk.
    ///
    /// The store fills `schema`, `campaign`, `attempt` and the detail rows' key, so a join can't break. Returns
    /// the number of the attempt.
    pub fn append_trial(&mut self, trial: &Trial, details: &Details<'_>) -> Result<u32, Error> {
        if trial.trial.is_empty() {
            return Err(Error::Key { method: trial.method.clone(), model: trial.model.clone() });
        }
        let key = &trial.trial;
        let attempt = self.attempts.get(key).copied().unwrap_or(0) + 1;
        self.attempts.insert(key.clone(), attempt);
        self.curve.append(&keyed(details.curve, key, attempt))?;
        self.ledger.append(&keyed(details.ledger, key, attempt))?;
        self.ops.append(&keyed(details.ops, key, attempt))?;
        self.fidelity.append(&keyed(details.fidelity, key, attempt))?;
        self.meter.append(&keyed(details.meter, key, attempt))?;
        self.frames.append(&keyed(details.frames, key, attempt))?;
        let mut row = trial.clone();
        row.schema = SCHEMA;
        row.campaign.clone_from(&self.name);
        row.attempt = attempt;
        self.trials.append(std::slice::from_ref(&row))?;
        self.latest.insert(row.trial, (row.config_hash, row.status));
        Ok(attempt)
    }

    /// How the newest attempt at a trial with this configuration ended; `None` if there is none.
    pub fn latest(&self, trial: &str, config_hash: &str) -> Option<Status> {
        let (hash, status) = self.latest.get(trial)?;
        (hash == config_hash).then_some(*status)
    }

    /// Whether a trial with this configuration is done: its newest attempt was measured, or ruled out.
    pub fn finished(&self, trial: &str, config_hash: &str) -> bool {
        self.latest(trial, config_hash).is_some_and(Status::is_settled)
    }

    /// Writes the environment file; a campaign begun on another machine is an error.
    ///
    /// Tools may change between two sittings (each trial row keeps its own revision); the file tells the newest.
    pub fn set_environment(&self, environment: &Environment) -> Result<(), Error> {
        write_environment(&self.dir, environment)
    }

    fn index(&mut self) -> Result<(), Error> {
        self.count_attempts::<CurvePoint>()?;
        self.count_attempts::<LedgerRow>()?;
        self.count_attempts::<OpsRow>()?;
        self.count_attempts::<FidelityRow>()?;
        self.count_attempts::<MeterRow>()?;
        self.count_attempts::<FrameRow>()?;
        self.count_attempts::<Trial>()?;
        for row in crate::read::newest::<Trial>(&self.dir, &[SCHEMA])? {
            self.latest.insert(row.trial, (row.config_hash, row.status));
        }
        Ok(())
    }

    fn count_attempts<R: Row>(&mut self) -> Result<(), Error> {
        for (_, row) in rows::read::<R>(&self.dir)? {
            let highest = self.attempts.entry(row.trial().to_owned()).or_default();
            *highest = row.attempt().max(*highest);
        }
        Ok(())
    }
}

fn keyed<R: Row>(rows: &[R], trial: &str, attempt: u32) -> Vec<R> {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        row.set_key(trial, attempt);
    }
    rows
}

/// The name of a folder, however it was written.
pub(crate) fn name_of(dir: &Path) -> std::io::Result<String> {
    let whole = dir.canonicalize()?;
    Ok(whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
}

/// Writes the environment file of a folder; one of another machine is an error.
pub(crate) fn write_environment(dir: &Path, environment: &Environment) -> Result<(), Error> {
    let path = dir.join(Environment::FILE);
    if let Some(old) = read_environment(dir)? {
        if old == *environment {
            return Ok(());
        }
        if !old.same_machine(environment) {
            let machine = |environment: &Environment| {
                [environment.cpu.as_str(), environment.gpu.as_str()].join(" ").trim().to_owned()
            };
            return Err(Error::Machine { path, found: machine(&old), here: machine(environment) });
        }
    }
    let text = serde_json::to_string_pretty(environment)
        .map_err(|source| Error::Json { path: path.clone(), source })?;
    write_whole(&path, format!("{text}\n").as_bytes())?;
    sync_folder(dir)
}

/// Reads the environment file; `None` if there is none.
pub(crate) fn read_environment(dir: &Path) -> Result<Option<Environment>, Error> {
    let path = dir.join(Environment::FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Read { path, source }),
    };
    serde_json::from_str(&text).map(Some).map_err(|source| Error::Json { path, source })
}

/// Replaces a file as a whole: a reader sees the old bytes or the new ones, never a mixture.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let draft = path.with_file_name(name);
    let mut file = File::create(&draft).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_data()).map_err(failed)?;
    std::fs::rename(&draft, path).map_err(failed)
}

/// Makes new names in a folder durable. Only Unix can open a folder to sync it; elsewhere the file system does.
pub(crate) fn sync_folder(dir: &Path) -> Result<(), Error> {
    if cfg!(unix) {
        let synced = File::open(dir).and_then(|folder| folder.sync_all());
        synced.map_err(|source| Error::Folder { path: dir.to_owned(), source })?;
    }
    Ok(())
}
