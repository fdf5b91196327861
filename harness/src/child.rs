//! A trial seen from outside: a process that is started, listened to, and always ends in a verdict.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use results::Status;
use serde::Serialize;

use crate::event::{Event, Measured};
use crate::interrupt::Interrupt;
use crate::meter;
use crate::quantity::mib;
use crate::sweep::{InferenceFound, PointFound, StepFound};

/// How often the clock and Ctrl-C are looked at while a trial is silent.
const TICK: Duration = Duration::from_millis(50);

/// How long an ended process's last lines are waited for: a grandchild may hold the pipe open for ever.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How the process of a trial or a point ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict<M = Measured> {
    /// Which kind of end.
    pub status: Status,
    /// Why, if it is not `ok`.
    pub note: String,
    /// What it measured, if it came to its end.
    pub measured: Option<M>,
}

impl<M> Verdict<M> {
    fn ended(status: Status, note: impl Into<String>) -> Self {
        Self { status, note: note.into(), measured: None }
    }
}

/// Lines of standard error that are kept: a process may complain for ever.
const COMPLAINTS: usize = 50;

/// What a process measures in the end.
pub trait Finding: Clone {
    /// The finding, where an event tells it.
    fn told_by(event: &Event) -> Option<Self>;

    /// Why a cell is empty.
    fn note(&self) -> String;
}

impl Finding for Measured {
    fn told_by(event: &Event) -> Option<Self> {
        match event {
            Event::Finished(measured) => Some((**measured).clone()),
            _ => None,
        }
    }

    fn note(&self) -> String {
        self.note.clone()
    }
}

impl Finding for PointFound {
    fn told_by(event: &Event) -> Option<Self> {
        match event {
            Event::Measured(found) => Some((**found).clone()),
            _ => None,
        }
    }

    fn note(&self) -> String {
        let (accelerator, energy) = match self {
            Self::Train(StepFound { accelerator, energy, .. }) => (accelerator, energy.as_ref()),
            Self::Infer(InferenceFound { accelerator, .. }) => (accelerator, None),
        };
        let parts = [accelerator.map(|held| held.told()), energy.map(|row| meter::told(row))];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

/// What is started, and what it may take.
#[derive(Clone, Copy, Debug)]
pub struct Started<'s> {
    /// The program that is started as `program trial`.
    pub program: &'s OsStr,
    /// Bytes of heap that its assignment lets it hold.
    pub memory_limit: Option<usize>,
}

/// Runs `program trial`, hands it the assignment, and passes its events to `listen`.
///
/// Never fails: whatever happens to the process is its verdict.
pub fn run<M: Finding>(
    started: &Started<'_>,
    assignment: &impl Serialize,
    timeout: Option<Duration>,
    interrupt: &Interrupt,
    mut listen: impl FnMut(&Event),
) -> Verdict<M> {
    let &Started { program, memory_limit } = started;
    let watch = Watch::begin(memory_limit);
    let began = watch.began;
    let spec = match serde_json::to_string(assignment) {
        Ok(spec) => spec,
        Err(error) => return Verdict::ended(Status::Failed, format!("cannot write the assignment: {error}")),
    };
    let mut child = match spawn(program) {
        Ok(child) => child,
        Err(error) => {
            let note = format!("cannot start {}: {error}", program.to_string_lossy());
            return Verdict::ended(Status::Crashed, note);
        }
    };
    let lines = lines_of(&mut child, spec);
    let mut talk = Talk::new();
    let stopped = loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => talk.hear(line, &mut listen),
            Err(RecvTimeoutError::Timeout) => {}
            // Both pipes are closed: it ends now, or closed them and goes on; the clock still runs.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TICK),
        }
        if interrupt.is_asked() {
            break Some(Verdict::ended(Status::Interrupted, format!("stopped by a person {}", after(began))));
        }
        if let Some(limit) = timeout.filter(|&limit| began.elapsed() >= limit) {
            let note = format!("longer than {} s (--timeout): stopped {}", limit.as_secs_f64(), talk.place());
            break Some(Verdict::ended(Status::TimedOut, note));
        }
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            break None;
        }
    };
    if let Some(verdict) = stopped {
        // An error means that it ended by itself a moment ago.
        let _ = child.kill();
        let _ = child.wait();
        return verdict;
    }
    let ended = Instant::now();
    while let Some(left) = LAST_WORDS.checked_sub(ended.elapsed()) {
        match lines.recv_timeout(left) {
            Ok(line) => talk.hear(line, &mut listen),
            Err(_) => break,
        }
    }
    match child.wait() {
        Ok(status) => talk.verdict(status, &watch),
        Err(error) => Verdict::ended(Status::Crashed, format!("lost sight of the process: {error}")),
    }
}

