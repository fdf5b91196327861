//! `convert`: a set into packed shards.
//!
//! A shard is written as `SPLIT.shard.partial`, whole and on the disk before it is renamed to `SPLIT.shard`; its header,
//! without which nothing reads it, is written last. So a run that is ended at any moment leaves either no shard or a
//! whole one, and the next run makes the same bytes. A shard that is there already is kept only if it is undamaged and
//! was made from the same set by the same rules.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use crate::{
    DataError, Dataset, Split,
    encoded::packed,
    format::shard::{Builder, Codec, Manifest, Shard, Sums},
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
    fs::create_dir_all(folder).map_err(|source| write_fault(folder, source))?;
    [Split::Train, Split::Test].into_iter().map(|split| one(set, split, folder, progress)).collect()
}

fn manifest(set: &dyn Dataset, split: Split) -> Manifest {
    let card = set.card();
    Manifest {
        dataset: card.id.to_owned(),
        split: split.name().to_owned(),
        classes: card.classes as u32,
        shape: card.shape.map(|side| side as u32),
        codec: if set.encoded().is_some() { Codec::Pictures } else { Codec::Planes },
        source_manifest: set.manifest().to_owned(),
    }
}

fn one(
    set: &dyn Dataset,
    split: Split,
    folder: &Path,
    progress: &dyn Fn(Split, usize, usize),
) -> Result<Converted, DataError> {
    let path = folder.join(packed::file(split));
    let partial = folder.join(packed::partial(split));
    let manifest = manifest(set, split);
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
    set: &dyn Dataset,
    split: Split,
    manifest: &Manifest,
    file: &mut File,
    partial: &Path,
    progress: &dyn Fn(Split, usize, usize),
) -> Result<(String, u64), DataError> {
    let fault = |source| write_fault(partial, source);
    let samples = set.len(split);
    let mut builder = Builder::new(manifest, (0..samples).map(|index| set.name(split, index)))?;
    // What an ended run left is gone before anything else happens.
    file.set_len(0).and_then(|()| file.set_len(builder.data_at())).map_err(fault)?;
    file.seek(SeekFrom::Start(builder.data_at())).map_err(fault)?;
    let mut bytes = builder.data_at();
    for start in (0..samples).step_by(CHUNK) {
        let chunk = start..samples.min(start + CHUNK);
        let read = |index| {
            let contents = match set.encoded() {
                Some(pictures) => pictures.bytes(split, index)?,
                None => set.image(split, index).into(),
            };
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
