//! The samples that a limit leaves.

use crate::{DataError, Dataset, Split};

/// Indices of the first `limit` samples in file order, balanced over the classes.
///
/// Each class gives its first `limit / classes` samples; a remainder goes to the classes of the lowest numbers.
pub(crate) fn balanced_prefix(
    dataset: &dyn Dataset,
    split: Split,
    limit: Option<usize>,
) -> Result<Vec<u32>, DataError> {
    let labels = (0..dataset.len(split)).map(|index| dataset.label(split, index));
    let card = dataset.card();
    balanced(labels, card.classes, card.id, split, limit)
}

/// [`balanced_prefix`] of any set, by the labels of its split; each must be below `classes`.
pub(crate) fn balanced(
    labels: impl ExactSizeIterator<Item = u32>,
    classes: usize,
    dataset_id: &'static str,
    split: Split,
    limit: Option<usize>,
) -> Result<Vec<u32>, DataError> {
    let available = labels.len();
    let Some(limit) = limit else { return Ok((0..available as u32).collect()) };

    let setting = setting(split);
    if !(1..=available).contains(&limit) {
        return Err(DataError::Limit { dataset: dataset_id, setting, available, found: limit });
    }
    let (share, rest) = (limit / classes, limit % classes);
    let wanted: Vec<usize> = (0..classes).map(|class| share + usize::from(class < rest)).collect();
    let mut taken = vec![0; classes];
    let chosen = (0..)
        .zip(labels)
        .filter_map(|(index, class)| {
            let class = class as usize;
            let take = taken[class] < wanted[class];
            taken[class] += usize::from(take);
            take.then_some(index)
        })
        .collect();
    match (0..classes).find(|&class| taken[class] < wanted[class]) {
        None => Ok(chosen),
        Some(class) => Err(DataError::ClassTooSmall {
            dataset: dataset_id,
            setting,
            limit,
            class,
            wanted: wanted[class],
            found: taken[class],
        }),
    }
}

fn setting(split: Split) -> &'static str {
    match split {
        Split::Train => "train_limit",
        Split::Test => "test_limit",
    }
}
