//! The packed shard: one split of a set in one file, read where it lies.
//!
//! ```text
//!  0  8   "SNNSHARD"
//!  8  4   version, 1                          all numbers little-endian
//! 12  4   bytes of the manifest
//! 16  8   samples
//! 24  8   bytes of the names
//! 32  8   where the contents begin, a multiple of 4096
//! 40  8   bytes of the file
//! 48  32  SHA-256 of bytes 0..48 and of manifest, index and names: the *manifest hash*
//! 80      manifest (JSON), index (56 bytes a sample), names, contents
//! ```
//!
//! A line of the index: offset (8), length (4), label (4), CRC-32 (4), end of its name among the names (4), SHA-256 (32).
//! The manifest hash covers the sum of every sample, so two shards of one hash hold the same samples under the same
//! parameters. The header is written last, so a file that was cut short has none and is refused.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{DataError, hex::hex};

/// First bytes of a shard.
pub const MAGIC: &[u8; 8] = b"SNNSHARD";
/// The version written and read here.
pub const VERSION: u32 = 1;
/// Bytes before the manifest.
pub const HEADER: usize = 80;
/// Bytes of a line of the index.
pub const LINE: usize = 56;
/// Contents begin at a multiple of this, a page.
pub const ALIGN: usize = 4096;

const SUMMED: usize = 48;

/// What a sample's contents are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Codec {
    /// Bytes `[C, H, W]`.
    Planes,
    /// An encoded picture as its file was.
    Pictures,
    /// Events, see [`super::packed_events`].
    Events,
}

/// All that a shard was made from and how: two equal manifests over equal samples are one shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Id of the data set.
    pub dataset: String,
    /// `train` or `test`.
    pub split: String,
    /// Labels are `0..classes`.
    pub classes: u32,
    /// Shape of an image, `[C, H, W]`; of pictures, the shape that the card states; of events, the sensor's, `[2, H, W]`.
    pub shape: [u32; 3],
    /// What the contents are.
    pub codec: Codec,
    /// Manifest of the set that was packed.
    pub source_manifest: String,
    /// Which samples were taken, where a set leaves that open; absent where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<String>,
}

/// One sample of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where its contents begin in the file.
    pub offset: u64,
    /// Bytes of its contents.
    pub length: u32,
    /// Its class.
    pub label: u32,
    /// CRC-32 of its contents, taken at each read.
    pub crc: u32,
    /// Where its name ends among the names; it begins where the one before ends.
    pub name_end: u32,
    /// SHA-256 of its contents.
    pub sha256: [u8; 32],
}

impl Line {
    fn to_bytes(self) -> [u8; LINE] {
        let mut bytes = [0; LINE];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        for (at, number) in [self.length, self.label, self.crc, self.name_end].into_iter().enumerate() {
            bytes[8 + 4 * at..][..4].copy_from_slice(&number.to_le_bytes());
        }
        bytes[24..].copy_from_slice(&self.sha256);
        bytes
    }

    fn from_bytes(bytes: &[u8; LINE]) -> Self {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(&bytes[24..]);
        let [length, label, crc, name_end] = [8, 12, 16, 20].map(|at| u32_at(bytes, at));
        Self { offset: u64_at(bytes, 0), length, label, crc, name_end, sha256 }
    }
}

/// A shard whose header and index have been checked; the bytes stay with the caller.
#[derive(Clone, Debug)]
pub struct Shard {
    /// What it was made from.
    pub manifest: Manifest,
    /// SHA-256 over header, manifest, index and names, in hex.
    pub hash: String,
    samples: usize,
    index_at: usize,
    names_at: usize,
}

