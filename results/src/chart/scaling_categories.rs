//! What the bytes of a training step are for, at the largest T of each method: one stack a method, one group a network.

use super::{Axis, Body, Chart, Figure, Stack, StackGroup};
use crate::quantity::MIB;
use crate::read::Records;
use crate::record::ScalingRow;
use crate::sweep::{Along, Line, Sweep, sweeps, usual};

const LABEL: &str = "bytes at the peak of a training step (MiB)";

pub(super) const CHART: Chart = Chart { id: "scaling-categories", figure };

fn figure(records: &Records) -> Option<Figure> {
    let groups: Vec<StackGroup> = sweeps(records, Along::Steps).iter().filter_map(group).collect();
    if groups.is_empty() {
        return None;
    }
    let parts = ScalingRow::default().at_peak().map(|(name, _)| name.to_owned());
    Some(Figure {
        id: CHART.id.to_owned(),
        title: "What a training step holds when it holds most".to_owned(),
        about: "Each method at its largest T. In colour what the memory laws are about, in greys and sand what lives between steps."
            .to_owned(),
        body: Body::Stacks { label: LABEL.to_owned(), parts: parts.to_vec(), groups },
    })
}

/// A sweep's stacks; `None` if no method of it was measured.
fn group(sweep: &Sweep<'_>) -> Option<StackGroup> {
    let lines = sweep.lines(Along::Steps);
    let rows: Vec<&ScalingRow> = lines.iter().filter_map(Line::farthest).collect();
    let largest = rows.iter().map(|row| row.steps_t).max()?;
    let stacks = rows.iter().filter_map(|row| stack(row, largest)).collect::<Vec<_>>();
    let measured: Vec<&Line<'_>> = lines.iter().filter(|line| line.farthest().is_some()).collect();
    let fixed = usual(&measured).map(|fixed| format!(", {fixed}")).unwrap_or_default();
    let title = format!("{}, T = {largest}{fixed}", sweep.title());
    let longest = stacks.iter().map(|stack| stack.values.iter().sum::<f64>()).fold(0.0, f64::max);
    let x = Axis::linear(LABEL, [longest], true).ending_at(longest);
    (!stacks.is_empty()).then_some(StackGroup { title, x, stacks })
}

fn stack(row: &ScalingRow, largest: u32) -> Option<Stack> {
    let values: Option<Vec<f64>> =
        row.at_peak().into_iter().map(|(_, bytes)| bytes.map(|bytes| bytes as f64 / MIB)).collect();
    let name = if row.steps_t == largest {
        row.method.clone()
    } else {
        format!("{}, T = {}", row.method, row.steps_t)
    };
    let values = values?;
    let text = format!("{:.2}", values.iter().sum::<f64>());
    Some(Stack { name, values, text })
}