fn spawn(program: &OsStr) -> std::io::Result<Child> {
    let mut command = Command::new(program);
    command.arg("trial").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A backtrace would push the words that matter out of the row's note.
    command.env("RUST_BACKTRACE", "0");
    #[cfg(unix)]
    {
        // A group of its own: Ctrl-C in a terminal reaches the campaign alone, which then decides.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
    }
    command.spawn()
}

/// What is known about a trial before it starts, and needed to judge how it ended.
struct Watch {
    began: Instant,
    memory_limit: Option<usize>,
    memory_kills: Option<u64>,
}

impl Watch {
    fn begin(memory_limit: Option<usize>) -> Self {
        Self { began: Instant::now(), memory_limit, memory_kills: memory_kills() }
    }

    /// Whether the system killed any process for memory since then.
    fn memory_ran_out(&self) -> bool {
        memory_kills() > self.memory_kills
    }
}

/// Processes that the system has killed for memory since it started, where it counts them.
fn memory_kills() -> Option<u64> {
    let counters = std::fs::read_to_string("/proc/vmstat").ok()?;
    counters.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

enum Line {
    Out(String),
    Err(String),
}

/// Feeds standard input and collects both outputs, each on a thread of its own.
fn lines_of(child: &mut Child, spec: String) -> Receiver<Line> {
    let (sender, lines) = channel();
    if let Some(mut stdin) = child.stdin.take() {
        std::thread::spawn(move || {
            // A process that ends without reading is judged by how it ended.
            let _ = stdin.write_all(spec.as_bytes());
        });
    }
    if let Some(stdout) = child.stdout.take() {
        collect(stdout, sender.clone(), Line::Out);
    }
    if let Some(stderr) = child.stderr.take() {
        collect(stderr, sender, Line::Err);
    }
    lines
}

fn collect(pipe: impl Read + Send + 'static, sender: Sender<Line>, line: fn(String) -> Line) {
    std::thread::spawn(move || {
        for bytes in BufReader::new(pipe).split(b'\n') {
            let Ok(bytes) = bytes else { return };
            if sender.send(line(String::from_utf8_lossy(&bytes).into_owned())).is_err() {
                return;
            }
        }
    });
}

/// What the process has told so far.
struct Talk<M> {
    outcome: Option<Result<M, (Status, String)>>,
    place: Option<String>,
    complaints: VecDeque<String>,
    garbled: Option<String>,
}

impl<M: Finding> Talk<M> {
    fn new() -> Self {
        Self { outcome: None, place: None, complaints: VecDeque::new(), garbled: None }
    }

    fn hear(&mut self, line: Line, listen: &mut impl FnMut(&Event)) {
        let line = match line {
            Line::Err(line) => {
                let words = line.trim();
                if !words.is_empty() {
                    if self.complaints.len() == COMPLAINTS {
                        self.complaints.pop_front();
                    }
                    self.complaints.push_back(words.to_owned());
                }
                return;
            }
            Line::Out(line) => line,
        };
        let Ok(event) = serde_json::from_str::<Event>(&line) else {
            self.garbled.get_or_insert(line);
            return;
        };
        match &event {
            Event::Step { epoch, step, .. } => self.place = Some(format!("in epoch {epoch}, step {step}")),
            Event::Epoch { point, .. } => self.place = Some(format!("after epoch {}", point.epoch)),
            Event::Probe { steps } => self.place = Some(format!("while memory was probed at T = {steps}")),
            Event::Fidelity => self.place = Some("while gradients were compared".to_owned()),
            Event::Clock { step, of } => self.place = Some(format!("in timed step {step} of {of}")),
            Event::Finished(_) | Event::Measured(_) => {
                if let Some(found) = M::told_by(&event) {
                    self.outcome = Some(Ok(found));
                }
            }
            Event::Failed { status, note } => self.outcome = Some(Err((*status, note.clone()))),
        }
        listen(&event);
    }

    fn place(&self) -> &str {
        self.place.as_deref().unwrap_or("before the first step")
    }

    fn verdict(self, ended: ExitStatus, watch: &Watch) -> Verdict<M> {
        let (how, after) = (describe(ended), after(watch.began));
        let last = last_words(&self.complaints).map(|words| format!(": {words}")).unwrap_or_default();
        let place = self.place().to_owned();
        let refused = refused_allocation(&self.complaints).map(str::to_owned);
        match (self.outcome, refused) {
            (Some(Ok(measured)), _) => {
                Verdict { status: Status::Ok, note: measured.note(), measured: Some(measured) }
            }
            (Some(Err((status, note))), _) => Verdict::ended(status, note),
            (None, Some(words)) => {
                let limit =
                    watch.memory_limit.map(|bytes| format!(" (--memory-limit {})", mib(bytes as u64)));
                let note = format!("out of memory {place}: {words}{}", limit.unwrap_or_default());
                Verdict::ended(Status::OutOfMemory, note)
            }
            (None, None) if killed_from_outside(ended) && watch.memory_ran_out() => Verdict::ended(
                Status::OutOfMemory,
                format!("killed by the system {place}, {after}: the machine ran out of memory ({how})"),
            ),
            (None, None) if killed_from_outside(ended) => {
                Verdict::ended(Status::Crashed, format!("killed from outside {place}, {after} ({how})"))
            }
            (None, None) => {
                let garbled =
                    self.garbled.map(|line| format!("; it printed a line that is no event: {line}"));
                let note = format!("{how} {place}, {after}{last}{}", garbled.unwrap_or_default());
                Verdict::ended(Status::Crashed, note)
            }
        }
    }
}

fn after(began: Instant) -> String {
    format!("after {:.1} s", began.elapsed().as_secs_f64())
}

/// Rust's words about an allocation that failed.
pub(crate) fn refused_allocation(complaints: &VecDeque<String>) -> Option<&str> {
    let says = |line: &&String| line.contains("memory allocation of") && line.contains("failed");
    complaints.iter().find(says).map(String::as_str)
}

/// The last line that says something: hints about backtraces do not.
pub(crate) fn last_words(complaints: &VecDeque<String>) -> Option<&str> {
    let says = |line: &&String| !line.starts_with("note: ") && !line.starts_with("stack backtrace");
    complaints.iter().rev().find(says).map(String::as_str)
}

/// How a process ended that gave no result.
pub(crate) fn describe(ended: ExitStatus) -> String {
    match (signal(ended), ended.code()) {
        (Some(signal), _) => format!("ended by signal {signal}"),
        (None, Some(code)) => format!("ended with exit code {code} without a result"),
        (None, None) => "ended without a result".to_owned(),
    }
}

#[cfg(unix)]
fn signal(ended: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&ended)
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}