impl Shard {
    /// Checks a shard's header and every line of its index against the bytes that are there. Contents are not read; their
    /// sums are [`Shard::check`]'s.
    ///
    /// # Errors
    /// When a rule of the format is broken or the manifest hash is not that of the bytes.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, DataError> {
        let malformed = |offset: usize, rule, found: String| DataError::Malformed {
            file: file.to_owned(),
            format: "shard",
            offset: offset as u64,
            rule,
            found,
        };
        let Some(header) = bytes.first_chunk::<HEADER>() else {
            return Err(malformed(0, "a header has 80 bytes", bytes.len().to_string()));
        };
        if !header.starts_with(MAGIC) {
            return Err(malformed(0, "a shard begins with SNNSHARD", format!("{:02X?}", &header[..8])));
        }
        let version = u32_at(header, 8);
        if version != VERSION {
            return Err(malformed(8, "the version is 1; convert again", version.to_string()));
        }
        let [samples, names, data_at, length] = [16, 24, 32, 40].map(|at| u64_at(header, at));
        if length != bytes.len() as u64 {
            return Err(malformed(
                40,
                "the file is as long as its header says",
                format!("{length} of {}", bytes.len()),
            ));
        }
        // Each end is checked before the next is computed: no number of the file is added unchecked.
        let end = |from: usize, size: u64| {
            let end = usize::try_from(size).ok().and_then(|size| from.checked_add(size));
            end.filter(|&end| end <= bytes.len())
        };
        let outside = |at: usize, size: u64| {
            malformed(at, "manifest, index and names lie in the file", size.to_string())
        };
        let json = u64::from(u32_at(header, 12));
        let index_at = end(HEADER, json).ok_or_else(|| outside(12, json))?;
        let lines = samples.checked_mul(LINE as u64).ok_or_else(|| outside(16, samples))?;
        let names_at = end(index_at, lines).ok_or_else(|| outside(16, samples))?;
        let names_end = end(names_at, names).ok_or_else(|| outside(24, names))?;
        if data_at < names_end as u64 || data_at > length || data_at % ALIGN as u64 != 0 {
            return Err(malformed(32, "contents begin at a page after the names", data_at.to_string()));
        }
        let hash = hash(&header[..SUMMED], &bytes[HEADER..names_end]);
        if hash.as_slice() != &header[SUMMED..] {
            return Err(DataError::Sum {
                file: file.to_owned(),
                what: "header, manifest, index and names".to_owned(),
                expected: hex(&header[SUMMED..]),
                found: hex(&hash),
            });
        }
        let manifest: Manifest = serde_json::from_slice(&bytes[HEADER..index_at])
            .map_err(|error| malformed(HEADER, "the manifest is JSON of this version", error.to_string()))?;
        let shard = Self { manifest, hash: hex(&hash), samples: samples as usize, index_at, names_at };
        let planes = shard.manifest.shape.iter().try_fold(1_u32, |product, &side| product.checked_mul(side));
        let mut name_start = 0;
        for sample in 0..shard.samples {
            let line = shard.line(bytes, sample);
            let at = index_at + LINE * sample;
            let inside = line.offset.checked_add(u64::from(line.length)).is_some_and(|end| end <= length);
            if line.offset < data_at || !inside {
                return Err(malformed(
                    at,
                    "contents lie in the file",
                    format!("{}+{}", line.offset, line.length),
                ));
            }
            if line.label >= shard.manifest.classes {
                return Err(malformed(at + 12, "a label is below classes", line.label.to_string()));
            }
            if line.name_end < name_start || u64::from(line.name_end) > names {
                return Err(malformed(at + 20, "names follow each other", line.name_end.to_string()));
            }
            if shard.manifest.codec == Codec::Planes && Some(line.length) != planes {
                return Err(malformed(at + 8, "planes have the bytes of the shape", line.length.to_string()));
            }
            name_start = line.name_end;
        }
        Ok(shard)
    }

    /// Samples in the shard.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples
    }

    /// Whether the shard holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// A line of the index, from the bytes that were parsed.
    #[must_use]
    pub fn line(&self, bytes: &[u8], sample: usize) -> Line {
        let at = self.index_at + LINE * sample;
        match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(line) if sample < self.samples => Line::from_bytes(line),
            _ => Line { offset: 0, length: 0, label: 0, crc: 0, name_end: 0, sha256: [0; 32] },
        }
    }

    /// The contents of a sample, from the bytes that were parsed.
    #[must_use]
    pub fn contents<'b>(&self, bytes: &'b [u8], sample: usize) -> &'b [u8] {
        let line = self.line(bytes, sample);
        bytes
            .get(line.offset as usize..)
            .and_then(|rest| rest.get(..line.length as usize))
            .unwrap_or_default()
    }

    /// The name of a sample, from the bytes that were parsed.
    #[must_use]
    pub fn name(&self, bytes: &[u8], sample: usize) -> String {
        let start = sample.checked_sub(1).map_or(0, |before| self.line(bytes, before).name_end) as usize;
        let end = self.line(bytes, sample).name_end as usize;
        String::from_utf8_lossy(bytes.get(self.names_at + start..self.names_at + end).unwrap_or_default())
            .into_owned()
    }

    /// Checks both sums of a sample.
    ///
    /// # Errors
    /// When the contents are not those that were packed.
    pub fn check(&self, file: &str, bytes: &[u8], sample: usize) -> Result<(), DataError> {
        let (line, contents) = (self.line(bytes, sample), self.contents(bytes, sample));
        self.check_crc(file, bytes, sample)?;
        let found = Sha256::digest(contents);
        if found.as_slice() == line.sha256 {
            return Ok(());
        }
        Err(self.sum(file, bytes, sample, hex(&line.sha256), hex(&found)))
    }

    /// Checks the quick sum of a sample.
    ///
    /// # Errors
    /// When the contents are not those that were packed.
    pub fn check_crc(&self, file: &str, bytes: &[u8], sample: usize) -> Result<(), DataError> {
        let (expected, found) = (self.line(bytes, sample).crc, crc32fast::hash(self.contents(bytes, sample)));
        if found == expected {
            return Ok(());
        }
        Err(self.sum(file, bytes, sample, format!("{expected:08x}"), format!("{found:08x}")))
    }

    fn sum(&self, file: &str, bytes: &[u8], sample: usize, expected: String, found: String) -> DataError {
        let at = self.line(bytes, sample).offset;
        let what = format!("sample {sample} ({}) at byte {at}", self.name(bytes, sample));
        DataError::Sum { file: file.to_owned(), what, expected, found }
    }
}

