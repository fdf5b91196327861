//! `model NAME`: what a network is made of, and which methods can train it.

use std::io::Write;
use std::rc::Rc;

use engine::drive;
use engine::ledger::Category;
use engine::loss::{Loss, MseTarget};
use engine::method::{RunSpec, Settings};
use engine::model::{ModelSpec, Network};
use engine::param::Params;
use engine::pass::{Mode, Pass};
use engine::site::Role;
use engine::tape::Tape;
use engine::unroll::{Statistics, Survey, Surveyed, Through, TimeGradient};
use keys::Key;

use crate::device;
use crate::error::{Error, Result};
use crate::precision::Precision;
use crate::regress::grouped;
use crate::suggest::Unknown;

/// What to change of the published set-up.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Changes {
    /// Input shape, such as 3x32x32; two channels are event frames, one a step.
    #[arg(long, value_name = "CxHxW", value_parser = image)]
    image: Option<[usize; 3]>,
    /// Number of classes.
    #[arg(long, value_name = "N")]
    classes: Option<usize>,
    /// Number of time steps T.
    #[arg(long, value_name = "T")]
    steps_t: Option<usize>,
    /// Factor on every channel count.
    #[arg(long, value_name = "FACTOR")]
    width: Option<f64>,
    /// Blocks in every stage.
    #[arg(long, value_name = "N")]
    depth: Option<usize>,
}

impl Changes {
    /// The set-up with these changes.
    pub(crate) fn of(&self, set_up: ModelSpec) -> ModelSpec {
        ModelSpec {
            image: self.image.unwrap_or(set_up.image),
            classes: self.classes.unwrap_or(set_up.classes),
            steps: self.steps_t.unwrap_or(set_up.steps),
            width: self.width.unwrap_or(set_up.width),
            depth: self.depth.or(set_up.depth),
            ..set_up
        }
    }
}

/// A model of the zoo by its id.
pub(crate) fn entry(name: &str) -> Result<&'static engine::model::ModelEntry> {
    models::find(name)
        .ok_or_else(|| Error::unknown(Unknown::new("model", name, models::all().map(|entry| entry.id))))
}

fn image(text: &str) -> Result<[usize; 3], String> {
    let sizes: Vec<usize> = text.split('x').map_while(|size| size.parse().ok().filter(|&n| n > 0)).collect();
    let rule = || "must be three positive numbers such as 3x32x32".to_owned();
    if text.split('x').count() == 3 { sizes.try_into().map_err(|_| rule()) } else { Err(rule()) }
}

/// Prints layers, shapes, parameters, neurons, multiply-accumulates and methods.
pub(crate) fn model(name: &str, changes: &Changes, output: &mut dyn Write) -> Result<()> {
    let entry = entry(name)?;
    let spec = changes.of((entry.published)());
    let failed = |source| Error::Setting { place: format!("model {name}"), source };
    let network = planned(entry, &spec).map_err(failed)?;
    let calls = survey(&network).map_err(failed)?;
    let [c, h, w] = spec.image;
    writeln!(output, "{}: {} ({})", entry.id, entry.summary, entry.paper)?;
    writeln!(
        output,
        "input {c} x {h} x {w}, {} classes, T = {}, width {}\n",
        spec.classes, spec.steps, spec.width
    )?;
    layers(&network, &calls, output)?;
    totals(&network, &calls, output)?;
    methods(entry, &spec, output)
}

fn planned(entry: &engine::model::ModelEntry, spec: &ModelSpec) -> engine::Result<Network> {
    entry.network(spec, Params::new(Rc::new(device::planning(Precision::default())), Key::new(0)))
}

/// One image through the network, all steps, in a plan.
fn survey(network: &Network) -> engine::Result<Vec<Surveyed>> {
    let (spec, session) = (&network.spec, network.params.session());
    let [c, h, w] = spec.image;
    let frames = if c == 2 { spec.steps } else { 1 };
    let x = session.zeros(Category::Input, &[frames, 1, c, h, w])?;
    let (tape, mut statistics) = (Tape::off(), Statistics::default());
    let pass = Pass::new(session, &network.params, &tape, Mode::Train, spec.steps, Key::new(0));
    let mut through = Through::new(&mut statistics, TimeGradient::Kept);
    let mut survey = Survey::of(&mut through);
    drive::all_steps(&pass, &mut survey, &network.wiring, &x)?;
    Ok(survey.into_calls())
}

