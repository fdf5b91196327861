//! Published numbers one by one: parameters, accuracy, memory and time, each beside what the records have of the same.

use super::line::Finding;
use super::points::{self, Batches, Wanted};
use super::verdict::{Measured, Verdict};
use crate::contest::contests;
use crate::published::{PaperRow, PaperValue, Precision, Quantity};
use crate::quantity::three_digits;
use crate::read::Records;
use crate::record::{Status, Trial};

/// The commands that would fill a row.
#[derive(Clone, Debug)]
pub(super) struct Commands {
    /// Measures what its training step holds and takes.
    pub(super) step: String,
    /// Measures what one image costs; nothing where no suite does.
    pub(super) inference: Option<String>,
    /// Trains it; nothing where no suite does.
    pub(super) training: Option<String>,
}

/// A row whose counterpart is in the zoo.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counterpart<'p> {
    pub(super) row: &'p PaperRow,
    pub(super) method: &'p str,
    pub(super) model: &'p str,
}

/// What the published run of one number was made with.
#[derive(Clone, Copy, Debug)]
pub(super) struct There<'p> {
    pub(super) precision: Option<Precision>,
    pub(super) hardware: Option<&'p str>,
}

/// What the records have of a quantity of a row; energy has a file of its own.
pub(super) fn find(
    records: &Records,
    quantity: Quantity,
    value: Option<&PaperValue>,
    own: &Counterpart<'_>,
    there: There<'_>,
    commands: &Commands,
) -> Finding {
    match quantity {
        Quantity::Top1Percent => accuracy(records, own, commands),
        Quantity::TrainedParameters => trained_parameters(records, own, commands),
        Quantity::Parameters => parameters_in_use(records, own, commands),
        Quantity::ParametersMillions => {
            let in_use = parameters_in_use(records, own, commands);
            let either =
                if in_use.measured.is_some() { in_use } else { trained_parameters(records, own, commands) };
            millions(either)
        }
        Quantity::MegabytesPerImage | Quantity::Gigabytes => memory(records, quantity, own, there, commands),
        Quantity::MinutesPerEpoch
        | Quantity::SecondsPerEpoch
        | Quantity::HoursPerEpoch
        | Quantity::Hours
        | Quantity::SamplesPerSecond => time(records, own, there, commands),
        Quantity::Millijoules => super::energy::find(records, value, own, commands),
        Quantity::EpochsToSixty => Finding::missing(
            format!("needs {} and some forty epochs", own.row.dataset),
            commands.training.clone(),
        ),
    }
}

impl Counterpart<'_> {
    fn wanted(&self) -> Wanted<'_> {
        Wanted { method: self.method, model: self.model, steps_t: self.row.steps_t, image: &self.row.image }
    }

    /// Whether a network of these images and classes, at its published widths, is the row's.
    pub(super) fn is_of(&self, image: &str, classes: u32, width: f64) -> bool {
        image == self.row.image && classes == self.row.classes && width == 1.0
    }

    /// Whether a T is the row's, or no source tells it.
    pub(super) fn is_at(&self, steps_t: u32) -> bool {
        self.row.steps_t.is_none_or(|steps| steps == steps_t)
    }
}

fn count(value: u64, how: String) -> Finding {
    let measured = Some(Measured { value: value as f64, interval: None });
    Finding { measured, spread: "exact".to_owned(), how, obstacle: None }
}

fn trained_parameters(records: &Records, own: &Counterpart<'_>, commands: &Commands) -> Finding {
    let fits = |row: &&crate::record::ScalingRow| {
        row.model == own.model && row.blocks.is_none() && own.is_of(&row.image, row.classes, row.width)
    };
    let found =
        records.scaling.iter().filter(fits).find(|row| own.is_at(row.steps_t) && row.parameters.is_some());
    match found.and_then(|row| Some((row, row.parameters?))) {
        Some((row, parameters)) => count(parameters, format!("{}, {} classes", row.model, row.classes)),
        None => Finding::missing(format!("no step of {}", own.model), Some(commands.step.clone())),
    }
}