/// The part of a shard before its contents, while it is written.
pub struct Builder {
    json: Vec<u8>,
    names: Vec<u8>,
    name_ends: Vec<u32>,
    data_at: u64,
    next: u64,
    index: Vec<u8>,
}

impl Builder {
    /// A shard of samples with these names, in order.
    ///
    /// # Errors
    /// When the manifest can't be written as JSON, or the names have 4 GiB in all.
    pub fn new(manifest: &Manifest, names: impl Iterator<Item = String>) -> Result<Self, DataError> {
        let malformed = |rule, found| DataError::Malformed {
            file: format!("{} {}", manifest.dataset, manifest.split),
            format: "shard",
            offset: 0,
            rule,
            found,
        };
        let json = serde_json::to_vec(manifest)
            .map_err(|error| malformed("a manifest can be written as JSON", error.to_string()))?;
        let (mut all, mut name_ends) = (Vec::new(), Vec::new());
        for name in names {
            all.extend(name.as_bytes());
            let end = u32::try_from(all.len());
            name_ends.push(end.map_err(|_| malformed("names have less than 4 GiB", all.len().to_string()))?);
        }
        let data_at =
            (HEADER + json.len() + LINE * name_ends.len() + all.len()).next_multiple_of(ALIGN) as u64;
        let index = Vec::with_capacity(LINE * name_ends.len());
        Ok(Self { json, names: all, name_ends, data_at, next: data_at, index })
    }

    /// Where contents begin.
    #[must_use]
    pub fn data_at(&self) -> u64 {
        self.data_at
    }

    /// Notes the next sample, whose contents follow those before.
    ///
    /// # Errors
    /// When there are more samples than names, or one of 4 GiB.
    pub fn add(&mut self, label: u32, contents: &[u8], sums: Sums) -> Result<(), DataError> {
        let malformed = |rule, found| DataError::Malformed {
            file: "shard in the making".to_owned(),
            format: "shard",
            offset: self.next,
            rule,
            found,
        };
        let sample = self.index.len() / LINE;
        let name_end = *self
            .name_ends
            .get(sample)
            .ok_or_else(|| malformed("as many samples as names are written", (sample + 1).to_string()))?;
        let length = u32::try_from(contents.len())
            .map_err(|_| malformed("a sample has less than 4 GiB", contents.len().to_string()))?;
        let line = Line { offset: self.next, length, label, crc: sums.crc, name_end, sha256: sums.sha256 };
        self.index.extend(line.to_bytes());
        self.next += u64::from(length);
        Ok(())
    }

    /// Header, manifest, index and names, to be written at the file's beginning, and the manifest hash in hex.
    #[must_use]
    pub fn finish(self) -> (Vec<u8>, String) {
        let mut head = Vec::with_capacity(self.data_at as usize);
        head.extend(MAGIC);
        head.extend(VERSION.to_le_bytes());
        head.extend((self.json.len() as u32).to_le_bytes());
        for number in [self.name_ends.len() as u64, self.names.len() as u64, self.data_at, self.next] {
            head.extend(number.to_le_bytes());
        }
        let rest = [self.json, self.index, self.names].concat();
        let sum = hash(&head, &rest);
        head.extend(sum);
        head.extend(rest);
        (head, hex(&sum))
    }
}

/// The two sums of a sample's contents.
#[derive(Clone, Copy, Debug)]
pub struct Sums {
    crc: u32,
    sha256: [u8; 32],
}

impl Sums {
    /// Of these contents.
    #[must_use]
    pub fn of(contents: &[u8]) -> Self {
        Self { crc: crc32fast::hash(contents), sha256: Sha256::digest(contents).into() }
    }
}