/// A site with everything that its calls did, in the order of the first one.
struct Layer<'c> {
    first: &'c Surveyed,
    calls: usize,
    macs: u64,
}

fn by_site(calls: &[Surveyed]) -> Vec<Layer<'_>> {
    let mut layers: Vec<Layer<'_>> = Vec::new();
    for call in calls {
        match layers.iter_mut().find(|layer| layer.first.site == call.site) {
            Some(layer) => {
                layer.calls += 1;
                layer.macs += call.macs;
            }
            None => layers.push(Layer { first: call, calls: 1, macs: call.macs }),
        }
    }
    layers
}

fn kind(role: Role) -> &'static str {
    match role {
        Role::Encoder => "encoder",
        Role::Hidden => "weights",
        Role::Readout => "read-out",
        Role::Neuron => "neurons",
        Role::Norm => "norm",
        Role::Mix | Role::Barrier => "mix",
        Role::Carry => "carry",
    }
}

fn layers(network: &Network, calls: &[Surveyed], output: &mut dyn Write) -> Result<()> {
    let layers = by_site(calls);
    let width = layers.iter().map(|layer| layer.first.site.name().len()).max().unwrap_or(5).max(5);
    writeln!(
        output,
        "{:<width$}  {:<8}  {:<22}  {:>11}  {:>9}  {:>12}",
        "layer", "what", "output of an image", "parameters", "neurons", "MACs, all T"
    )?;
    for Layer { first, calls, macs } in &layers {
        let parameters: usize = first.params.iter().map(|&id| network.params.get(id).value().len()).sum();
        // Without the batch axis; a value that is constant in time has no time axis either.
        let steps = if *calls > 1 { *calls } else { first.output[0] };
        let shape = first.output[2..].iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
        let shape = if steps > 1 { format!("{steps} x {shape}") } else { shape };
        let blank = |number: u64| if number == 0 { String::new() } else { grouped(number) };
        writeln!(
            output,
            "{:<width$}  {:<8}  {shape:<22}  {:>11}  {:>9}  {:>12}",
            first.site.name(),
            kind(first.site.role()),
            blank(parameters as u64),
            blank(first.neurons as u64),
            blank(*macs)
        )?;
    }
    Ok(())
}

fn totals(network: &Network, calls: &[Surveyed], output: &mut dyn Write) -> Result<()> {
    let (trained, used) = (network.params.count(), network.params.count_in_use());
    writeln!(
        output,
        "\nparameters   {} trained, {} in use once trained",
        grouped(trained as u64),
        grouped(used as u64)
    )?;
    let neurons: usize = by_site(calls).iter().map(|layer| layer.first.neurons).sum();
    writeln!(output, "neurons      {} an image", grouped(neurons as u64))?;
    let macs: u64 = calls.iter().map(|call| call.macs).sum();
    writeln!(output, "dense MACs   {} an image, all T steps", grouped(macs))?;
    Ok(())
}

fn methods(entry: &engine::model::ModelEntry, spec: &ModelSpec, output: &mut dyn Write) -> Result<()> {
    writeln!(output, "\nmethods, with a loss at every step")?;
    let width = registry::all().map(|method| method.id.len()).max().unwrap_or(0);
    for line in registry::all() {
        let place = || format!("method {}", line.id);
        let method =
            (line.build)(&Settings::default()).map_err(|source| Error::Setting { place: place(), source })?;
        let steps = method.steps(spec.steps);
        let loss = Loss::PerStep { mse: 0.0, target: MseTarget::OneHot, smoothing: 0.0 };
        let verdict = match planned(entry, &ModelSpec { steps, ..spec.clone() }) {
            Ok(network) => match method.supports(&network, &RunSpec::new(steps, loss, Key::new(0))) {
                Ok(()) => "can train it".to_owned(),
                Err(reason) => format!("can't: {reason}"),
            },
            Err(error) => format!("can't: {error}"),
        };
        writeln!(output, "  {:<width$}  {verdict}", line.id)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::image;

    #[test]
    fn an_input_has_three_sizes() {
        assert_eq!(image("3x32x32"), Ok([3, 32, 32]));
        assert!(image("3x32").is_err() && image("3x0x32").is_err() && image("3x32x32x1").is_err());
    }
}
