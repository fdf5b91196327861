//! The Python version of CIFAR, told by its first bytes. It is a pickle: a program that builds objects, so it is not run.

use crate::DataError;

/// Keys that the authors' pickles hold near their beginning or end, in the protocol 2 that they were written with.
const KEYS: [&[u8]; 4] = [b"batch_label", b"fine_labels", b"coarse_labels", b"filenames"];

/// How far from either end a key is looked for.
const REACH: usize = 4096;

/// Whether bytes are a Python pickle: opcode PROTO with a protocol in 2..=5, then a dictionary, a frame or a mark; or the
/// text opcodes of protocol 0.
#[must_use]
pub fn is_pickle(bytes: &[u8]) -> bool {
    match bytes {
        [0x80, 2..=5, b'}' | b'(' | b']' | 0x95 | b'c', ..] => true,
        // Protocol 0 has no mark of its own, but the authors' dictionaries have their keys in the clear.
        [b'(', b'd', ..] => holds_key(bytes),
        _ => false,
    }
}

fn holds_key(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(REACH)];
    let tail = &bytes[bytes.len().saturating_sub(REACH)..];
    KEYS.iter()
        .any(|key| [head, tail].iter().any(|part| part.windows(key.len()).any(|window| window == *key)))
}

/// Refuses the Python version, with the way out; anything else passes.
///
/// # Errors
/// When the bytes are a pickle.
pub fn refuse(file: &str, bytes: &[u8]) -> Result<(), DataError> {
    if !is_pickle(bytes) {
        return Ok(());
    }
    Err(DataError::NotRead {
        file: file.to_owned(),
        found: "a Python pickle, the Python version of CIFAR",
        way_out: "a pickle is a program and is not run; fetch the binary version (cifar-10-binary.tar.gz or \
                  cifar-100-binary.tar.gz) from the same page",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authors_pickles_are_told_from_records() {
        // As `pickle.dumps({b'batch_label': ..., b'labels': [...]}, 2)` begins.
        assert!(is_pickle(b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03"));
        assert!(is_pickle(b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94("));
        assert!(is_pickle(b"(dp0\nS'batch_label'\np1\n"));
        // A record of class 0 and one of a label out of range.
        assert!(!is_pickle(&[0; 3073]));
        assert!(!is_pickle(&[0x80; 3073]));
        assert!(!is_pickle(b"(d"));
        let error = refuse("data_batch_1", b"\x80\x02}q\x01(U\x06labels").unwrap_err().to_string();
        assert!(
            error.starts_with("data_batch_1 is a Python pickle") && error.contains("cifar-10-binary.tar.gz")
        );
    }
}
