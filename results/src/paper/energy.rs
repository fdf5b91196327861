//! Energy of one inference beside a published one: from networks that were trained in the same records, or not at all.
//!
//! Initial weights on noise fire at rates that say nothing of a trained network. Then only counts are told, and the firing
//! rate `r`, the same factor on every layer, at which the published number would hold:
//!
//! ```text
//! E(r) = 4.6 pJ MACs + 0.9 pJ r ACs(1)          ACs(1) = ACs / rate, both measured
//! value:  r = (E - 4.6 pJ MACs) / (0.9 pJ ACs(1))
//! ratio:  E_of(r) = ratio E_to(r)
//! ```

use super::line::Finding;
use super::value::{Commands, Counterpart};
use super::verdict::{Measured, Verdict};
use crate::counts::{Counts, firing_rate};
use crate::energy::{self, products_pj};
use crate::published::{PaperValue, Ratio, Side};
use crate::quantity::{percent, three_digits};
use crate::read::Records;
use crate::record::{InferenceRow, Status, Trial};

/// Picojoules in a millijoule.
const PJ_PER_MJ: f64 = 1e9;

/// The papers' convention, in the list of energy models.
const CONVENTION: &str = "sop45-fp32-papers";

/// Energy of a trained network, with the trial that it is of.
struct Trained<'r> {
    trial: &'r Trial,
    millijoules: f64,
    rate: Option<f64>,
}

/// What one image costs a network that was not trained.
struct Untrained {
    /// pJ that no firing rate changes.
    fixed: f64,
    /// pJ at a firing rate of 1, beside them.
    at_one: f64,
    words: String,
}

/// Energy of a row beside its published value, if there is one.
pub(super) fn find(
    records: &Records,
    value: Option<&PaperValue>,
    own: &Counterpart<'_>,
    commands: &Commands,
) -> Finding {
    let fits =
        |trial: &Trial| trial.method == own.method && trial.model == own.model && own.is_at(trial.steps_t);
    if let Some(found) = trained(records, fits) {
        let mut reasons = Vec::new();
        if found.trial.stand_in != Some(false) {
            reasons.push(format!("trained on {}, {}", found.trial.dataset, found.stands()));
        } else if found.trial.dataset != own.row.dataset {
            reasons.push(format!("trained on {}, published on {}", found.trial.dataset, own.row.dataset));
        }
        return Finding {
            measured: Some(Measured { value: found.millijoules, interval: None }),
            spread: format!("computed by {CONVENTION}"),
            how: found.words(),
            obstacle: (!reasons.is_empty()).then(|| Verdict::NotComparable(reasons.join("; "))),
        };
    }
    let point = records.inference.iter().find(|row| {
        row.model == own.model && own.is_at(row.steps_t) && own.is_of(&row.image, row.classes, row.width)
    });
    let Some(counts) = point.and_then(Untrained::of) else {
        let no_suite = if commands.inference.is_none() { ", and no suite sends one" } else { "" };
        let missing = format!("no image went through {}{no_suite}", own.model);
        return Finding::missing(missing, commands.inference.clone());
    };
    let holds = value.map(|value| {
        let (published, rate) = (&value.value.text, counts.rate_of(value.value.value));
        match told(rate) {
            Some(rate) => format!("{published} mJ would hold at a firing rate of {rate}"),
            None if rate <= 0.0 => {
                let alone = three_digits(counts.fixed / PJ_PER_MJ);
                format!("counted strictly, multiply-accumulates alone cost {alone} mJ, more than the {published} published")
            }
            None => format!("{published} mJ would hold at no firing rate"),
        }
    });
    untrained(counts.words, holds)
}

