//! How long one training step takes: bars in groups, one group a model.

use super::{Axis, Bar, BarGroup, Body, Chart, Figure, method_place};
use crate::contest::{Contest, contests, methods};
use crate::quantity::TimeUnit;
use crate::read::Records;

pub(super) const CHART: Chart = Chart { id: "step-time", figure };

fn figure(records: &Records) -> Option<Figure> {
    let methods = methods(records);
    let longest =
        records.trials.iter().filter_map(|trial| trial.train_step_seconds_median).fold(0.0, f64::max);
    let unit = TimeUnit::for_longest(longest);
    let groups: Vec<BarGroup> =
        contests(records).iter().filter_map(|contest| group(contest, &methods, unit)).collect();
    if groups.is_empty() {
        return None;
    }
    let bars = groups.iter().flat_map(|group| &group.bars);
    let longest = bars.map(|bar| bar.value + bar.spread.unwrap_or(0.0)).fold(0.0, f64::max);
    let label = format!("wall time of one training step ({})", unit.symbol());
    let x = Axis::linear(&label, [longest], true).ending_at(longest);
    Some(Figure {
        id: CHART.id.to_owned(),
        title: "Time of one training step".to_owned(),
        about: "Shorter is better. Median of the timed steps; the whisker is the median absolute deviation."
            .to_owned(),
        body: Body::Bars { x, groups },
    })
}

/// A contest's bars; `None` if none of it was timed.
fn group(contest: &Contest<'_>, methods: &[&str], unit: TimeUnit) -> Option<BarGroup> {
    let mut bars = Vec::new();
    for entry in &contest.entries {
        let median = entry.median(|trial| trial.train_step_seconds_median);
        let deviation = entry.median(|trial| trial.train_step_seconds_mad).filter(|mad| mad.is_finite());
        let Some(median) = median.filter(|median| median.is_finite()) else { continue };
        bars.push(Bar {
            name: contest.label(entry),
            method: method_place(methods, entry.method),
            value: unit.value(median),
            spread: deviation.map(|deviation| unit.value(deviation)),
            text: unit.spread(median, deviation),
        });
    }
    (!bars.is_empty()).then(|| BarGroup { title: contest.title(), bars })
}