/// SIGKILL that this program did not send.
fn killed_from_outside(ended: ExitStatus) -> bool {
    signal(ended) == Some(9)
}

#[cfg(test)]
mod tests {
    use super::{Finding, last_words, refused_allocation};
    use crate::gauge::Accelerator;
    use crate::spread::Spread;
    use crate::sweep::{PointFound, StepFound};

    #[test]
    fn a_point_of_an_accelerator_tells_its_memory_and_energy_and_one_of_the_processor_nothing() {
        let found = StepFound {
            law_bytes: 1,
            whole_bytes: 2,
            most_bytes: Default::default(),
            at_peak_bytes: Default::default(),
            workspace_bytes: 0,
            heap_peak_bytes: None,
            accelerator: None,
            energy: None,
            planned_bytes: None,
            seconds: Spread::of(&[1.0]),
        };
        assert_eq!(PointFound::Train(found.clone()).note(), "");
        let energy = results::MeterRow { note: "no NVML library".to_owned(), ..Default::default() };
        let accelerator = Some(Accelerator { used: 1 << 20, reserved: 2 << 20, outside: 0 });
        let note =
            PointFound::Train(StepFound { accelerator, energy: Some(Box::new(energy)), ..found }).note();
        assert!(note.starts_with("device memory: 1.0 MiB in use at most"), "{note}");
        assert!(note.ends_with("; energy not measured: no NVML library"), "{note}");
    }

    #[test]
    fn the_last_words_are_not_a_hint() {
        let complaints =
            ["thread 'main' panicked at a.rs:1:", "index out of bounds", "note: run with `RUST_…`"];
        let complaints = complaints.map(String::from).into();
        assert_eq!(last_words(&complaints), Some("index out of bounds"));
        assert_eq!(refused_allocation(&complaints), None);
    }

    #[test]
    fn a_refused_allocation_is_quoted_whatever_follows_it() {
        let complaints = ["memory allocation of 64 bytes failed", "skipping backtrace printing"];
        let complaints = complaints.map(String::from).into();
        assert_eq!(refused_allocation(&complaints), Some("memory allocation of 64 bytes failed"));
    }
}
