//! `convert`: a set into packed shards.
//!
//! A shard is written as `SPLIT.shard.partial`, whole and on the disk before it is renamed to `SPLIT.shard`; its header,
//! without which nothing reads it, is written last. So a run that is ended at any moment leaves either no shard or a
//! whole one, and the next run makes the same bytes. A shard that is there already is kept only if it is undamaged and
//! was made from the same set by the same rules.

use std::{
    borrow::Cow,
    fs::{self, File, OpenOptions, TryLockError},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use crate::{
    DataError, Dataset, Split,
    encoded::packed,
    events::{self, EventProtocol, EventSet},
    format::{
        packed_events,
        shard::{Builder, Codec, Manifest, Shard, Sums},
    },
    map::Map,
};

/// Samples that are read and summed side by side before they are written: as many contents are held at most.
const CHUNK: usize = 128;

/// What became of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// The split.
    pub split: Split,
    /// The shard.
    pub path: PathBuf,
    /// Its manifest hash: equal hashes are equal samples under equal parameters.
    pub hash: String,
    /// Samples in it.
    pub samples: usize,
    /// Bytes of the file.
    pub bytes: u64,
    /// Whether it was there already, whole and of this very set.
    pub kept: bool,
}

/// Packs both splits of a set into a folder, which is made if need be; `progress` hears of samples done.
///
/// # Errors
/// When a sample can't be read, a file can't be written, or another process is writing it.
pub fn convert(
    set: &dyn Dataset,
    folder: &Path,
    progress: &dyn Fn(Split, usize, usize),
) -> Result<Vec<Converted>, DataError> {
    both(&Images(set), folder, progress)
}

/// Packs the recordings that a protocol takes of a set of events. The shards serve every protocol that takes the same
/// ones, whatever frames it makes of them.
///
/// # Errors
/// As [`convert`], and when a recording's times or places do not fit into eight bytes an event.
pub fn events(
    set: &dyn EventSet,
    protocol: &EventProtocol,
    folder: &Path,
    progress: &dyn Fn(Split, usize, usize),
) -> Result<Vec<Converted>, DataError> {
    both(&Recordings { set, protocol }, folder, progress)
}

/// What is packed: samples as bytes.
trait Samples: Sync {
    fn manifest(&self, split: Split) -> Result<Manifest, DataError>;
    fn len(&self, split: Split) -> usize;
    fn name(&self, split: Split, index: usize) -> Result<String, DataError>;
    fn label(&self, split: Split, index: usize) -> u32;
    fn contents(&self, split: Split, index: usize) -> Result<Cow<'_, [u8]>, DataError>;
}

struct Images<'s>(&'s dyn Dataset);

impl Samples for Images<'_> {
    fn manifest(&self, split: Split) -> Result<Manifest, DataError> {
        let card = self.0.card();
        Ok(Manifest {
            dataset: card.id.to_owned(),
            split: split.name().to_owned(),
            classes: card.classes as u32,
            shape: card.shape.map(|side| side as u32),
            codec: if self.0.encoded().is_some() { Codec::Pictures } else { Codec::Planes },
            source_manifest: self.0.manifest().to_owned(),
            rules: None,
        })
    }

    fn len(&self, split: Split) -> usize {
        self.0.len(split)
    }

    fn name(&self, split: Split, index: usize) -> Result<String, DataError> {
        Ok(self.0.name(split, index))
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        self.0.label(split, index)
    }

    fn contents(&self, split: Split, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
        match self.0.encoded() {
            Some(pictures) => pictures.bytes(split, index),
            None => Ok(self.0.image(split, index).into()),
        }
    }
}

struct Recordings<'s> {
    set: &'s dyn EventSet,
    protocol: &'s EventProtocol,
}

impl Samples for Recordings<'_> {
    fn manifest(&self, split: Split) -> Result<Manifest, DataError> {
        events::packed::manifest(self.set, self.protocol, split)
    }

    fn len(&self, split: Split) -> usize {
        self.set.len(split)
    }

    /// What tells the recording from others, so that a packed set is told from others as its files are.
    fn name(&self, split: Split, index: usize) -> Result<String, DataError> {
        Ok(String::from_utf8_lossy(&self.set.stamp(split, index)?).trim_end().to_owned())
    }

    fn label(&self, split: Split, index: usize) -> u32 {
        self.set.label(split, index)
    }

    fn contents(&self, split: Split, index: usize) -> Result<Cow<'_, [u8]>, DataError> {
        let decoded = self.set.decoded(split, index)?;
        Ok(packed_events::write(&self.set.place(split, index), &decoded)?.into())
    }
}

