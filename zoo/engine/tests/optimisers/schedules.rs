//! Learning rates at their edges, and timm's cosine.

use engine::optim::{Per, Schedule};

/// A cosine with a warm-up from its floor in front of it.
fn cosine(rate: f64, floor: f64, warmup_epochs: f64) -> Schedule {
    Schedule::Cosine {
        rate,
        floor,
        warmup_epochs,
        warmup_from: (warmup_epochs != 0.0).then_some(floor),
        warmup_prefix: true,
        cooldown_epochs: 0.0,
        per: Per::Iteration,
    }
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1e-3), "{found} against {expected}");
}

#[test]
fn a_constant_rate_is_constant() {
    let schedule = Schedule::Constant { rate: 0.2 };
    for epoch in [0.0, 0.5, 3.0, 100.0] {
        assert_eq!(schedule.rate(epoch, 3.0), 0.2);
    }
}

#[test]
fn cosine_without_warm_up() {
    let schedule = cosine(0.4, 0.0, 0.0);
    close(schedule.rate(0.0, 8.0), 0.4);
    close(schedule.rate(2.0, 8.0), 0.2 * (1.0 + std::f64::consts::FRAC_1_SQRT_2));
    close(schedule.rate(4.0, 8.0), 0.2);
    close(schedule.rate(8.0, 8.0), 0.0);
    // Past its end it stays at its floor.
    close(schedule.rate(9.5, 8.0), 0.0);
}

#[test]
fn cosine_with_warm_up_is_continuous_and_never_above_its_rate() {
    let schedule = cosine(0.4, 0.01, 2.5);
    close(schedule.rate(0.0, 10.0), 0.01);
    close(schedule.rate(1.25, 10.0), 0.205);
    close(schedule.rate(2.5, 10.0), 0.4);
    assert!((schedule.rate(2.5 - 1e-9, 10.0) - schedule.rate(2.5 + 1e-9, 10.0)).abs() < 1e-8);
    let rates: Vec<f64> = (0..=1000).map(|i| schedule.rate(f64::from(i) / 100.0, 10.0)).collect();
    assert!(rates.iter().all(|rate| (0.01 - 1e-15..=0.4 + 1e-15).contains(rate)));
    assert!(rates[..250].is_sorted(), "the warm-up falls");
    assert!(rates[250..].iter().rev().is_sorted(), "the cosine rises");
}

#[test]
fn a_warm_up_as_long_as_the_run_ends_at_the_rate() {
    let schedule = cosine(0.4, 0.0, 4.0);
    close(schedule.rate(2.0, 4.0), 0.2);
    close(schedule.rate(4.0, 4.0), 0.4);
    // A run that ends within the warm-up only warms up.
    close(schedule.rate(1.0, 2.0), 0.1);
    assert!(schedule.rate(5.0, 4.0).is_finite());
}

#[test]
fn milestones_apply_from_their_epoch_on() {
    let schedule = Schedule::Steps { rate: 0.1, factor: 0.1, milestones: vec![100.0, 150.0] };
    close(schedule.rate(0.0, 200.0), 0.1);
    close(schedule.rate(99.999, 200.0), 0.1);
    close(schedule.rate(100.0, 200.0), 0.01);
    close(schedule.rate(150.0, 200.0), 0.001);
    close(schedule.rate(400.0, 200.0), 0.001);
    let none = Schedule::Steps { rate: 0.1, factor: 0.5, milestones: Vec::new() };
    assert_eq!(none.rate(7.0, 9.0), 0.1);
    // Two at one epoch multiply twice.
    let twice = Schedule::Steps { rate: 1.0, factor: 0.5, milestones: vec![2.0, 2.0] };
    close(twice.rate(2.0, 3.0), 0.25);
}

#[test]
fn schedules_out_of_range_are_refused_by_name() {
    for (schedule, place) in [
        (Schedule::Constant { rate: 0.0 }, "schedule.rate"),
        (Schedule::Constant { rate: f64::NAN }, "schedule.rate"),
        (cosine(-0.1, 0.0, 0.0), "schedule.rate"),
        (cosine(0.1, 0.2, 0.0), "schedule.floor"),
        (cosine(0.1, -0.1, 0.0), "schedule.floor"),
        (cosine(0.1, f64::NAN, 0.0), "schedule.floor"),
        (cosine(0.1, 0.0, -1.0), "schedule.warmup-epochs"),
        (cosine(0.1, 0.0, f64::NAN), "schedule.warmup-epochs"),
        (Schedule::Steps { rate: 0.1, factor: 0.1, milestones: vec![2.0, 1.0] }, "schedule.milestones"),
    ] {
        let error = schedule.check().unwrap_err().to_string();
        assert!(error.contains(place), "{schedule:?}: {error}");
    }
    for schedule in [
        Schedule::Constant { rate: 0.1 },
        cosine(0.1, 0.1, 0.0),
        cosine(0.1, 0.0, 20.0),
        Schedule::Steps { rate: 0.1, factor: 0.1, milestones: Vec::new() },
    ] {
        schedule.check().unwrap();
    }
}

