//! Charts: records in, a figure out. To add one, write a file beside this one and add its line to [`CHARTS`].

mod accuracy_memory;
mod energy_stacks;
mod event_frames;
mod fidelity_layers;
mod figure;
mod firing_rate_map;
mod firing_rates;
mod inference_steps;
mod learning_curves;
mod memory_steps;
mod scaling_categories;
mod scaling_lines;
mod step_time;

pub use figure::{
    Axis, Band, Bar, BarGroup, Body, Figure, Frame, FrameGroup, FrameStrip, Guide, HeatGroup, HeatMap, Panel,
    Scale, Series, Stack, StackGroup,
};

use crate::read::Records;

/// A chart that can be made from any records.
#[derive(Clone, Copy, Debug)]
pub struct Chart {
    /// Id, also the name of its files.
    pub id: &'static str,
    /// Makes the chart; `None` if the records hold nothing to draw.
    pub figure: fn(&Records) -> Option<Figure>,
}

/// Every chart, in the order in which a report shows them.
pub static CHARTS: &[Chart] = &[
    accuracy_memory::CHART,
    learning_curves::CHART,
    event_frames::CHART,
    memory_steps::CHART,
    step_time::CHART,
    fidelity_layers::CHART,
    firing_rates::CHART,
    firing_rate_map::CHART,
    energy_stacks::CHART,
    scaling_lines::AGAINST_STEPS,
    scaling_lines::AGAINST_BLOCKS,
    scaling_lines::TIME_AGAINST_STEPS,
    scaling_lines::TIME_AGAINST_BATCH,
    scaling_categories::CHART,
    inference_steps::CHART,
];

/// Place of a method in the name order of the campaign's methods.
fn method_place(methods: &[&str], method: &str) -> usize {
    methods.iter().position(|name| *name == method).unwrap_or(0)
}
