//! Pictures in the official archives: a tar of one tar a class, and a flat tar with a list of labels.

use std::{collections::BTreeMap, path::Path};

use super::{
    folder::{is_picture, labelled},
    pictures::{Item, Part, Place},
};
use crate::{DataError, format::tar, map::Map};

/// The training archive: `CLASS.tar` for each class, whose names in order are the classes.
pub(super) fn train(path: &Path) -> Result<(Vec<String>, Part), DataError> {
    let map = Map::open(path)?;
    let file = path.display().to_string();
    let mut inner: Vec<(String, tar::Entry)> = tar::entries(&file, &map)?
        .into_iter()
        .filter_map(|entry| Some((base(&entry.name).strip_suffix(".tar")?.to_owned(), entry)))
        .collect();
    inner.sort_unstable_by(|left, right| left.0.cmp(&right.0));
    let mut items = Vec::new();
    for ((class, entry), label) in inner.iter().zip(0..) {
        let contents = &map[entry.offset..][..entry.length];
        let pictures = tar::entries(&format!("{file}/{}", entry.name), contents)?;
        for picture in pictures.into_iter().filter(|picture| is_picture(&picture.name)) {
            items.push(Item {
                name: format!("{class}/{}", base(&picture.name)).into_boxed_str(),
                label,
                place: Place::Archive(entry.offset + picture.offset),
                length: picture.length as u64,
            });
        }
    }
    let classes = inner.into_iter().map(|(class, _)| class).collect();
    Ok((classes, Part { root: path.to_owned(), map: Some(map), items }.sorted()))
}

/// The validation archive: pictures side by side.
pub(super) fn flat(
    path: &Path,
    list: &Path,
    classes: &[String],
    numbers: &BTreeMap<&str, u32>,
) -> Result<Part, DataError> {
    let map = Map::open(path)?;
    let entries = tar::entries(&path.display().to_string(), &map)?;
    let by_name: BTreeMap<String, tar::Entry> = entries
        .into_iter()
        .filter(|entry| is_picture(&entry.name))
        .map(|entry| (base(&entry.name).to_owned(), entry))
        .collect();
    let labels = labelled(by_name.keys().cloned().collect(), list, numbers, classes.len())?;
    let items = labels.into_iter().zip(by_name.values()).map(|((name, label), entry)| Item {
        name: format!("{}/{name}", classes[label as usize]).into_boxed_str(),
        label,
        place: Place::Archive(entry.offset),
        length: entry.length as u64,
    });
    let items = items.collect();
    Ok(Part { root: path.to_owned(), map: Some(map), items }.sorted())
}

fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
