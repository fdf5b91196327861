//! Tar archives, indexed where they lie: names, offsets and lengths, nothing unpacked.
//!
//! Read are ustar (POSIX.1-1988) with its name prefix, the pax records `path` and `size` (POSIX.1-2001), GNU's long names
//! and its base-256 sizes. Directories, links and devices are passed over. Sizes come from the file, so each is checked
//! against the bytes that are there before it is used.

use crate::DataError;

/// Bytes of a header, and the grain of all contents.
pub const BLOCK: usize = 512;

/// Longest name that a long-name record or a pax record may give: no file system takes more.
const LONGEST_NAME: usize = 4096;

/// A regular file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path in the archive.
    pub name: String,
    /// Where its contents begin, from the archive's first byte.
    pub offset: usize,
    /// Bytes of its contents.
    pub length: usize,
}

/// The regular files of an archive in order; `file` is its name for messages.
///
/// # Errors
/// When a header's sum is wrong, a number is none, contents reach beyond the archive, or the archive ends inside a block.
pub fn entries(file: &str, bytes: &[u8]) -> Result<Vec<Entry>, DataError> {
    let mut entries = Vec::new();
    let (mut at, mut long_name, mut pax_size) = (0, None, None);
    while at < bytes.len() {
        let malformed = |field: usize, rule, found: String| DataError::Malformed {
            file: file.to_owned(),
            format: "tar",
            offset: (at + field) as u64,
            rule,
            found,
        };
        let Some(header) = bytes.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) else {
            let left = format!("{} bytes", bytes.len() - at);
            return Err(malformed(0, "a header has 512 bytes", left));
        };
        // Two blocks of zeros end an archive; one is enough to tell, and what pads the file after it is not read.
        if header.iter().all(|&byte| byte == 0) {
            break;
        }
        let stated = octal(&header[148..156]);
        if stated != Some(sum(header)) {
            let found = stated.map_or_else(|| "no number".to_owned(), |stated| stated.to_string());
            return Err(malformed(148, "a header states the sum of its bytes", found));
        }
        let size = match pax_size.take() {
            Some(size) => size,
            None => number(&header[124..136])
                .ok_or_else(|| malformed(124, "a size is octal or base-256", text(&header[124..136])))?,
        };
        let offset = at + BLOCK;
        let length = usize::try_from(size).ok().filter(|&length| length <= bytes.len() - offset);
        let Some(length) = length else {
            let found = format!("{size} of {}", bytes.len() - offset);
            return Err(malformed(124, "contents lie inside the archive", found));
        };
        let contents = &bytes[offset..][..length];
        match header[156] {
            b'L' | b'x' if length > LONGEST_NAME => {
                return Err(malformed(
                    124,
                    "a long name or pax record has at most 4096 bytes",
                    length.to_string(),
                ));
            }
            b'L' => long_name = Some(text(contents)),
            b'x' => {
                let record = pax(contents).ok_or_else(|| {
                    malformed(BLOCK, "a pax record is `LENGTH KEY=VALUE` and a line's end", text(contents))
                })?;
                long_name = record.path.or(long_name);
                pax_size = record.size;
            }
            b'0' | 0 | b'7' => {
                let name = long_name.take().unwrap_or_else(|| short_name(header));
                entries.push(Entry { name, offset, length });
            }
            // A directory, a link, a device or a record for all entries: it ends what was said of the next entry.
            _ => long_name = None,
        }
        // Below the archive's length, which a slice's never passes half the address space: no overflow.
        at = offset + length.next_multiple_of(BLOCK);
        // Writers may leave the last block unfilled; what is read above lies inside.
    }
    Ok(entries)
}

/// Name and prefix of a header.
fn short_name(header: &[u8; BLOCK]) -> String {
    let name = text(&header[..100]);
    let prefix = if &header[257..262] == b"ustar" && header[262] == 0 {
        text(&header[345..500])
    } else {
        String::new()
    };
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

/// Bytes up to the first zero, as text.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The sum of a header's bytes, with spaces in place of the sum.
fn sum(header: &[u8; BLOCK]) -> u64 {
    let all: u64 = header.iter().map(|&byte| u64::from(byte)).sum();
    let own: u64 = header[148..156].iter().map(|&byte| u64::from(byte)).sum();
    all - own + 8 * u64::from(b' ')
}

fn number(field: &[u8]) -> Option<u64> {
    match field.split_first() {
        // GNU: the top bit marks a big-endian binary number.
        Some((&0x80, rest)) => {
            rest.iter().try_fold(0_u64, |value, &byte| Some(value.checked_mul(256)? + u64::from(byte)))
        }
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let digits =
        field.iter().skip_while(|&&byte| byte == b' ').take_while(|&&byte| byte != 0 && byte != b' ');
    let mut any = false;
    let value = digits.clone().try_fold(0_u64, |value, &digit| {
        any = true;
        matches!(digit, b'0'..=b'7').then(|| value * 8 + u64::from(digit - b'0'))
    })?;
    // Twelve octal digits fit into 64 bits.
    any.then_some(value)
}

struct Pax {
    path: Option<String>,
    size: Option<u64>,
}

/// The records `LENGTH KEY=VALUE\n` that matter here.
fn pax(mut bytes: &[u8]) -> Option<Pax> {
    let mut found = Pax { path: None, size: None };
    while !bytes.is_empty() {
        let space = bytes.iter().position(|&byte| byte == b' ')?;
        let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
        let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|&byte| byte == b'=')?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => found.path = Some(String::from_utf8_lossy(value).into_owned()),
            b"size" => found.size = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
            _ => {}
        }
        bytes = &bytes[length..];
    }
    Some(found)
}

