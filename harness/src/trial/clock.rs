//! The clock lane: what the time of a step was.

use crate::event::Clock;
use crate::spread::Spread;

/// Steps that are not timed: they fill caches, pools and lookup tables.
const WARM_UP: usize = 5;

/// Fills in the statistics of a run's steps, the warm-up left out (half of the steps, if there are very few).
pub(super) fn read(steps: &[f64], train_seconds: f64, eval_seconds: f64) -> Clock {
    let timed = &steps[WARM_UP.min(steps.len() / 2)..];
    let Spread { median, mad, min, count } = Spread::of(timed);
    Clock {
        step_seconds_median: median,
        step_seconds_mad: mad,
        step_seconds_min: min,
        timed_steps: count,
        train_seconds,
        eval_seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn the_warm_up_is_not_timed_and_one_slow_step_moves_nothing() {
        let mut steps = vec![100.0; 5];
        steps.extend([1.0, 2.0, 3.0, 2.0, 50.0]);
        let clock = read(&steps, 0.0, 0.0);
        assert_eq!(clock.timed_steps, 5);
        assert_eq!(clock.step_seconds_median, Some(2.0));
        assert_eq!(clock.step_seconds_mad, Some(1.0));
        assert_eq!(clock.step_seconds_min, Some(1.0));
    }

    #[test]
    fn few_steps_are_half_warm_up() {
        assert_eq!(read(&[3.0, 1.0, 2.0], 0.0, 0.0).timed_steps, 2);
        assert_eq!(read(&[], 0.0, 0.0).step_seconds_median, None);
    }
}