/// timm's scheduler, counted in updates as it does: `t_initial` updates of cosine, `warmup_t` of warm-up.
fn timm(t: f64, t_initial: f64, warmup_t: f64, [rate, floor, from]: [f64; 3], prefix: bool) -> f64 {
    if t < warmup_t {
        return from + t * (rate - from) / warmup_t;
    }
    let t = if prefix { t - warmup_t } else { t };
    if (t / t_initial).floor() >= 1.0 {
        return floor;
    }
    floor + 0.5 * (rate - floor) * (1.0 + (std::f64::consts::PI * t / t_initial).cos())
}

#[test]
fn the_cosine_is_that_of_timm_at_each_update() {
    let (updates, epochs, warmup, cooldown) = (7.0, 31.0, 4.0, 3.0);
    let [rate, floor, from] = [8e-3, 4e-6, 4e-5];
    for prefix in [false, true] {
        let schedule = Schedule::Cosine {
            rate,
            floor,
            warmup_epochs: warmup,
            warmup_from: Some(from),
            warmup_prefix: prefix,
            cooldown_epochs: cooldown,
            per: Per::Iteration,
        };
        let cosine = epochs - cooldown - if prefix { warmup } else { 0.0 };
        for update in 0..217 {
            let update = f64::from(update);
            let expected = timm(update, cosine * updates, warmup * updates, [rate, floor, from], prefix);
            let found = schedule.rate(update / updates, epochs);
            assert!((found - expected).abs() < 1e-15, "update {update}: {found} against {expected}");
        }
        assert_eq!(schedule.rate(28.0, epochs), floor, "the cool-down begins at the floor");
        assert_eq!(schedule.rate(30.9, epochs), floor);
    }
}

#[test]
fn a_rate_per_epoch_holds_for_the_whole_epoch() {
    let each = |per| match cosine(0.1, 0.0, 2.0) {
        Schedule::Cosine {
            rate, floor, warmup_epochs, warmup_from, warmup_prefix, cooldown_epochs, ..
        } => {
            Schedule::Cosine { rate, floor, warmup_epochs, warmup_from, warmup_prefix, cooldown_epochs, per }
        }
        other => other,
    };
    for epoch in [0.0, 0.3, 1.9, 2.0, 5.5, 9.99] {
        assert_eq!(each(Per::Epoch).rate(epoch, 10.0), each(Per::Iteration).rate(epoch.floor(), 10.0));
    }
}

/// The rates that the released log of T-RevSNN prints, to their last digit (4096 samples a batch, 312 updates an
/// epoch, 300 epochs): at the end of epochs 4 to 249.
#[test]
fn the_published_log_of_t_revsnn_is_met() {
    let schedule = Schedule::Cosine {
        rate: 8e-3,
        floor: 4e-6,
        warmup_epochs: 20.0,
        warmup_from: Some(4e-5),
        warmup_prefix: true,
        cooldown_epochs: 0.0,
        per: Per::Iteration,
    };
    let log =
        [(4, 0.0020), (9, 0.0040), (14, 0.0060), (19, 0.0080), (49, 0.0078), (74, 0.0073), (99, 0.0065)];
    let later = [(124, 0.0055), (149, 0.0045), (174, 0.0033), (199, 0.0023), (224, 0.0013), (249, 0.0006)];
    for (epoch, printed) in log.into_iter().chain(later) {
        let found = schedule.rate(f64::from(epoch) + 311.0 / 312.0, 300.0);
        assert!((found - printed).abs() <= 0.5e-4 + 1e-6, "epoch {epoch}: {found} against {printed}");
    }
}

#[test]
fn a_warm_up_says_where_it_starts() {
    let with = |warmup_epochs, warmup_from| Schedule::Cosine {
        rate: 0.1,
        floor: 0.01,
        warmup_epochs,
        warmup_from,
        warmup_prefix: true,
        cooldown_epochs: 0.0,
        per: Per::Iteration,
    };
    for (schedule, rule) in [
        (with(2.0, None), "must be given with"),
        (with(0.0, Some(0.01)), "must be left out"),
        (with(2.0, Some(0.2)), "in [0, 0.1]"),
        (with(2.0, Some(f64::NAN)), "in [0, 0.1]"),
    ] {
        let error = schedule.check().unwrap_err().to_string();
        assert!(error.contains("schedule.warmup-from") && error.contains(rule), "{error}");
    }
    // It may start below the floor.
    with(2.0, Some(0.0)).check().unwrap();
    close(with(2.0, Some(0.0)).rate(1.0, 10.0), 0.05);
}
