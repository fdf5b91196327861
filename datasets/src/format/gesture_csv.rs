//! The text files of DVS128 Gesture: which times of a trial show which gesture, and which trials train and test.
//!
//! `<trial>_labels.csv` has a header row, then `class,startTime_usec,endTime_usec` with classes 1 to 11. A sample is
//! the events with start <= t < end. `trials_to_train.txt` and `trials_to_test.txt` name one recording a line.

use crate::DataError;

/// Gestures of the set.
pub const CLASSES: u8 = 11;

/// One gesture of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Class from 0: the file's number less one.
    pub class: u8,
    /// First microsecond.
    pub start: i64,
    /// First microsecond after it.
    pub end: i64,
}

/// Reads a label file; `file` is its name for messages. Rows come in file order and may overlap, as one of the set's
/// files has it.
///
/// # Errors
/// When the text is not UTF-8, the header row is another's, or a row is not three whole numbers in range.
pub fn labels(file: &str, bytes: &[u8]) -> Result<Vec<Segment>, DataError> {
    let mut segments = Vec::new();
    for (row, (offset, line)) in lines(file, bytes)?.enumerate() {
        if row == 0 {
            if !line.starts_with("class") {
                let rule = "gesture labels must begin with class,startTime_usec,endTime_usec";
                return Err(DataError::event_format(file, offset, rule, shown(line)));
            }
            continue;
        }
        let mut fields = line.split(',').map(|field| field.trim().parse::<i64>());
        let (Some(Ok(class)), Some(Ok(start)), Some(Ok(end)), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            let rule = "a row of gesture labels must be three whole numbers";
            return Err(DataError::event_format(file, offset, rule, shown(line)));
        };
        if !(1..=i64::from(CLASSES)).contains(&class) {
            let rule = "a gesture's class must be in 1..=11";
            return Err(DataError::event_format(file, offset, rule, class));
        }
        if start < 0 || end <= start {
            let rule = "a gesture's end must come after its start, and neither before 0";
            return Err(DataError::event_format(file, offset, rule, format!("{start} to {end}")));
        }
        segments.push(Segment { class: (class - 1) as u8, start, end });
    }
    Ok(segments)
}

/// Reads a list of trials, such as `user01_fluorescent.aedat`; `file` is its name for messages.
///
/// # Errors
/// When the text is not UTF-8, or a line is no plain name of an `.aedat` file.
pub fn trials(file: &str, bytes: &[u8]) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    for (offset, line) in lines(file, bytes)? {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        // A name becomes a path: nothing that leaves the folder may pass.
        if !line.ends_with(".aedat") || line.starts_with('.') || !line.bytes().all(plain) {
            let rule = "a list of trials must name one .aedat file a line";
            return Err(DataError::event_format(file, offset, rule, shown(line)));
        }
        names.push(line.to_owned());
    }
    Ok(names)
}

/// The lines that hold something, trimmed, with their places.
fn lines<'a>(file: &str, bytes: &'a [u8]) -> Result<impl Iterator<Item = (usize, &'a str)>, DataError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let found = bytes.get(at).map_or_else(String::new, |byte| format!("byte {byte:#04x}"));
        DataError::event_format(file, at, "gesture text files must be UTF-8", found)
    })?;
    let mut offset = 0;
    Ok(text.split_inclusive('\n').filter_map(move |line| {
        let here = offset;
        offset += line.len();
        let line = line.trim();
        (!line.is_empty()).then_some((here, line))
    }))
}

/// A line for a message, cut so that a file without newlines does not fill it.
fn shown(line: &str) -> String {
    format!("{:?}", line.chars().take(40).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_segments_and_lists_become_names() {
        let text = b"class, startTime_usec, endTime_usec\n1,80048239,85092709\r\n\n11, 5 ,6";
        let expected = [
            Segment { class: 0, start: 80_048_239, end: 85_092_709 },
            Segment { class: 10, start: 5, end: 6 },
        ];
        assert_eq!(labels("l.csv", text).unwrap(), expected);
        let names = trials("t.txt", b"user01_fluorescent.aedat\r\n\nuser02_lab.aedat\n").unwrap();
        assert_eq!(names, ["user01_fluorescent.aedat", "user02_lab.aedat"]);
    }

    #[test]
    fn what_is_broken_is_named() {
        let message = |text: &[u8]| labels("l.csv", text).unwrap_err().to_string();
        assert!(message(b"1,2,3").contains("must begin with class"));
        assert!(message(b"class\n1,2").contains("at byte 6: a row of gesture labels"));
        assert!(message(b"class\n1,2,3,4").contains("three whole numbers, found \"1,2,3,4\""));
        assert!(message(b"class\n1,2,99999999999999999999").contains("three whole numbers"));
        assert!(message(b"class\n12,2,3").contains("must be in 1..=11, found 12"));
        assert!(message(b"class\n1,3,3").contains("end must come after"));
        assert!(message(b"class\n\xFF").contains("at byte 6: gesture text files must be UTF-8"));
        for name in ["../a.aedat", ".aedat", "a.txt", "a/b.aedat"] {
            assert!(trials("t.txt", name.as_bytes()).is_err(), "{name}");
        }
    }
}
