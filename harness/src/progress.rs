//! How a campaign looks while it runs: bars on a terminal, plain lines elsewhere; always on standard error.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::event::Event;
use crate::quantity::{duration, mib};

/// The display of a campaign.
pub(crate) struct Progress {
    bars: Option<Bars>,
    /// What is counted: trials or points.
    noun: &'static str,
    total: usize,
    done: usize,
    began: Instant,
    work: Work,
    job: Option<Job>,
}

struct Bars {
    screen: MultiProgress,
    overall: ProgressBar,
    trial: ProgressBar,
}

/// Work in the unit of [`Job::work`].
#[derive(Default)]
struct Work {
    total: f64,
    finished: f64,
    running: f64,
}

/// A trial or a point that runs.
#[derive(Clone)]
pub(crate) struct Job {
    /// Its key in records.
    pub(crate) key: String,
    /// A rough measure of how long it takes.
    pub(crate) work: f64,
    /// Passes over the training set; 0 where nothing is learned.
    pub(crate) epochs: usize,
    /// Batches of a pass.
    pub(crate) batches: usize,
}

impl Progress {
    /// The display of a campaign of so many trials or points, of which some still have to run, with so much work.
    #[must_use]
    pub(crate) fn new(noun: &'static str, total: usize, todo: usize, work: f64) -> Self {
        // A terminal that can't move its cursor (TERM=dumb) gets lines, as a file does.
        let bars = std::io::stderr().is_terminal().then(Bars::new).filter(|bars| !bars.screen.is_hidden());
        let (done, work) = (total - todo, Work { total: work, ..Work::default() });
        let progress = Self { bars, noun, total, done, began: Instant::now(), work, job: None };
        progress.draw();
        progress
    }

    /// A line above the bars.
    pub(crate) fn say(&self, line: &str) {
        match &self.bars {
            // Nobody reads standard error any more: nothing is lost that is not on file.
            Some(bars) => drop(bars.screen.println(line)),
            None => drop(writeln!(std::io::stderr(), "{line}")),
        }
    }

    /// A trial or point starts.
    pub(crate) fn start(&mut self, job: Job) {
        if let Some(bars) = &self.bars {
            bars.trial.set_length((job.epochs * job.batches) as u64);
            bars.trial.set_position(0);
            bars.trial.set_prefix(job.key.clone());
            bars.trial.set_message("starting");
        }
        self.job = Some(job);
        self.draw();
    }

    /// The running trial told something.
    pub(crate) fn hear(&mut self, event: &Event) {
        let Some(Job { key, work, epochs, batches }) = self.job.clone() else { return };
        match event {
            Event::Step { epoch, step, loss, samples_per_second, peak_bytes } => {
                let steps = (epoch - 1) * batches + step;
                self.work.running = work * steps as f64 / (epochs * batches).max(1) as f64;
                if let Some(bars) = &self.bars {
                    bars.trial.set_position(steps as u64);
                    bars.trial.set_message(format!(
                        "epoch {epoch}/{epochs}  step {step}/{}  loss {loss:.3}  {samples_per_second:.0} samples/s  peak {}",
                        batches,
                        mib(*peak_bytes as u64)
                    ));
                }
            }
            Event::Epoch { point, samples_per_second, peak_bytes } => {
                let (test, peak) = (percent(point.test_top1), mib(*peak_bytes as u64));
                let line = match point.train_loss {
                    Some(loss) => format!(
                        "epoch {}/{epochs}  loss {loss:.3}  test {test}  {samples_per_second:.0} samples/s  peak {peak}",
                        point.epoch
                    ),
                    None => format!("evaluated  test {test}  peak {peak}"),
                };
                self.work.running = work * f64::from(point.epoch) / epochs.max(1) as f64;
                match &self.bars {
                    Some(bars) => bars.trial.set_message(line),
                    None => self.say(&format!("  {key}  {line}{}", self.eta_suffix())),
                }
            }
            Event::Probe { steps } => {
                if let Some(bars) = &self.bars {
                    bars.trial.set_message(format!("memory of a step at T = {steps}"));
                }
            }
            Event::Fidelity => {
                if let Some(bars) = &self.bars {
                    bars.trial.set_message("gradient beside the exact one");
                }
            }
            Event::Clock { step, of } => {
                if let Some(bars) = &self.bars {
                    bars.trial.set_length(*of as u64);
                    bars.trial.set_position(*step as u64);
                    bars.trial.set_message(format!("timed step {step} of {of}"));
                }
            }
            Event::Finished(_) | Event::Measured(_) | Event::Failed { .. } => {}
        }
        self.draw();
    }

    /// A trial or point with so much work ended; `line` is its result.
    pub(crate) fn finish(&mut self, work: f64, line: &str) {
        self.done += 1;
        self.work.running = 0.0;
        self.work.finished += work;
        self.job = None;
        let place = format!("[{:>width$}/{}]", self.done, self.total, width = self.total.to_string().len());
        self.say(&format!("{place} {line}"));
        self.draw();
    }

    /// Takes the bars off the screen.
    pub(crate) fn close(&self) {
        if let Some(bars) = &self.bars {
            bars.trial.finish_and_clear();
            bars.overall.finish_and_clear();
        }
    }

    /// Seconds that are left, by the work that is done; `None` before any is.
    fn eta(&self) -> Option<f64> {
        let done = self.work.finished + self.work.running;
        let left = (self.work.total - done).max(0.0);
        (done > 0.0).then(|| self.began.elapsed().as_secs_f64() * left / done)
    }

    fn eta_suffix(&self) -> String {
        self.eta().map(|left| format!("  ETA {}", duration(left))).unwrap_or_default()
    }

    fn draw(&self) {
        let Some(bars) = &self.bars else { return };
        bars.overall.set_length((self.work.total.max(1.0)) as u64);
        bars.overall.set_position((self.work.finished + self.work.running) as u64);
        bars.overall.set_message(format!(
            "{}/{} {}  {} gone{}",
            self.done,
            self.total,
            self.noun,
            duration(self.began.elapsed().as_secs_f64()),
            self.eta_suffix()
        ));
    }
}

impl Bars {
    fn new() -> Self {
        let screen = MultiProgress::new();
        let style = |template: &str| {
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            style.progress_chars("━╸─")
        };
        let trial = screen.add(ProgressBar::new(1).with_style(style("{bar:24} {prefix}\n  {wide_msg}")));
        let overall = screen.add(ProgressBar::new(1).with_style(style("{bar:24} {wide_msg}")));
        overall.enable_steady_tick(Duration::from_millis(500));
        Self { screen, overall, trial }
    }
}

/// A fraction as a percentage, a dash where there is none.
pub(crate) fn percent(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| "–".to_owned(), |fraction| format!("{:.1} %", 100.0 * fraction))
}
