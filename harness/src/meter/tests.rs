use std::collections::VecDeque;
use std::sync::Mutex;

use super::count::Counter;
use super::*;

/// A meter that tells a list of readings, one after another, and then fails.
struct Scripted {
    readings: Mutex<VecDeque<Result<Reading, String>>>,
    between_readings: Duration,
}

impl Scripted {
    fn of(
        readings: impl IntoIterator<Item = Result<Reading, String>>,
        between_readings: Duration,
    ) -> Box<dyn Source> {
        Box::new(Self { readings: Mutex::new(readings.into_iter().collect()), between_readings })
    }
}

impl Source for Scripted {
    fn id(&self) -> &'static str {
        "scripted"
    }

    fn read(&self) -> Result<Reading, String> {
        self.readings.lock().unwrap().pop_front().unwrap_or_else(|| Err("nothing left to tell".to_owned()))
    }

    fn pace(&self) -> Pace {
        Pace {
            settling: Duration::ZERO,
            rest: Duration::from_millis(1),
            between_readings: self.between_readings,
            shortest: Duration::from_millis(10),
        }
    }
}

const NEVER: Duration = Duration::from_secs(3600);

fn counted(microjoules: u64) -> Result<Reading, String> {
    Ok(Reading::Counted(vec![Counter { microjoules, range: Some(1_000_000_000) }]))
}

#[test]
fn what_is_taken_at_rest_is_told_beside_and_taken_off_by_the_reader() {
    let readings = [counted(0), counted(0), counted(1_000_000), counted(7_500_000), counted(7_500_000)];
    let mut meter = Meter::resting("scripted", Ok(Scripted::of(readings, NEVER)));
    assert_eq!(meter.idle_watts, Some(0.0));
    let (done, span) = meter.watch(|| "done");
    assert_eq!((done, &span.joules), ("done", &Ok(6.5)));
    // To the digit: a span of a known length at a known power at rest.
    meter.idle_watts = Some(2.0);
    let row = meter.row("training", &[Span { seconds: 1.25, ..span }], 8);
    assert_eq!((row.meter.as_str(), row.doing.as_str(), row.note.as_str()), ("scripted", "training", ""));
    assert_eq!((row.joules, row.seconds, row.samples), (Some(6.5), 1.25, 8));
    assert_eq!(row.joules_per_sample(), Ok((6.5 - 2.0 * 1.25) / 8.0));
}

#[test]
fn spans_are_added() {
    let source = Scripted::of([counted(0), counted(0)], NEVER);
    let meter = Meter::resting("scripted", Ok(source));
    let span = |seconds, joules| Span { seconds, joules: Ok(joules) };
    let row = meter.row("evaluation", &[span(1.0, 3.0), span(0.5, 0.25)], 1);
    assert_eq!((row.joules, row.seconds), (Some(3.25), 1.5));
}

#[test]
fn power_is_read_while_the_work_runs() {
    let readings = std::iter::repeat_n(Ok(Reading::Power(40.0)), 10_000);
    let meter = Meter::resting("scripted", Ok(Scripted::of(readings, Duration::from_millis(1))));
    let (_, span) = meter.watch(|| std::thread::sleep(Duration::from_millis(30)));
    assert!(span.seconds >= 0.03, "{}", span.seconds);
    let watts = [span.joules.unwrap() / span.seconds, meter.idle_watts.unwrap()];
    assert!(watts.iter().all(|watts| (watts - 40.0).abs() < 1e-9), "{watts:?}");
}

#[test]
fn a_reading_that_fails_is_a_reason_and_no_number() {
    let meter = Meter::resting("scripted", Ok(Scripted::of([counted(0), counted(9), counted(20)], NEVER)));
    let row = meter.row("training", &[meter.watch(|| ()).1], 1);
    assert_eq!((row.joules, row.note.as_str()), (None, "nothing left to tell"));
    assert_eq!(row.joules_per_sample(), Err("nothing left to tell".to_owned()));
}

#[test]
fn a_rest_that_could_not_be_read_leaves_no_number_of_a_sample() {
    let readings = [counted(0), Err("busy".to_owned()), counted(0), counted(5_000_000)];
    let meter = Meter::resting("scripted", Ok(Scripted::of(readings, NEVER)));
    let row = meter.row("training", &[meter.watch(|| ()).1], 1);
    assert_eq!((row.joules, row.idle_watts), (Some(5.0), None));
    assert_eq!(row.joules_per_sample(), Err("the power at rest could not be read".to_owned()));
}

#[test]
fn without_a_meter_the_work_is_done_and_the_reason_told() {
    let meter = Meter::resting("nvml-energy", Err("no NVML library".to_owned()));
    let (done, span) = meter.watch(|| 7);
    let row = meter.row("training", &[span], 1);
    assert_eq!((done, row.joules, row.idle_watts, row.note.as_str()), (7, None, None, "no NVML library"));
    assert_eq!(row.meter, "nvml-energy");
    assert_eq!(meter.row("evaluation", &[], 0).joules, None);
}

#[test]
fn work_that_panics_ends_the_reader_too() {
    let meter = Meter::resting("scripted", Ok(Scripted::of([counted(0), counted(0), counted(0)], NEVER)));
    let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| meter.watch(|| panic!("broken"))));
    assert!(broken.is_err());
}

#[test]
fn a_row_in_words_has_the_energy_of_a_sample_or_the_reason() {
    let row = MeterRow {
        meter: "nvml-energy".to_owned(),
        samples: 64,
        seconds: 2.5,
        joules: Some(600.0),
        idle_watts: Some(80.0),
        ..MeterRow::default()
    };
    let words = "energy of a sample: 6.2500 J above 80.0 W at rest (nvml-energy, 64 samples in 2.5 s)";
    assert_eq!(told(&row), words);
    let row = MeterRow { joules: None, note: "no NVML library".to_owned(), ..row };
    assert_eq!(told(&row), "energy not measured: no NVML library");
}