fn parameters_in_use(records: &Records, own: &Counterpart<'_>, commands: &Commands) -> Finding {
    let fits = |row: &&crate::record::InferenceRow| {
        row.model == own.model && own.is_at(row.steps_t) && own.is_of(&row.image, row.classes, row.width)
    };
    let found = records.inference.iter().filter(fits).find_map(|row| Some((row, row.parameters?)));
    match found {
        Some((row, parameters)) => {
            count(parameters, format!("{}, {} widths, {} classes", row.model, row.step_width, row.classes))
        }
        None => {
            let missing = format!("no image went through {} at its published size", own.model);
            Finding::missing(missing, commands.inference.clone())
        }
    }
}

/// A count in millions.
fn millions(found: Finding) -> Finding {
    let measured = found.measured.map(|count| Measured { value: count.value / 1e6, ..count });
    Finding { measured, ..found }
}

/// Why numbers that depend on device and type of the numbers do not compare; nothing where they do.
fn apart(device: &str, dtype: &str, there: There<'_>) -> Option<String> {
    let same_type = there.precision.is_some_and(|precision| precision.word() == dtype);
    // Which accelerator a record is of stands in its environment; a processor is never one.
    if same_type && device != "cpu" {
        return None;
    }
    let here = if device == "cpu" { "a CPU".to_owned() } else { device.to_owned() };
    let precision = there.precision.map_or("numbers of a type that no source tells", Precision::word);
    let hardware = there.hardware.unwrap_or("a device that no source tells");
    Some(format!("{dtype} on {here}, published {precision} on {hardware}"))
}

/// Joins what keeps two numbers apart.
fn obstacle(reasons: Vec<String>) -> Option<Verdict> {
    (!reasons.is_empty()).then(|| Verdict::NotComparable(reasons.join("; ")))
}

fn memory(
    records: &Records,
    quantity: Quantity,
    own: &Counterpart<'_>,
    there: There<'_>,
    commands: &Commands,
) -> Finding {
    let wanted = own.wanted();
    let Some(points) = Batches::of(records, &wanted).into_iter().next() else {
        return no_step(records, own, commands);
    };
    let Some(row) = points.last() else { return no_step(records, own, commands) };
    let whole = || Some((row.whole_bytes? + row.workspace_bytes?) as f64);
    let found = match quantity {
        Quantity::Gigabytes => {
            whole().map(|bytes| (bytes / 1e9, format!("all that a step holds, batch {}", row.batch)))
        }
        _ => points.image_bytes().map(|(bytes, how)| (bytes / 1e6, how)),
    };
    let Some((value, told)) = found else { return no_step(records, own, commands) };
    let mut reasons: Vec<String> = apart(&row.device, &row.dtype, there).into_iter().collect();
    reasons.extend(points.differences(&wanted));
    if quantity == Quantity::Gigabytes && own.row.batch != Some(row.batch) {
        let batch = own.row.batch.map_or("one that no source tells".to_owned(), |batch| batch.to_string());
        reasons.push(format!("batch {} here, {batch} there", row.batch));
    }
    Finding {
        measured: Some(Measured { value, interval: None }),
        spread: "exact".to_owned(),
        how: format!("{}: {told}", points.words()),
        obstacle: obstacle(reasons),
    }
}

