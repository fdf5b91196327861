//! What training steps held and how long they took, in a process that does nothing else.

use std::rc::Rc;
use std::time::Instant;

use candle_core::Device;
use engine::drive;
use engine::ledger::{Bytes, Category, Phase};
use engine::method::Method;
use engine::pass::{Mode, Pass, Session};
use engine::tape::Tape;
use engine::unroll::{Rates, Statistics, Through, TimeGradient};
use kernels::heap;
use keys::Key;
use serde::{Deserialize, Serialize};

use crate::forecast::Forecast;
use crate::resident::Resident;
use crate::setup::{Learner, Setup};
use crate::spread::Spread;

/// What was measured of one method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Measurement {
    /// Bytes that the tape holds when forward ends; of a method that goes back after each time step, the most that it
    /// holds at the end of any of them.
    pub(crate) saved_after_forward: usize,
    /// The most of each category, wherever in a step it falls, in bytes.
    pub(crate) most: Bytes,
    /// The ledger's peak in bytes, put together as a forecast is.
    pub(crate) ledger_peak: usize,
    /// Peak of the heap in bytes; `None` where the heap is not counted.
    pub(crate) heap_peak: Option<usize>,
    /// The same above what was live before the first step.
    pub(crate) heap_growth: Option<usize>,
    /// Growth of the peak of resident memory from before the network was made, in bytes.
    pub(crate) resident_growth: Option<usize>,
    /// Median of the steps after the first one.
    pub(crate) step_seconds: Option<f64>,
    /// The fastest of them: other work on the machine only adds to it.
    pub(crate) fastest_step_seconds: Option<f64>,
    /// Spikes per neuron and step, in training mode, on the measured batch; `None` where nothing spikes.
    pub(crate) firing_rate: Option<f64>,
    /// Why a number is missing, or what is to be said about it.
    pub(crate) note: String,
}

impl Setup {
    /// Runs `train_steps` steps of a method, on the current pool.
    ///
    /// Nothing is sampled while a step runs: heap and resident memory have high-water marks, which are read once after
    /// the last step. The ledger's peaks are those of the steps after the first one, as a forecast's are.
    ///
    /// # Errors
    /// When the method can't train the network, or a step fails.
    pub(crate) fn measure(
        &self,
        method: &dyn Method,
        steps: usize,
        samples: usize,
        train_steps: usize,
    ) -> engine::Result<Measurement> {
        // All have started, so that none allocates beside a measurement.
        rayon::broadcast(|_| ());
        // Before the network: zeros that are made with it become resident when a step first writes to them, so that
        // from the first step on they would count in part.
        let resident = Resident::begin();
        let session = Session::new(Device::Cpu, self.dtype);
        let mut learner = self.learner(session, method, steps, samples)?;
        let ledger = Rc::clone(learner.trainer.session().ledger());
        heap::reset_peak();
        let before = heap::live_bytes();
        let mut seconds = Vec::with_capacity(train_steps);
        for step in 0..train_steps {
            if step == 1 {
                ledger.restart();
            }
            let began = Instant::now();
            learner.step()?;
            seconds.push(began.elapsed().as_secs_f64());
        }
        let heap_peak = heap::is_counting().then(heap::peak_bytes);
        let (resident_growth, note) = match resident.growth() {
            Ok((bytes, caveat)) => (Some(bytes), caveat.unwrap_or_default()),
            Err(reason) => (None, reason),
        };
        let timed = Spread::of(&seconds[1..]);
        // A method without time has no spikes.
        let spikes = method.steps(1) != method.steps(2);
        Ok(Measurement {
            saved_after_forward: ledger.peak(Phase::Forward).most[Category::Saved as usize],
            most: Category::ALL.map(|category| ledger.most(category)),
            ledger_peak: Forecast::of_ledger(&ledger).whole(),
            heap_peak,
            heap_growth: heap_peak.map(|peak| peak.saturating_sub(before)),
            resident_growth,
            step_seconds: timed.median,
            fastest_step_seconds: timed.min,
            firing_rate: if spikes { firing_rate(&learner, steps)? } else { None },
            note,
        })
    }
}

/// Spikes per neuron and step in a forward pass as training takes it; running statistics stay as they are.
fn firing_rate(learner: &Learner, steps: usize) -> engine::Result<Option<f64>> {
    let network = learner.trainer.network();
    let session = network.params.session();
    let (tape, mut statistics) = (Tape::off(), Statistics::default());
    let key = Key::new(1).fork("rate");
    let pass = Pass::new(session, &network.params, &tape, Mode::Train, steps, key);
    let mut through = Through::new(&mut statistics, TimeGradient::Kept);
    let mut rates = Rates::of(&mut through);
    drive::all_steps(&pass, &mut rates, &network.wiring, &learner.batch.images)?;
    let (spikes, neuron_steps) = (rates.spikes(), rates.neuron_steps());
    Ok((neuron_steps > 0).then(|| spikes as f64 / neuron_steps as f64))
}
