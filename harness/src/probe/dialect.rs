//! The words of golden cases, in the words of this project.
//!
//! A case names classes and arguments of the authors' code, and describes neuron and loss in a sentence. Which model and
//! method a name means is the zoo's and the registry's to say; what is read here is the rest. A sentence that is not
//! understood is an error, never a guess.

use engine::loss::{Loss, MseTarget};
use engine::method::{MethodEntry, Official, Setting, Settings};
use engine::model::{ModelEntry, ModelSpec};
use engine::neuron::{Firing, InputDecay, Neuron, Reset, ResetGradient, Surrogate};
use serde_json::Value;

use super::case::Case;
use crate::error::{Error, Result};
use crate::suggest::Unknown;

/// The model that a case's class is: the entry that knows the longest beginning of its name; a network that no authors released
/// goes by its id.
pub(super) fn model(case: &Case) -> Result<&'static ModelEntry> {
    let name = case.model.as_deref().unwrap_or_default();
    if let Some(entry) = models::all().find(|entry| entry.id == name) {
        return Ok(entry);
    }
    let known: Vec<_> =
        models::all().flat_map(|entry| entry.official.iter().map(move |class| (class, entry))).collect();
    // Of equally long ones the first: families list their smallest network first.
    let fits = known.iter().rev().filter(|(class, _)| name.starts_with(**class));
    let best = fits.max_by_key(|(class, _)| class.len());
    best.map(|(_, entry)| *entry).ok_or_else(|| unknown("model", name, known.iter().map(|(class, _)| *class)))
}

/// The method that a case's rule is, told apart by whether parameters moved inside the step, and how golden cases
/// know it.
pub(super) fn method(case: &Case, updates: bool) -> Result<(&'static Official, &'static MethodEntry)> {
    let plain = case.method.split(" (").next().unwrap_or_default();
    let name = if updates { format!("{plain}, an update at every step") } else { plain.to_owned() };
    let known =
        || registry::all().flat_map(|entry| entry.official.iter().map(move |official| (official, entry)));
    known()
        .find(|(official, _)| official.name == name)
        .ok_or_else(|| unknown("method", &name, known().map(|(official, _)| &official.name)))
}

fn unknown<'n>(kind: &str, name: &str, known: impl Iterator<Item = &'n &'static str>) -> Error {
    Error::unknown(Unknown::new(&format!("{kind} of a golden case"), name, known.copied()))
}

/// Settings with which the method does what the case's code did, the case's own draws included.
pub(super) fn settings(case: &Case, official: &Official) -> Settings {
    let fixed = official
        .settings
        .iter()
        .map(|(key, choice)| ((*key).to_owned(), Setting::Text((*choice).to_owned())));
    let steps = case.selected.iter().map(|steps| {
        let steps = steps.iter().map(|&step| step as i64).collect();
        ("steps".to_owned(), Setting::Integers(steps))
    });
    Settings::new(fixed.chain(steps))
}

/// What to build: the model's published set-up with the sizes and the neuron of the case, in plain floating point.
pub(super) fn spec(case: &Case, entry: &ModelEntry, image: [usize; 3], classes: usize) -> Result<ModelSpec> {
    let mut spec = ModelSpec { image, classes, steps: case.steps, grid: None, ..(entry.published)() };
    (spec.dropout, spec.drop_path) = (rate(case, "dropout"), rate(case, "drop_path"));
    spec.neuron = neuron(case, spec.neuron)?;
    let sizes = &mut spec.sizes;
    match case.constructor.get("cfg") {
        Some(Value::Array(layers)) => (sizes.widths, sizes.pools) = plain_layers(case, layers)?,
        _ => sizes.widths = case.numbers(&["widths", "planes", "channels", "embed_dims"]),
    }
    sizes.blocks = case.numbers(&["layers", "num_blocks", "depths"]);
    sizes.kernel = case.number(&["kernel_size"]);
    sizes.heads = case.number(&["num_heads"]);
    if let Some(Value::String(stages)) = case.constructor.get("pooling_stat") {
        let pooled = stages.chars().enumerate().filter(|(_, flag)| *flag == '1');
        sizes.pools = Some(pooled.map(|(stage, _)| stage + 1).collect());
    }
    refuse_what_is_not_built(case)?;
    Ok(spec)
}

