//! Pictures in folders: one a class, or all in one with a list of labels.

use std::{collections::BTreeMap, fs, path::Path};

use super::pictures::{Item, Part, Place};
use crate::DataError;

/// Endings of pictures, compared without case.
const ENDINGS: [&str; 3] = [".jpeg", ".jpg", ".png"];

pub(super) fn is_picture(name: &str) -> bool {
    let bytes = name.as_bytes();
    ENDINGS.iter().any(|ending| {
        bytes.len() > ending.len()
            && bytes[bytes.len() - ending.len()..].eq_ignore_ascii_case(ending.as_bytes())
    })
}

/// A folder of class folders, whose names in order are the classes.
pub(super) fn train(root: &Path) -> Result<(Vec<String>, Part), DataError> {
    let classes: Vec<String> =
        names(root)?.into_iter().filter(|(_, is_folder)| *is_folder).map(|(name, _)| name).collect();
    let mut part = Part { root: root.to_owned(), ..Part::default() };
    for (class, label) in classes.iter().zip(0..) {
        read_class(root, class, label, &mut part)?;
    }
    Ok((classes, part.sorted()))
}

/// A folder of class folders whose labels are known; `None` if it has no folders.
pub(super) fn classed(root: &Path, numbers: &BTreeMap<&str, u32>) -> Result<Option<Part>, DataError> {
    let mut part = Part { root: root.to_owned(), ..Part::default() };
    let mut any = false;
    for (class, _) in names(root)?.into_iter().filter(|(_, is_folder)| *is_folder) {
        let Some(&label) = numbers.get(class.as_str()) else {
            return Err(unknown(&root.display().to_string(), 0, class));
        };
        read_class(root, &class, label, &mut part)?;
        any = true;
    }
    Ok(any.then(|| part.sorted()))
}

/// A flat folder with a list of labels.
pub(super) fn flat(
    root: &Path,
    list: &Path,
    classes: &[String],
    numbers: &BTreeMap<&str, u32>,
) -> Result<Part, DataError> {
    let names = names(root)?.into_iter().map(|(name, _)| name).filter(|name| is_picture(name)).collect();
    let mut part = Part { root: root.to_owned(), ..Part::default() };
    for (file, label) in labelled(names, list, numbers, classes.len())? {
        let path = root.join(&file);
        let length = match fs::metadata(&path) {
            Ok(about) => about.len(),
            Err(source) => return Err(DataError::Read { file: path.display().to_string(), source }),
        };
        let name = format!("{}/{file}", classes[label as usize]).into_boxed_str();
        part.items.push(Item { name, label, place: Place::Flat, length });
    }
    Ok(part.sorted())
}

/// Gives each file its label from a list; `files` are in order, and all of them must be named.
pub(super) fn labelled(
    files: Vec<String>,
    list: &Path,
    numbers: &BTreeMap<&str, u32>,
    classes: usize,
) -> Result<Vec<(String, u32)>, DataError> {
    let place = list.display().to_string();
    let text = match fs::read_to_string(list) {
        Ok(text) => text,
        Err(source) => return Err(DataError::Read { file: place, source }),
    };
    let class = |offset: usize, word: &str| {
        let by_number = || word.parse().ok().filter(|&number: &u32| (number as usize) < classes);
        let label = numbers.get(word).copied().or_else(by_number);
        label.ok_or_else(|| unknown(&place, offset as u64, word.to_owned()))
    };
    let (mut named, mut ordered, mut offset) = (BTreeMap::new(), Vec::new(), 0);
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [word] => ordered.push(class(offset, word)?),
            [file, word] => {
                named.insert(*file, class(offset, word)?);
            }
            _ => {
                return Err(malformed(
                    &place,
                    offset as u64,
                    "a line is `FILE CLASS` or `CLASS`",
                    line.to_owned(),
                ));
            }
        }
        offset += line.len() + 1;
    }
    if named.is_empty() {
        if ordered.len() != files.len() {
            let found = format!("{} lines for {} pictures", ordered.len(), files.len());
            return Err(malformed(&place, 0, "a list without names has a line for each picture", found));
        }
        return Ok(files.into_iter().zip(ordered).collect());
    }
    files
        .into_iter()
        .map(|file| match named.get(file.as_str()) {
            Some(&label) => Ok((file, label)),
            None => Err(malformed(
                &place,
                0,
                "a list with names has a line for each picture",
                format!("none for {file}"),
            )),
        })
        .collect()
}

fn unknown(file: &str, offset: u64, class: String) -> DataError {
    malformed(file, offset, "a class is a class folder of train/, or its number in the order of names", class)
}

fn malformed(file: &str, offset: u64, rule: &'static str, found: String) -> DataError {
    DataError::Malformed { file: file.to_owned(), format: "labels", offset, rule, found }
}

fn read_class(root: &Path, class: &str, label: u32, part: &mut Part) -> Result<(), DataError> {
    let folder = root.join(class);
    for (file, _) in names(&folder)?.into_iter().filter(|(name, is_folder)| !is_folder && is_picture(name)) {
        let path = folder.join(&file);
        let length = match fs::metadata(&path) {
            Ok(about) => about.len(),
            Err(source) => return Err(DataError::Read { file: path.display().to_string(), source }),
        };
        let name = format!("{class}/{file}").into_boxed_str();
        part.items.push(Item { name, label, place: Place::Folder, length });
    }
    Ok(())
}

/// What a folder holds, in the order of names, and whether each is a folder; links are followed.
fn names(folder: &Path) -> Result<Vec<(String, bool)>, DataError> {
    let fault = |source| DataError::Read { file: folder.display().to_string(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let kind = entry.file_type().map_err(fault)?;
        let is_folder = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
        names.push((entry.file_name().to_string_lossy().into_owned(), is_folder));
    }
    names.sort_unstable();
    Ok(names)
}