fn hash(head: &[u8], rest: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(head);
    digest.update(rest);
    digest.finalize().into()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(codec: Codec) -> Manifest {
        Manifest {
            dataset: "synth-10".to_owned(),
            split: "train".to_owned(),
            classes: 3,
            shape: [1, 1, 4],
            codec,
            source_manifest: "ab".to_owned(),
            rules: None,
        }
    }

    fn shard(codec: Codec, samples: &[(&str, u32, &[u8])]) -> (Vec<u8>, String) {
        let names = samples.iter().map(|(name, _, _)| (*name).to_owned());
        let mut builder = Builder::new(&manifest(codec), names).unwrap();
        let at = builder.data_at() as usize;
        for (_, label, contents) in samples {
            builder.add(*label, contents, Sums::of(contents)).unwrap();
        }
        let (mut bytes, hash) = builder.finish();
        bytes.resize(at, 0);
        samples.iter().for_each(|(_, _, contents)| bytes.extend(*contents));
        (bytes, hash)
    }

    const SAMPLES: [(&str, u32, &[u8]); 3] = [("a/1", 2, b"abcd"), ("", 0, b"efgh"), ("b", 1, b"ijkl")];

    #[test]
    fn what_is_written_is_read() {
        let (bytes, hash) = shard(Codec::Planes, &SAMPLES);
        let read = Shard::parse("s", &bytes).unwrap();
        assert_eq!((read.len(), &read.hash, &read.manifest), (3, &hash, &manifest(Codec::Planes)));
        for (sample, (name, label, contents)) in SAMPLES.into_iter().enumerate() {
            assert_eq!(read.name(&bytes, sample), name);
            assert_eq!(read.line(&bytes, sample).label, label);
            assert_eq!(read.contents(&bytes, sample), contents);
            read.check("s", &bytes, sample).unwrap();
        }
        // Pictures may have any length, and there may be none.
        let (bytes, _) = shard(Codec::Pictures, &[("a", 1, b""), ("b", 1, b"123456")]);
        assert_eq!(Shard::parse("s", &bytes).unwrap().contents(&bytes, 1), b"123456");
        assert!(Shard::parse("s", &shard(Codec::Pictures, &[]).0).unwrap().is_empty());
    }

    #[test]
    fn a_change_of_any_byte_is_found() {
        let (bytes, _) = shard(Codec::Planes, &SAMPLES);
        let data_at = bytes.len() - 12;
        for at in (0..bytes.len()).filter(|at| !(600..data_at).contains(at)) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let error = match Shard::parse("s.shard", &changed) {
                Err(error) => Some(error),
                Ok(read) => (0..3).find_map(|sample| read.check("s.shard", &changed, sample).err()),
            };
            // Between the names and the contents lies what aligns them.
            let padding = (HEADER + 120..data_at).contains(&at) && error.is_none();
            assert!(padding || error.is_some_and(|error| error.to_string().starts_with("s.shard")), "{at}");
        }
    }

    #[test]
    fn a_cut_or_padded_shard_is_refused() {
        let (bytes, _) = shard(Codec::Planes, &SAMPLES);
        for length in (0..bytes.len()).step_by(7) {
            assert!(Shard::parse("s", &bytes[..length]).is_err(), "{length}");
        }
        let error = Shard::parse("s", &[&bytes[..], &[0]].concat()).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "s: shard at byte 40: the file is as long as its header says, found {} of {}",
                bytes.len(),
                bytes.len() + 1
            )
        );
        // As a run leaves it that was ended before the header was written.
        let mut headless = bytes.clone();
        headless[..HEADER].fill(0);
        assert!(Shard::parse("s", &headless).unwrap_err().to_string().contains("begins with SNNSHARD"));
    }

    #[test]
    fn a_lying_header_with_a_right_sum_is_refused() {
        let (bytes, _) = shard(Codec::Planes, &SAMPLES);
        let read = Shard::parse("s", &bytes).unwrap();
        let resum = |mut bytes: Vec<u8>| {
            let end = read.names_at + 4;
            let sum = hash(&bytes[..SUMMED], &bytes[HEADER..end]);
            bytes[SUMMED..HEADER].copy_from_slice(&sum);
            bytes
        };
        let lies: [(usize, &[u8], &str); 5] = [
            (read.index_at, &u64::MAX.to_le_bytes(), "contents lie in the file"),
            (read.index_at + 8, &3_u32.to_le_bytes(), "planes have the bytes of the shape"),
            (read.index_at + 12, &3_u32.to_le_bytes(), "a label is below classes"),
            (read.index_at + 20, &5_u32.to_le_bytes(), "names follow each other"),
            (HEADER, b"[", "the manifest is JSON"),
        ];
        for (at, lie, rule) in lies {
            let mut changed = bytes.clone();
            changed[at..at + lie.len()].copy_from_slice(lie);
            let error = Shard::parse("s", &resum(changed)).unwrap_err().to_string();
            assert!(error.contains(rule), "{error}");
        }
        for at in [12, 16, 24, 32] {
            let mut changed = bytes.clone();
            changed[at..at + 4].copy_from_slice(&[0xFF; 4]);
            assert!(Shard::parse("s", &changed).is_err(), "{at}");
        }
    }
}
