//! One member of a zip archive, unpacked within bounds.

use std::io::Read;

use zip::{CompressionMethod, read::ZipFile};

use crate::DataError;

/// Deflate can't turn a byte into more than 1,032 (RFC 1951: a match of 258 bytes in two bits). So what a member
/// unpacks to is bounded by the bytes that are there, whatever its header says.
pub(crate) const MOST_A_BYTE: u64 = 1032;

/// Unpacks one member of an archive of `archive` bytes; `file` is the archive's name for messages. The library checks
/// the member's CRC when its end is reached.
pub(crate) fn unpack<R: Read>(
    file: &str,
    entry: &mut ZipFile<'_, R>,
    archive: u64,
) -> Result<Vec<u8>, DataError> {
    let offset = entry.data_start().unwrap_or_default() as usize;
    let inner = entry.name().map_or_else(|_| "a member".to_owned(), std::borrow::Cow::into_owned);
    if !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
        let found = format!("{inner} {}", entry.compression());
        return Err(DataError::event_format(file, offset, "zip members must be stored or deflated", found));
    }
    let claimed = entry.size();
    if claimed > entry.compressed_size().min(archive).saturating_mul(MOST_A_BYTE) {
        let rule = "a zip member must not claim to unpack to more than deflate can";
        return Err(DataError::event_format(file, offset, rule, format!("{inner}: {claimed} bytes")));
    }
    let mut plain = Vec::new();
    let read = entry.by_ref().take(claimed.saturating_add(1)).read_to_end(&mut plain);
    read.map_err(|error| {
        let rule = "a zip member must unpack whole";
        DataError::event_format(file, offset, rule, format!("{inner}: {error}"))
    })?;
    if plain.len() as u64 != claimed {
        let rule = "a zip member must unpack to the length that the archive states";
        let found = format!("{inner}: {} of {claimed} bytes", plain.len());
        return Err(DataError::event_format(file, offset, rule, found));
    }
    Ok(plain)
}