fn time(records: &Records, own: &Counterpart<'_>, there: There<'_>, commands: &Commands) -> Finding {
    let Some(measured) = Batches::of(records, &own.wanted()).into_iter().next() else {
        return no_step(records, own, commands);
    };
    let (Some(row), Some((seconds, _))) = (measured.last(), measured.image_seconds()) else {
        return no_step(records, own, commands);
    };
    let told = format!("a step takes {} ms/img, {}", three_digits(seconds * 1e3), points::told(row));
    let machine =
        records.environment.as_ref().filter(|_| row.device == "cpu").map(|machine| machine.cpu.clone());
    let here = machine.unwrap_or_else(|| row.device.clone());
    let hardware = there.hardware.unwrap_or("a device that no source tells");
    let reason = format!("a step was timed on {here}, an epoch was published on {hardware}");
    Finding {
        measured: None,
        spread: String::new(),
        how: format!("{}: {told}", measured.words()),
        obstacle: Some(Verdict::NotComparable(reason)),
    }
}

fn no_step(records: &Records, own: &Counterpart<'_>, commands: &Commands) -> Finding {
    let refusal = Batches::refusal(records, &own.wanted());
    let missing = refusal.unwrap_or_else(|| format!("no step of {} by {}", own.model, own.method));
    Finding::missing(missing, Some(commands.step.clone()))
}

/// The best epoch, as papers report; of several seeds the mean. A stand-in's accuracy is never put beside a published one.
fn accuracy(records: &Records, own: &Counterpart<'_>, commands: &Commands) -> Finding {
    let contests = contests(records);
    let entries = contests.iter().filter(|contest| contest.model == own.model).flat_map(|contest| {
        contest
            .entries
            .iter()
            .filter(|entry| entry.method == own.method && own.is_at(entry.steps_t))
            .map(move |entry| (contest, entry))
    });
    let entries: Vec<_> = entries.collect();
    let real = entries
        .iter()
        .filter(|(contest, _)| contest.stand_in == Some(false) && contest.dataset == own.row.dataset);
    // Of several cases the one that was trained longest.
    let longest = real.max_by_key(|(_, entry)| entry.trials.iter().map(|trial| trial.epochs).max());
    let Some((_, entry)) = longest else {
        let stand_in = entries.iter().find(|(contest, _)| contest.stand_in != Some(false));
        let told = stand_in.map(|(contest, _)| {
            let stands = if contest.stand_in.is_some() { "stands" } else { "may stand" };
            format!("; {} {stands} for another set, and its accuracy compares with none", contest.dataset)
        });
        let needs = format!("needs {}{}", own.row.dataset, told.unwrap_or_default());
        let no_suite = if commands.training.is_none() { ", and no suite trains it" } else { "" };
        return Finding::missing(format!("{needs}{no_suite}"), commands.training.clone());
    };
    let trials: Vec<&Trial> =
        entry.trials.iter().copied().filter(|trial| trial.status == Status::Ok).collect();
    let best: Vec<f64> = trials.iter().filter_map(|trial| trial.top1_best).collect();
    let (Some(first), false) = (trials.first(), best.is_empty()) else {
        return Finding::missing(entry.reason(), commands.training.clone());
    };
    let spread = match best.len() {
        1 => "95 % of one run, Wilson".to_owned(),
        several => format!("95 % of {several} seeds, t"),
    };
    let interval = entry.interval(|trial| trial.top1_best);
    let value = 100.0 * best.iter().sum::<f64>() / best.len() as f64;
    let interval =
        interval.map(|interval| interval.scaled(100.0)).map(|interval| (interval.low, interval.high));
    let mut reasons = Vec::new();
    if let Some(epochs) = own.row.epochs.filter(|epochs| *epochs != first.epochs) {
        reasons.push(format!("{} epochs here, {epochs} there", first.epochs));
    }
    if let Some(recipe) = own.row.recipe.as_ref().filter(|recipe| **recipe != first.recipe) {
        reasons.push(format!("recipe {} here, {recipe} there", first.recipe));
    }
    Finding {
        measured: Some(Measured { value, interval }),
        spread,
        how: format!(
            "{} on {}, {}, {} training images, {} epochs: best epoch",
            entry.method, own.model, first.device, first.train_samples, first.epochs
        ),
        obstacle: obstacle(reasons),
    }
}
