//! Which gradients flow back in time.

use std::collections::BTreeSet;
use std::rc::Rc;

use engine::Result;
use engine::error::Error;
use engine::method::Settings;
use engine::model::Network;
use engine::neuron::ResetGradient;
use engine::site::Role;
use engine::unroll::{Statistics, Through, TimeGradient};

/// Backpropagation through time with its choices.
#[derive(Clone, Debug)]
pub(crate) struct Stbp {
    time_gradient: TimeGradient,
    /// In place of the neurons' own.
    reset_gradient: Option<ResetGradient>,
}

const KIND: &str = "temporal-gradient";
const SITES: &str = "temporal-gradient-sites";
const RESET: &str = "reset-gradient";

#[derive(Clone, Copy)]
enum Kind {
    All,
    None,
    Only,
    Except,
}

impl Stbp {
    /// Reads `temporal-gradient`, `temporal-gradient-sites` and `reset-gradient`.
    pub(crate) fn read(settings: &Settings) -> Result<Self> {
        settings.only("stbp", &[KIND, SITES, RESET])?;
        let kinds =
            [("all", Kind::All), ("none", Kind::None), ("only", Kind::Only), ("except", Kind::Except)];
        let kind = settings.choice(KIND, &kinds)?.unwrap_or(Kind::All);
        let sites: Rc<BTreeSet<String>> = Rc::new(settings.texts(SITES)?.into_iter().collect());
        let time_gradient = match kind {
            Kind::All | Kind::None if !sites.is_empty() => {
                let rule = format!("absent unless {KIND} is \"only\" or \"except\"");
                return Err(Error::setting(format!("method.{SITES}"), rule, format!("{sites:?}")));
            }
            Kind::Only | Kind::Except if sites.is_empty() => {
                let rule = format!("a list of sites where {KIND} is \"only\" or \"except\"");
                return Err(Error::setting(format!("method.{SITES}"), rule, "nothing"));
            }
            Kind::All => TimeGradient::Kept,
            Kind::None => TimeGradient::Cut,
            Kind::Only => TimeGradient::Only(sites),
            Kind::Except => TimeGradient::Except(sites),
        };
        let rules = [("detached", ResetGradient::Detached), ("through", ResetGradient::Through)];
        Ok(Self { time_gradient, reset_gradient: settings.choice(RESET, &rules)? })
    }

    /// An unroll at the beginning of time.
    pub(crate) fn unroll<'s>(&self, statistics: &'s mut Statistics) -> Through<'s> {
        Through::new(statistics, self.time_gradient.clone()).with_reset_gradient(self.reset_gradient)
    }

    /// A site that is named and that the network lacks.
    pub(crate) fn unknown_site(&self, network: &Network) -> Option<&str> {
        let (TimeGradient::Only(named) | TimeGradient::Except(named)) = &self.time_gradient else {
            return None;
        };
        let known = |name: &str| {
            let mut sites = network.sites.iter();
            sites.any(|site| matches!(site.role(), Role::Neuron | Role::Carry) && site.name() == name)
        };
        named.iter().map(String::as_str).find(|name| !known(name))
    }
}
