//! Ratios of memory and of time: what two networks of one record set give, beside what a paper gives for the same two.

use super::line::Finding;
use super::points::{Batches, Wanted, told};
use super::verdict::{Measured, Verdict};
use crate::published::{Ratio, Side};
use crate::quantity::three_digits;
use crate::read::Records;

/// What a ratio is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// Bytes of a training step for one image.
    Memory,
    /// Seconds of a training step for one image.
    Time,
}

impl Of {
    /// As tables print it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Of::Memory => "memory, ratio",
            Of::Time => "time, ratio",
        }
    }
}

/// The ratio that the records give; `command` makes the command that measures a side.
pub(super) fn find(records: &Records, ratio: &Ratio, of: Of, command: impl Fn(&Side) -> String) -> Finding {
    let (of_wanted, to_wanted) = (wanted(ratio, &ratio.of), wanted(ratio, &ratio.to));
    for (side, wanted) in [(&ratio.of, &of_wanted), (&ratio.to, &to_wanted)] {
        if Batches::of(records, wanted).is_empty() {
            let refusal = Batches::refusal(records, wanted);
            let missing =
                refusal.unwrap_or_else(|| format!("no step of {} by {}", wanted.model, wanted.method));
            return Finding::missing(missing, Some(command(side)));
        }
    }
    let Some((of_points, to_points)) = nearest(records, &of_wanted, &to_wanted) else {
        let missing = "the two were not measured in one suite, on equal images, batches, threads and widths";
        return Finding::missing(missing, Some(command(&ratio.of)));
    };
    let (measured, spread, told) = match of {
        Of::Memory => memory(&of_points, &to_points),
        Of::Time => time(&of_points, &to_points),
    }
    .unwrap_or((None, String::new(), String::new()));
    let mut differences = of_points.differences(&of_wanted);
    differences.extend(
        to_points
            .differences(&to_wanted)
            .into_iter()
            .filter(|one| !of_points.differences(&of_wanted).contains(one)),
    );
    let obstacle = match (measured, differences.is_empty()) {
        (None, _) => Some(Verdict::NotMeasured { missing: "the steps lack it".to_owned(), command: None }),
        (_, true) => None,
        (_, false) => Some(Verdict::NotComparable(differences.join("; "))),
    };
    let how = format!("{} / {}: {told}", of_points.words(), to_points.words());
    Finding { measured, spread, how, obstacle }
}

fn wanted<'p>(ratio: &'p Ratio, side: &'p Side) -> Wanted<'p> {
    Wanted {
        method: &side.method,
        model: ratio.model_of(side),
        steps_t: Some(ratio.steps_of(side)),
        image: &ratio.image,
    }
}

/// Of the points that were measured side by side the two nearest to the paper's.
fn nearest<'r>(records: &'r Records, of: &Wanted<'_>, to: &Wanted<'_>) -> Option<(Batches<'r>, Batches<'r>)> {
    let (firsts, seconds) = (Batches::of(records, of), Batches::of(records, to));
    let pairs = firsts.iter().flat_map(|first| seconds.iter().filter_map(|second| first.beside(second)));
    // The first of equally near ones.
    let far = |pair: &(Batches<'r>, Batches<'r>)| pair.0.differences(of).len() + pair.1.differences(to).len();
    pairs.min_by_key(far)
}

type Found = (Option<Measured>, String, String);

fn memory(of: &Batches<'_>, to: &Batches<'_>) -> Option<Found> {
    let ((first, how), (second, _)) = (of.image_bytes()?, to.image_bytes()?);
    if second <= 0.0 {
        return None;
    }
    let told = format!("{} and {} MB/img, {how}", three_digits(first / 1e6), three_digits(second / 1e6));
    Some((Some(Measured { value: first / second, interval: None }), "exact".to_owned(), told))
}

fn time(of: &Batches<'_>, to: &Batches<'_>) -> Option<Found> {
    let ((of_fast, of_slow), (to_fast, to_slow)) = (of.image_seconds()?, to.image_seconds()?);
    let value = of_fast / to_fast;
    // The ends that are farthest apart; the ratio of the fastest steps is always between them.
    let interval = Some(((of_fast / to_slow).min(value), (of_slow / to_fast).max(value)));
    let row = of.last()?;
    let words =
        format!("{} and {} ms/img, {}", three_digits(of_fast * 1e3), three_digits(to_fast * 1e3), told(row));
    let spread = "fastest steps against median + deviation".to_owned();
    Some((Some(Measured { value, interval }), spread, words))
}