fn rate(case: &Case, name: &str) -> f64 {
    case.constructor.get(name).and_then(Value::as_f64).unwrap_or(0.0)
}

/// `[8, 12, "M", 16]`: channels of convolutions, and a pool after the second. Without letters the pools are the
/// model's own.
#[expect(clippy::type_complexity, reason = "the two lists of `Sizes`")]
fn plain_layers(case: &Case, layers: &[Value]) -> Result<(Option<Vec<usize>>, Option<Vec<usize>>)> {
    let (mut widths, mut pools) = (Vec::new(), Vec::new());
    for layer in layers {
        match layer {
            Value::Number(width) => widths.push(width.as_u64().unwrap_or(0) as usize),
            Value::String(_) => pools.push(widths.len()),
            other => {
                return Err(misunderstood(case, "constructor.cfg", "numbers and pools", &other.to_string()));
            }
        }
    }
    let has_letters = layers.iter().any(Value::is_string);
    Ok((Some(widths), has_letters.then_some(pools)))
}

/// Arguments that change what is computed and that no model here follows.
fn refuse_what_is_not_built(case: &Case) -> Result<()> {
    let only = [
        ("weight_standardization", Value::Bool(true)),
        ("grad_with_rate", Value::Bool(true)),
        ("light_classifier", Value::Bool(true)),
        ("fc_hw", Value::from(1)),
        ("alpha", Value::from(0.2)),
        ("mlp_ratios", Value::from(4)),
        ("sr_ratios", Value::from(1)),
        ("connect_f", Value::from("ADD")),
        ("spike_mode", Value::from("lif")),
    ];
    for (name, built) in only {
        match case.constructor.get(name) {
            Some(found) if *found != built => {
                let place = format!("constructor.{name}");
                return Err(misunderstood(case, &place, &built.to_string(), &found.to_string()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The neuron of a sentence such as `MultiStepLIFNode tau=1.5, input decay, ..., hard reset to 0, detached`.
fn neuron(case: &Case, own: Neuron) -> Result<Neuron> {
    let text = case.neuron.as_str();
    let class = text.split([':', ' ', '=', ',']).next().unwrap_or_default();
    let leak = |tau: f64| 1.0 - 1.0 / tau;
    let (decay, input_decay, reset) = match class {
        "OnlineLIFNode" => (leak(tau(case).unwrap_or(2.0)), InputDecay::Off, Reset::Soft),
        "SLTTNeuron" | "BPTTNeuron" => (leak(tau(case).unwrap_or(1.1)), InputDecay::Off, Reset::Soft),
        "MultiStepIFNode" => (1.0, InputDecay::Off, Reset::Hard),
        "MultiStepLIFNode" => {
            let tau = number_after(text, "tau=").or_else(|| tau(case)).unwrap_or(2.0);
            (leak(tau), InputDecay::On, Reset::Hard)
        }
        // It has no state, and the model knows its constants.
        "Quant" => return Ok(own),
        _ => {
            let rule =
                "OnlineLIFNode, SLTTNeuron, BPTTNeuron, MultiStepIFNode, MultiStepLIFNode or Quant first";
            return Err(misunderstood(case, "neuron", rule, text));
        }
    };
    let through = class == "SLTTNeuron" || text.contains("THROUGH");
    Ok(Neuron::Lif {
        decay,
        input_decay,
        threshold: number_after(text, "Vth ").unwrap_or(1.0),
        reset,
        reset_gradient: if through { ResetGradient::Through } else { ResetGradient::Detached },
        surrogate: surrogate(case)?,
        firing: Firing::At,
        smooth: false,
    })
}

fn tau(case: &Case) -> Option<f64> {
    case.constructor.get("tau").and_then(Value::as_f64)
}

fn surrogate(case: &Case) -> Result<Surrogate> {
    let text = case.surrogate.as_str();
    let alpha = number_after(text, "alpha=").or_else(|| number_after(text, "alpha "));
    match (text.split_whitespace().next().unwrap_or_default(), alpha) {
        ("sigmoid", Some(4.0)) => Ok(Surrogate::Sigmoid),
        ("PiecewiseQuadratic" | "triangle", Some(1.0)) => Ok(Surrogate::Triangle),
        ("arctan", Some(2.0)) => Ok(Surrogate::Arctan),
        ("rectangle", _) => Ok(Surrogate::Rectangle),
        _ => {
            let rule = "sigmoid alpha=4, PiecewiseQuadratic alpha=1, arctan alpha=2 or rectangle first";
            Err(misunderstood(case, "surrogate", rule, text))
        }
    }
}

/// The loss of a sentence such as `L_t = ((1-0.05)*CE(o_t,y) + 0.05*MSE(o_t,ones))/T`.
pub(super) fn loss(case: &Case) -> Result<Loss> {
    let text = case.loss.as_str();
    if text.contains("compound_loss_only_cls") {
        let smoothing = number_after(text, "CE_ls").unwrap_or(0.0);
        return Ok(Loss::DeepSupervision { smoothing, last: number_before(text, "*CE_ls").unwrap_or(1.0) });
    }
    if text.starts_with("TET_loss") {
        let smoothing = number_after(text, "LabelSmoothingCrossEntropy(").unwrap_or(0.0);
        let mse = number_after(text, "lamb=").unwrap_or(0.0);
        let target = MseTarget::Constant(number_after(text, "means=").unwrap_or(1.0));
        return Ok(Loss::PerStep { mse, target, smoothing });
    }
    if text.contains("CrossEntropy(mean_t") || text.contains("CrossEntropy(Linear(mean_t") {
        return Ok(Loss::MeanScores { smoothing: number_after(text, "smoothed one-hot: ").unwrap_or(0.0) });
    }
    if text.contains("CE(o_t,y)") || text.contains("CE(cat_t o_t") {
        let one_hot = text.contains("onehot");
        let target = if one_hot { MseTarget::OneHot } else { MseTarget::Constant(1.0) };
        let mse = number_before(text, "*MSE(").unwrap_or(0.0);
        return Ok(Loss::PerStep { mse, target, smoothing: 0.0 });
    }
    let rule = "a per-step CE with or without MSE, CE of mean_t, TET_loss or compound_loss_only_cls";
    Err(misunderstood(case, "loss", rule, text))
}

/// Learning rate and momentum of the updates inside the step: `SGD(lr 0.1, momentum 0.9, wd 0)`.
pub(super) fn updates(case: &Case) -> Result<(f64, f64)> {
    let notes = case.notes.join(" ");
    match (number_after(&notes, "SGD(lr "), number_after(&notes, "momentum ")) {
        (Some(rate), Some(momentum)) => Ok((rate, momentum)),
        _ => Err(misunderstood(
            case,
            "notes",
            "to say SGD(lr X, momentum X, wd X) where parameters move",
            &notes,
        )),
    }
}

/// The number right behind a word.
fn number_after(text: &str, word: &str) -> Option<f64> {
    let rest = &text[text.find(word)? + word.len()..];
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].trim_end_matches('.').parse().ok()
}

/// The number right before the last place of a word.
fn number_before(text: &str, word: &str) -> Option<f64> {
    let head = &text[..text.rfind(word)?];
    let start = head.rfind(|c: char| !c.is_ascii_digit() && c != '.').map_or(0, |at| at + 1);
    head[start..].parse().ok()
}

fn misunderstood(case: &Case, field: &str, rule: &str, found: &str) -> Error {
    Error::value(format!("case.json of {}: {field}", case.case), rule, format!("'{found}'"))
}

#[cfg(test)]
mod tests {
    use super::{number_after, number_before};

    #[test]
    fn numbers_stand_beside_words() {
        let text = "L_t = ((1-0.05)*CE(o_t,y) + 0.05*MSE(o_t,ones))/T";
        assert_eq!(number_before(text, "*MSE("), Some(0.05));
        assert_eq!(number_after("MultiStepLIFNode tau=1.5, input decay", "tau="), Some(1.5));
        assert_eq!(number_after("sum (t/4)*CE_ls0.1(o_t,y)", "CE_ls"), Some(0.1));
        assert_eq!(number_after("smoothed one-hot: 0.1/K off", "one-hot: "), Some(0.1));
        assert_eq!(number_after("no number", "tau="), None);
    }
}
