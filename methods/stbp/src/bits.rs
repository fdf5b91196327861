//! Spikes kept as bits, everything else computed again from them.
//!
//! Between two layers of neurons there are only currents, and currents are functions of spikes: of a site, one bit a
//! neuron and step is kept, and its current is computed again when backward reaches it, by the same kernel from the
//! same bits. Sums of residual networks are computed again from the sums before them, down to one that was kept.
//! Neurons never fire again, so that a value is rebuilt alone, without the rest of its segment.
//!
//! Where memory allows it, values are kept all the same, those first that cost the most work a byte.

use std::collections::BTreeSet;

use engine::Result;
use engine::method::{Method, RunSpec, Trainer, Unsupported};
use engine::model::Network;
use engine::region::Regions;
use engine::rehearsal::{Foreseen, Rehearsal};
use engine::saved::Recompute;

use crate::sparing::{SparingTrainer, too_tight, unroll};

/// Backpropagation through time that keeps spikes.
pub(crate) struct Bits;

impl Method for Bits {
    fn supports(&self, _network: &Network, _run: &RunSpec) -> Result<(), Unsupported> {
        Ok(())
    }

    fn trainer(&self, network: Network, run: RunSpec) -> Result<Box<dyn Trainer>> {
        Ok(Box::new(SparingTrainer::new(network, run, choose)))
    }
}

/// Places that are tried one by one, once those that fit together are found.
const SINGLES: usize = 24;

fn choose(rehearsal: &mut Rehearsal, budget: Option<usize>) -> Result<Regions> {
    let leanest = foresee(rehearsal, &BTreeSet::new())?;
    if let Some(budget) = budget.filter(|&budget| leanest.bytes > budget) {
        return Err(too_tight("stbp-bits", leanest.bytes, budget));
    }
    // Without a budget nothing may grow; what is kept beside is free.
    let fits_in = |seen: &Foreseen| match budget {
        Some(budget) => seen.bytes <= budget,
        None => seen.bytes <= leanest.bytes && seen.saved <= leanest.saved,
    };
    let places = by_worth(&leanest);
    // As many of the worthiest as fit: more of them never hold less.
    let (mut fits, mut exceeds) = (0, places.len() + 1);
    while exceeds - fits > 1 {
        let middle = fits + (exceeds - fits) / 2;
        let kept = places[..middle].iter().cloned().collect();
        if fits_in(&foresee(rehearsal, &kept)?) { fits = middle } else { exceeds = middle }
    }
    let mut kept: BTreeSet<String> = places[..fits].iter().cloned().collect();
    for place in places[fits..].iter().skip(1).take(SINGLES) {
        let mut more = kept.clone();
        more.insert(place.clone());
        if fits_in(&foresee(rehearsal, &more)?) {
            kept = more;
        }
    }
    Ok(regions(&kept))
}

fn regions(kept: &BTreeSet<String>) -> Regions {
    Regions { recompute: Some(Recompute { kept: kept.clone() }), ..Regions::default() }
}

fn foresee(rehearsal: &mut Rehearsal, kept: &BTreeSet<String>) -> Result<Foreseen> {
    rehearsal.step(&regions(kept), unroll)
}

/// Places by the work that keeping a byte of them saves, the most first; of equals, in the order of their names.
fn by_worth(foreseen: &Foreseen) -> Vec<String> {
    let mut places: Vec<_> = foreseen
        .spared
        .iter()
        .filter(|(place, spared)| !place.is_empty() && spared.bytes > 0 && spared.macs > 0)
        .map(|(place, spared)| (place, spared.macs as f64 / spared.bytes as f64))
        .collect();
    places.sort_by(|a, b| b.1.total_cmp(&a.1));
    places.into_iter().map(|(place, _)| place.clone()).collect()
}
