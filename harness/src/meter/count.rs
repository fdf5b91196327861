//! Energy from readings, one after another: sums of what counters counted, or the integral of power over time.

/// What a meter tells at a moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reading {
    /// Energy since some time in the past, by each of its counters.
    Counted(Vec<Counter>),
    /// Power at that moment, in watts.
    #[cfg_attr(not(feature = "nvml"), allow(dead_code, reason = "the processor counts energy"))]
    Power(f64),
}

/// A counter of energy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counter {
    /// Energy since it began.
    pub(super) microjoules: u64,
    /// Where it begins at 0 again; `None` for one that never does.
    pub(super) range: Option<u64>,
}

/// What was taken since the first reading.
#[derive(Clone, Debug, Default)]
pub(super) struct Count {
    began: f64,
    last: Option<(f64, Reading)>,
    /// Of counters.
    microjoules: u64,
    /// Of power: the integral of the line through all readings, in joules.
    integral: f64,
}

impl Count {
    /// Takes the next reading, `seconds` after some beginning. A counter may have begun anew once since the last one.
    ///
    /// # Errors
    /// When a counter went back that never begins anew, or the reading is of another kind than the last one.
    pub(super) fn add(&mut self, seconds: f64, reading: Reading) -> Result<(), String> {
        if let Some((before, last)) = &self.last {
            match (last, &reading) {
                (Reading::Counted(last), Reading::Counted(now)) if last.len() == now.len() => {
                    for (last, now) in last.iter().zip(now) {
                        self.microjoules += passed(*last, *now)?;
                    }
                }
                (Reading::Power(last), Reading::Power(now)) => {
                    self.integral += (last + now) / 2.0 * (seconds - before);
                }
                _ => return Err("an energy meter changed while it was read".to_owned()),
            }
        } else {
            self.began = seconds;
        }
        self.last = Some((seconds, reading));
        Ok(())
    }

    /// Seconds between the first reading and the last one.
    pub(super) fn seconds(&self) -> f64 {
        self.last.as_ref().map_or(0.0, |(seconds, _)| seconds - self.began)
    }

    /// Energy between the first reading and the last one, in joules.
    pub(super) fn joules(&self) -> f64 {
        self.microjoules as f64 / 1e6 + self.integral
    }
}

/// What was counted between two readings of a counter, in microjoules.
fn passed(before: Counter, after: Counter) -> Result<u64, String> {
    let (from, to) = (before.microjoules, after.microjoules);
    match to.checked_sub(from) {
        Some(counted) => Ok(counted),
        None => match after.range {
            Some(range) if from <= range => Ok(range - from + to),
            _ => Err(format!("an energy counter went back from {from} to {to} µJ")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(range: Option<u64>, values: &[u64]) -> Result<f64, String> {
        let mut count = Count::default();
        for (second, &microjoules) in values.iter().enumerate() {
            count.add(second as f64, Reading::Counted(vec![Counter { microjoules, range }]))?;
        }
        Ok(count.joules())
    }

    #[test]
    fn a_counter_that_begins_anew_is_followed_as_often_as_it_is_read() {
        assert_eq!(counted(Some(1_000_000), &[200_000, 700_000]), Ok(0.5));
        assert_eq!(counted(Some(1_000_000), &[900_000, 50_000]), Ok(0.15));
        // Twice round: the ends alone would tell 0.05 J.
        assert_eq!(counted(Some(1_000_000), &[900_000, 400_000, 900_000, 950_000]), Ok(1.05));
        assert_eq!(
            counted(Some(1_000_000), &[900_000, 400_000, 900_000, 400_000, 900_000, 950_000]),
            Ok(2.05)
        );
    }

    #[test]
    fn a_counter_without_an_end_that_goes_back_is_no_number() {
        let said = counted(None, &[5_000, 4_000]).unwrap_err();
        assert_eq!(said, "an energy counter went back from 5000 to 4000 µJ");
        assert!(counted(Some(4_500), &[5_000, 4_000]).is_err(), "beyond its own range");
    }

    #[test]
    fn counters_are_added() {
        let mut count = Count::default();
        for counters in [[1, 10], [4, 3]] {
            let counters = counters.map(|microjoules| Counter { microjoules, range: Some(20) });
            count.add(0.0, Reading::Counted(counters.to_vec())).unwrap();
        }
        assert_eq!(count.joules(), (3 + 13) as f64 / 1e6);
    }

    #[test]
    fn power_is_integrated_along_the_line_through_its_readings() {
        let mut count = Count::default();
        // 100 W for 2 s, up to 300 W within 0.5 s, down to 0 within 4 s.
        for (seconds, watts) in [(0.0, 100.0), (2.0, 100.0), (2.5, 300.0), (6.5, 0.0)] {
            count.add(seconds, Reading::Power(watts)).unwrap();
        }
        assert_eq!((count.joules(), count.seconds()), (200.0 + 100.0 + 600.0, 6.5));
    }

    #[test]
    fn one_reading_is_no_energy_and_two_kinds_are_no_count() {
        let mut count = Count::default();
        count.add(0.0, Reading::Power(100.0)).unwrap();
        assert_eq!((count.joules(), count.seconds()), (0.0, 0.0));
        assert!(count.add(1.0, Reading::Counted(Vec::new())).is_err());
    }
}
