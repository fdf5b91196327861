//! Running statistics of norms, by site.

use candle_core::Tensor;
use kernels::norm::Moments;

use crate::error::Result;
use crate::ledger::Category;
use crate::pass::Session;
use crate::site::Site;
use crate::value::Value;

/// The running mean and variance of every norm that was met.
#[derive(Debug, Default)]
pub struct Statistics {
    entries: Vec<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    mean: Value,
    var: Value,
    updates: u64,
}

impl Statistics {
    /// Moves the running statistics of a site by the moments of a batch, once a group and `repeats` times in all:
    /// `running = (1 - momentum) * running + momentum * batch`, with the unbiased variance.
    pub(crate) fn update(
        &mut self,
        session: &Session,
        site: &Site,
        moments: &Moments,
        (groups, repeats): (usize, usize),
        count: usize,
        momentum: f64,
    ) -> Result<()> {
        let channels = moments.mean.dim(1)?;
        let running = self.at(session, site, channels)?;
        for update in 0..groups.max(repeats) {
            let group = update.min(groups - 1);
            let (mean, var) = (running.mean.tensor()?, running.var.tensor()?);
            kernels::norm::update_running(mean, var, moments, group, count, momentum)?;
            running.updates += 1;
        }
        Ok(())
    }

    /// Puts running statistics in their place.
    ///
    /// # Errors
    /// When a tensor does not have the site's channels.
    pub fn assign(&mut self, session: &Session, site: &Site, mean: &Tensor, variance: &Tensor) -> Result<()> {
        let running = self.at(session, site, mean.elem_count())?;
        for (into, from) in [(&running.mean, mean), (&running.var, variance)] {
            let from = from.to_dtype(session.real())?.to_device(session.device())?.contiguous()?;
            kernels::elementwise::copy(into.tensor()?, &from)?;
        }
        Ok(())
    }

    /// Makes room for a norm's statistics, in a plan as in a run.
    pub(crate) fn meet(&mut self, session: &Session, site: &Site, channels: usize) -> Result<()> {
        self.at(session, site, channels).map(|_| ())
    }

    /// The running statistics of a site as moments of one group.
    pub(crate) fn moments(&mut self, session: &Session, site: &Site, channels: usize) -> Result<Moments> {
        let running = self.at(session, site, channels)?;
        Ok(Moments {
            mean: running.mean.tensor()?.reshape((1, channels))?,
            var: running.var.tensor()?.reshape((1, channels))?,
        })
    }

    /// `(site index, mean [C], variance [C], number of updates)` of every norm that was met, in building order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Value, &Value, u64)> {
        self.entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| entry.as_ref().map(|r| (index, &r.mean, &r.var, r.updates)))
    }

    fn at(&mut self, session: &Session, site: &Site, channels: usize) -> Result<&mut Running> {
        if self.entries.len() <= site.index() {
            self.entries.resize_with(site.index() + 1, || None);
        }
        let entry = &mut self.entries[site.index()];
        if entry.is_none() {
            *entry = Some(Running {
                mean: session.zeros(Category::Parameters, &[channels])?,
                var: session.dense(Category::Parameters, &[channels], || {
                    Ok(Tensor::ones(channels, session.real(), session.device())?)
                })?,
                updates: 0,
            });
        }
        entry.as_mut().ok_or_else(|| crate::error::Error::Misuse("running statistics vanished".into()))
    }
}