/// The ratio of two networks' energies beside the published one; `command` makes the command that measures a side.
pub(super) fn find_ratio(records: &Records, ratio: &Ratio, command: impl Fn(&Side) -> String) -> Finding {
    let of_side = |side: &Side| {
        let (model, steps) = (ratio.model_of(side), ratio.steps_of(side));
        trained(records, |trial| {
            trial.method == side.method && trial.model == model && trial.steps_t == steps
        })
    };
    if let Some((of, to)) = of_side(&ratio.of).zip(of_side(&ratio.to)) {
        let same = (&of.trial.dataset, of.trial.stand_in) == (&to.trial.dataset, to.trial.stand_in);
        let obstacle = match (same, of.trial.stand_in) {
            (false, _) => Some(format!("trained on {} and on {}", of.trial.dataset, to.trial.dataset)),
            (_, Some(false)) => None,
            _ => Some(format!("trained on {}, {}", of.trial.dataset, of.stands())),
        };
        return Finding {
            measured: Some(Measured { value: of.millijoules / to.millijoules, interval: None }),
            spread: format!("computed by {CONVENTION}"),
            how: format!("{} / {}", of.words(), to.words()),
            obstacle: obstacle.map(Verdict::NotComparable),
        };
    }
    let counts = |side: &Side| {
        let (model, steps) = (ratio.model_of(side), ratio.steps_of(side));
        let fits = |row: &&InferenceRow| {
            row.model == model && row.steps_t == steps && row.image == ratio.image && row.width == 1.0
        };
        records.inference.iter().filter(fits).find_map(Untrained::of)
    };
    let (of, to) = match (counts(&ratio.of), counts(&ratio.to)) {
        (Some(of), Some(to)) => (of, to),
        (None, _) => return no_image(ratio, &ratio.of, command),
        (_, None) => return no_image(ratio, &ratio.to, command),
    };
    let rate = (ratio.ratio.value * to.fixed - of.fixed) / (of.at_one - ratio.ratio.value * to.at_one);
    let holds = match told(rate) {
        Some(rate) => format!("{}× would hold at a firing rate of {rate} in both", ratio.ratio.text),
        None => {
            format!("counted strictly, {}× would hold at no firing rate that both share", ratio.ratio.text)
        }
    };
    untrained(format!("{} / {}", of.words, to.words), Some(holds))
}

fn no_image(ratio: &Ratio, side: &Side, command: impl Fn(&Side) -> String) -> Finding {
    Finding::missing(format!("no image went through {}", ratio.model_of(side)), Some(command(side)))
}

fn untrained(how: String, holds: Option<String>) -> Finding {
    let obstacle = Some(Verdict::Untrained(holds));
    Finding { measured: None, spread: String::new(), how, obstacle }
}

/// A firing rate, where it is one.
fn told(rate: f64) -> Option<String> {
    (rate > 0.0 && rate <= 1.0).then(|| format!("{} %", three_digits(100.0 * rate)))
}

/// The trained network that fits, with its energy; of several the one that was trained longest.
fn trained(records: &Records, fits: impl Fn(&Trial) -> bool) -> Option<Trained<'_>> {
    let counts = Counts::of(records);
    let model = energy::find(CONVENTION)?;
    let trials =
        records.trials.iter().filter(|trial| trial.status == Status::Ok && trial.epochs > 0 && fits(trial));
    let counted = trials.filter_map(|trial| {
        let rows = energy::evaluation(counts.rows(trial))?;
        let millijoules = model.energy(&rows).ok()? / PJ_PER_MJ;
        Some(Trained { trial, millijoules, rate: firing_rate(&rows) })
    });
    counted.max_by_key(|found| (found.trial.stand_in == Some(false), found.trial.epochs))
}

impl Trained<'_> {
    /// What is wrong with the data set.
    fn stands(&self) -> &'static str {
        match self.trial.stand_in {
            Some(_) => "which stands for another set",
            None => "which may stand for another set",
        }
    }

    fn words(&self) -> String {
        let Trial { method, model, dataset, .. } = self.trial;
        let mark = match self.trial.stand_in {
            Some(true) => ", a stand-in",
            Some(false) => "",
            None => ", perhaps a stand-in",
        };
        let accuracy =
            self.trial.top1_last.map_or("not known".to_owned(), |top1| format!("{} %", percent(top1)));
        let rate = self.rate.map_or(String::new(), |rate| format!(", rate {} %", percent(rate)));
        format!(
            "{method} on {model}, {dataset}{mark}: top-1 {accuracy}{rate}, {} mJ",
            three_digits(self.millijoules)
        )
    }
}

impl Untrained {
    /// The firing rate at which an image costs so many mJ; no rate where it is not in (0, 1].
    fn rate_of(&self, millijoules: f64) -> f64 {
        (millijoules * PJ_PER_MJ - self.fixed) / self.at_one
    }

    fn of(row: &InferenceRow) -> Option<Untrained> {
        let rate = row.firing_rate.filter(|rate| *rate > 0.0)?;
        let (macs, acs_at_one) = (row.macs_per_sample?, row.acs_per_sample? / rate);
        Some(Untrained {
            fixed: products_pj(macs, 0.0),
            at_one: products_pj(0.0, acs_at_one),
            words: format!(
                "{}: {} G MACs, {} G ACs at a firing rate of 1",
                row.model,
                three_digits(macs / 1e9),
                three_digits(acs_at_one / 1e9)
            ),
        })
    }
}