/// Appends one file to an archive in the making, as ustar; the end is [`finish`].
///
/// # Errors
/// When the name has more than 100 bytes, or the contents more than eleven octal digits tell.
pub fn append(archive: &mut Vec<u8>, name: &str, contents: &[u8]) -> Result<(), DataError> {
    let malformed = |rule, found| DataError::Malformed {
        file: name.to_owned(),
        format: "tar",
        offset: archive.len() as u64,
        rule,
        found,
    };
    if name.len() > 100 {
        return Err(malformed("a name that is written has at most 100 bytes", name.len().to_string()));
    }
    if contents.len() >= 1 << 33 {
        return Err(malformed("contents that are written have less than 8 GiB", contents.len().to_string()));
    }
    let mut header = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", contents.len()).as_bytes());
    // No time: the same contents are the same archive.
    put(136, b"00000000000\0");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let stated = format!("{:06o}\0 ", sum(&header));
    header[148..156].copy_from_slice(stated.as_bytes());
    archive.extend(header);
    archive.extend(contents);
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    Ok(())
}

/// Ends an archive: two blocks of zeros.
pub fn finish(archive: &mut Vec<u8>) {
    archive.resize(archive.len() + 2 * BLOCK, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        files.iter().for_each(|(name, contents)| append(&mut bytes, name, contents).unwrap());
        finish(&mut bytes);
        bytes
    }

    /// Writes a header's sum anew after a change.
    fn mend(bytes: &mut [u8], at: usize) {
        let header: &[u8; BLOCK] = bytes[at..].first_chunk().unwrap();
        let stated = format!("{:06o}\0 ", sum(header));
        bytes[at + 148..at + 156].copy_from_slice(stated.as_bytes());
    }

    #[test]
    fn what_is_written_is_read_where_it_lies() {
        let bytes = archive(&[("a/1.JPEG", b"one"), ("empty", b""), ("b", &[7; 512])]);
        let found = entries("t.tar", &bytes).unwrap();
        let contents: Vec<(&str, &[u8])> =
            found.iter().map(|entry| (entry.name.as_str(), &bytes[entry.offset..][..entry.length])).collect();
        assert_eq!(contents, [("a/1.JPEG", &b"one"[..]), ("empty", b""), ("b", &[7; 512])]);
        assert_eq!(bytes.len() % BLOCK, 0);
        // Writers that leave the end out are read too.
        assert_eq!(entries("t.tar", &bytes[..bytes.len() - 2 * BLOCK]).unwrap(), found);
    }

    /// `tar --format=pax` of GNU tar 1.34 with a name of 120 letters writes such a record.
    #[test]
    fn long_names_of_both_kinds_and_prefixes_are_read() {
        let long = "d/".repeat(60) + "x.JPEG";
        let mut bytes = Vec::new();
        append(&mut bytes, "././@LongLink", format!("{long}\0").as_bytes()).unwrap();
        bytes[156] = b'L';
        mend(&mut bytes, 0);
        append(&mut bytes, "short", b"1").unwrap();
        let at = bytes.len();
        let record = format!("{} path={long}\n", long.len() + 10);
        append(&mut bytes, "PaxHeaders/x", record.as_bytes()).unwrap();
        bytes[at + 156] = b'x';
        mend(&mut bytes, at);
        append(&mut bytes, "short", b"22").unwrap();
        let at = bytes.len();
        append(&mut bytes, "name", b"333").unwrap();
        bytes[at + 345..at + 351].copy_from_slice(b"prefix");
        mend(&mut bytes, at);
        let names: Vec<_> =
            entries("t", &bytes).unwrap().into_iter().map(|entry| (entry.name, entry.length)).collect();
        assert_eq!(names, [(long.clone(), 1), (long, 2), ("prefix/name".to_owned(), 3)]);
    }

    #[test]
    fn base_256_sizes_are_read_and_never_believed() {
        let mut bytes = archive(&[("a", b"xyz")]);
        bytes[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
        mend(&mut bytes, 0);
        assert_eq!(entries("t", &bytes).unwrap()[0].length, 3);
        bytes[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        mend(&mut bytes, 0);
        let error = entries("t", &bytes).unwrap_err().to_string();
        assert_eq!(
            error,
            "t: tar at byte 124: contents lie inside the archive, found 18446744073709551615 of 1536"
        );
    }

    #[test]
    fn damage_is_named_with_its_place() {
        let bytes = archive(&[("a", b"xyz"), ("b", b"1")]);
        for at in [0, 130, 150, 300] {
            let mut changed = bytes.clone();
            changed[1024 + at] ^= 0x11;
            let error = entries("t.tar", &changed).unwrap_err().to_string();
            assert!(error.starts_with("t.tar: tar at byte 11"), "{error}");
        }
        let error = entries("t.tar", &bytes[..1100]).unwrap_err().to_string();
        assert_eq!(error, "t.tar: tar at byte 1024: a header has 512 bytes, found 76 bytes");
        let error = entries("t.tar", &bytes[..514]).unwrap_err().to_string();
        assert_eq!(error, "t.tar: tar at byte 124: contents lie inside the archive, found 3 of 2");
    }
}
