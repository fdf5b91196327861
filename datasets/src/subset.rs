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
    let available = dataset.len(split);
    let all = 0..available as u32;
    let Some(limit) = limit else { return Ok(all.collect()) };

    let card = dataset.card();
    let (dataset_id, setting) = (card.id, setting(split));
    if !(1..=available).contains(&limit) {
        return Err(DataError::Limit { dataset: dataset_id, setting, available, found: limit });
    }
    let (share, rest) = (limit / card.classes, limit % card.classes);
    let wanted: Vec<usize> = (0..card.classes).map(|class| share + usize::from(class < rest)).collect();
    let mut taken = vec![0; card.classes];
    let chosen = all
        .filter(|&index| {
            let class = dataset.label(split, index as usize) as usize;
            let take = taken[class] < wanted[class];
            taken[class] += usize::from(take);
            take
        })
        .collect();
    match (0..card.classes).find(|&class| taken[class] < wanted[class]) {
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