fn both(
    set: &dyn Samples,
    folder: &Path,
    progress: &dyn Fn(Split, usize, usize),
) -> Result<Vec<Converted>, DataError> {
    fs::create_dir_all(folder).map_err(|source| write_fault(folder, source))?;
    [Split::Train, Split::Test].into_iter().map(|split| one(set, split, folder, progress)).collect()
}

fn one(
    set: &dyn Samples,
    split: Split,
    folder: &Path,
    progress: &dyn Fn(Split, usize, usize),
) -> Result<Converted, DataError> {
    let path = folder.join(packed::file(split));
    let partial = folder.join(packed::partial(split));
    let manifest = set.manifest(split)?;
    let samples = set.len(split);
    // The lock is the partial file's: whoever holds it writes, and it falls with its process.
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&partial);
    let mut file = file.map_err(|source| write_fault(&partial, source))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(DataError::Busy { file: partial.display().to_string() }),
        Err(TryLockError::Error(source)) => return Err(write_fault(&partial, source)),
    }
    if let Some(kept) = keep(&path, split, &manifest, samples) {
        fs::remove_file(&partial).map_err(|source| write_fault(&partial, source))?;
        return Ok(kept);
    }
    let (hash, bytes) = write(set, split, &manifest, &mut file, &partial, progress)?;
    fs::rename(&partial, &path).map_err(|source| write_fault(&path, source))?;
    // The name is on the disk when its folder is; where a folder can't be synced, the rename alone must do.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(Converted { split, path, hash, samples, bytes, kept: false })
}

/// The shard that is there, if it is whole and what would be made: every sum is taken, so a damaged one is made anew.
fn keep(path: &Path, split: Split, manifest: &Manifest, samples: usize) -> Option<Converted> {
    let map = Map::open(path).ok()?;
    let file = path.display().to_string();
    let shard = Shard::parse(&file, &map).ok()?;
    if shard.manifest != *manifest || shard.len() != samples {
        return None;
    }
    let whole = (0..samples).into_par_iter().all(|sample| shard.check(&file, &map, sample).is_ok());
    let (hash, bytes) = (shard.hash, map.len() as u64);
    whole.then(|| Converted { split, path: path.to_owned(), hash, samples, bytes, kept: true })
}

fn write(
    set: &dyn Samples,
    split: Split,
    manifest: &Manifest,
    file: &mut File,
    partial: &Path,
    progress: &dyn Fn(Split, usize, usize),
) -> Result<(String, u64), DataError> {
    let fault = |source| write_fault(partial, source);
    let samples = set.len(split);
    let names: Result<Vec<String>, DataError> = (0..samples).map(|index| set.name(split, index)).collect();
    let mut builder = Builder::new(manifest, names?.into_iter())?;
    // What an ended run left is gone before anything else happens.
    file.set_len(0).and_then(|()| file.set_len(builder.data_at())).map_err(fault)?;
    file.seek(SeekFrom::Start(builder.data_at())).map_err(fault)?;
    let mut bytes = builder.data_at();
    for start in (0..samples).step_by(CHUNK) {
        let chunk = start..samples.min(start + CHUNK);
        let read = |index| {
            let contents = set.contents(split, index)?;
            let sums = Sums::of(&contents);
            Ok((contents, sums))
        };
        // In the order of samples, whatever thread read them.
        let contents: Result<Vec<_>, DataError> = chunk.clone().into_par_iter().map(read).collect();
        for (index, (contents, sums)) in chunk.clone().zip(contents?) {
            builder.add(set.label(split, index), &contents, sums)?;
            file.write_all(&contents).map_err(fault)?;
            bytes += contents.len() as u64;
        }
        progress(split, chunk.end, samples);
    }
    let (head, hash) = builder.finish();
    // Contents first, then the header that makes a shard of them.
    file.sync_data().map_err(fault)?;
    file.seek(SeekFrom::Start(0)).map_err(fault)?;
    file.write_all(&head).and_then(|()| file.sync_all()).map_err(fault)?;
    Ok((hash, bytes))
}

fn write_fault(path: &Path, source: std::io::Error) -> DataError {
    DataError::Write { file: path.display().to_string(), source }
}
