//! The comparison: methods side by side on one model, against the model's baseline method.

use super::{Cell, Column, Grid, Group, Table};
use crate::contest::{Contest, Entry, contests};
use crate::quantity::{TimeUnit, cosine, kib, mib, percent, points, times};
use crate::read::Records;
use crate::record::Trial;

pub(super) const TABLE: Table = Table { id: "comparison", grid };

fn grid(records: &Records) -> Grid {
    let contests = contests(records);
    let longest =
        records.trials.iter().filter_map(|trial| trial.train_step_seconds_median).fold(0.0, f64::max);
    let unit = TimeUnit::for_longest(longest);
    let several_cases = contests.iter().any(|contest| {
        contest
            .entries
            .iter()
            .any(|e| (e.case, e.case_rev) != (contest.entries[0].case, contest.entries[0].case_rev))
    });
    let rows = |contest: &Contest<'_>| {
        contest.entries.iter().map(|entry| row(contest, entry, unit, several_cases)).collect()
    };
    let groups =
        contests.iter().map(|contest| Group { title: contest.title(), rows: rows(contest) }).collect();
    Grid {
        id: TABLE.id.to_owned(),
        title: "Training methods side by side".to_owned(),
        caption: "Each method trains the same model on the same data with the same budget; differences are \
                  taken to the model's baseline method. Rows of different models do not compare."
            .to_owned(),
        columns: columns(unit, several_cases),
        groups,
    }
}

fn columns(unit: TimeUnit, several_cases: bool) -> Vec<Column> {
    let mut columns = vec![Column::words("method", "method", "The way of training.")];
    if several_cases {
        columns.push(Column::words("case", "case", "The suite's case that asked for the trial."));
    }
    columns.extend([
        Column::numbers("steps_t", "T", "Number of time steps."),
        Column::numbers(
            "top1_last",
            "top-1 last, %",
            "Test accuracy after the last epoch; with several seeds the mean ± standard deviation.",
        ).more_is_better(),
        Column::words(
            "top1_interval",
            "95 % interval",
            "What the accuracy of the last epoch may be from and up to, in percent: over seeds by Student's t; of one seed \
             by Wilson's score, which knows of the test samples alone and not of other seeds.",
        ),
        Column::numbers(
            "top1_best",
            "best, %",
            "Best test accuracy of any epoch. It is chosen on the test set and so optimistic; compare the last.",
        ).more_is_better(),
        Column::numbers(
            "top1_delta",
            "Δ, points",
            "Top-1 of the last epoch minus that of the baseline method; where both have several equal seeds the mean of the \
             differences seed by seed, ± half its 95 % t-interval.",
        ),
        Column::numbers(
            "gradient_cosine",
            "gradient cosine",
            "Cosine of the angle between the method's parameter gradient and that of exact backpropagation through \
             time, on the first training batch before training. 1 is the same direction.",
        ),
        Column::numbers(
            "gradient_norm_ratio",
            "norm ratio",
            "Length of the method's parameter gradient divided by that of exact backpropagation through time.",
        ),
        Column::numbers(
            "peak_step_bytes",
            "peak step, MiB",
            "Highest memory of one training step above what lives between steps: saved activations, neuron \
             state, traces, gradients of activations and workspace.",
        ).less_is_better(),
        Column::numbers("peak_step_ratio", "memory", "Peak step memory divided by that of the baseline method.").less_is_better(),
        Column::numbers("step_bytes_per_sample", "KiB/sample", "Peak step memory divided by the batch size.").less_is_better(),
        Column::numbers(
            "train_step_seconds_median",
            &format!("step, {}", unit.symbol()),
            "Wall time of one training step: median ± median absolute deviation of the timed steps.",
        ).less_is_better(),
        Column::numbers("step_ratio", "time", "Median step time divided by that of the baseline method.").less_is_better(),
        Column::numbers("train_samples_per_second", "samples/s", "Training samples per second at the median step.").more_is_better(),
        Column::words("status", "status", "How the trial ended, and why a cell is empty."),
    ]);
    columns
}

fn row(contest: &Contest<'_>, entry: &Entry<'_>, unit: TimeUnit, several_cases: bool) -> Vec<Cell> {
    let reason = entry.reason();
    let base = contest.baseline(entry);
    let top1 = |trial: &Trial| trial.top1_last;
    let seconds = |trial: &Trial| trial.train_step_seconds_median;
    let step_bytes = entry.highest(|trial| trial.peak_step_bytes).map(|bytes| bytes as f64);
    let per_sample = entry.trials.first().filter(|trial| trial.batch > 0).map(|trial| f64::from(trial.batch));
    let against = |own: Option<f64>, other: Option<f64>, relate: fn(f64, f64) -> f64| {
        own.zip(other).map(|(own, other)| relate(own, other))
    };
    let paired = base.filter(|_| !entry.is_baseline()).and_then(|base| entry.difference(base, top1));
    let told = |difference: f64| match paired {
        _ if entry.is_baseline() => "baseline".to_owned(),
        Some(interval) => format!("{} ± {}", points(difference), percent(interval.half())),
        None => points(difference),
    };
    let means = against(entry.mean(top1), base.and_then(|b| b.mean(top1)), |own, other| own - other);
    let delta = paired.map(|interval| interval.middle).or(means);
    let interval = match entry.interval(top1) {
        Some(interval) => Cell::Text(format!("{}–{}", percent(interval.low), percent(interval.high))),
        None => Cell::Missing(reason.clone()),
    };
    let memory = against(
        step_bytes,
        base.and_then(|b| b.highest(|trial| trial.peak_step_bytes)).map(|bytes| bytes as f64),
        |own, other| own / other,
    );
    let time = against(entry.median(seconds), base.and_then(|b| b.median(seconds)), |own, other| own / other);
    let mad = entry.median(|trial| trial.train_step_seconds_mad);
    // What a stand-in's accuracy is must be told wherever it goes, even where a cell is copied alone.
    let mark = match contest.stand_in {
        Some(true) => " (stand-in)",
        Some(false) => "",
        None => " (perhaps a stand-in)",
    };
    let accuracy = |mean: f64, deviation: Option<f64>| match deviation {
        Some(deviation) => format!("{} ± {}{mark}", percent(mean), percent(deviation)),
        None => format!("{}{mark}", percent(mean)),
    };

    let mut cells = vec![Cell::Text(entry.method.to_owned())];
    if several_cases {
        cells.push(Cell::Text(format!("{} r{}", entry.case, entry.case_rev)));
    }
    cells.extend([
        Cell::number(Some(f64::from(entry.steps_t)), |steps| format!("{steps}"), &reason),
        Cell::number(entry.mean(top1), |mean| accuracy(mean, entry.deviation(top1)), &reason),
        interval,
        Cell::number(entry.mean(|trial| trial.top1_best), |best| accuracy(best, None), &reason),
        Cell::number(delta, told, &reason),
        Cell::number(entry.mean(|trial| trial.gradient_cosine), cosine, &reason),
        Cell::number(entry.mean(|trial| trial.gradient_norm_ratio), times, &reason),
        Cell::number(step_bytes, mib, &reason),
        Cell::number(memory, times, &reason),
        Cell::number(step_bytes.zip(per_sample).map(|(bytes, batch)| bytes / batch), kib, &reason),
        Cell::number(entry.median(seconds), |median| unit.spread(median, mad), &reason),
        Cell::number(time, times, &reason),
        Cell::number(
            entry.median(|trial| trial.train_samples_per_second),
            |rate| format!("{rate:.0}"),
            &reason,
        ),
        Cell::Text(entry.status()),
    ]);
    cells
}
