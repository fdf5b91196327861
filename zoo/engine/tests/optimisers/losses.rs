//! Losses over time against their equations.

use candle_core::{DType, Device, Tensor};
use engine::loss::{Loss, MseTarget, Targets};

use crate::setup::{assert_close, draw, numbers};

const STEPS: usize = 4;
const BATCH: usize = 3;
const CLASSES: usize = 5;

/// Scores `[T][B * K]`.
fn scores() -> Vec<Vec<f64>> {
    (0..STEPS).map(|step| draw("scores", step, BATCH * CLASSES, 1.5)).collect()
}

fn mixed() -> Targets {
    Targets::mixed(vec![4, 0, 2], vec![1, 0, 3], vec![0.3, 0.6, 1.0]).unwrap()
}

/// The rows that the two kinds of targets stand for.
fn rows(targets: &Targets) -> Vec<f64> {
    let mut rows = vec![0.0; BATCH * CLASSES];
    let shares: [[(usize, f64); 2]; BATCH] = match targets {
        Targets::Classes(_) => [[(4, 1.0), (4, 0.0)], [(0, 1.0), (0, 0.0)], [(2, 1.0), (2, 0.0)]],
        Targets::Mixed(_) => [[(4, 0.3), (1, 0.7)], [(0, 0.6), (0, 0.4)], [(2, 1.0), (3, 0.0)]],
    };
    for (row, shares) in shares.iter().enumerate() {
        for (class, share) in shares {
            rows[row * CLASSES + class] += share;
        }
    }
    rows
}

fn cross_entropy(z: &[f64], rows: &[f64], smoothing: f64) -> f64 {
    let mut loss = 0.0;
    for (z, row) in z.chunks(CLASSES).zip(rows.chunks(CLASSES)) {
        let log_total = z.iter().map(|z| z.exp()).sum::<f64>().ln();
        for (z, q) in z.iter().zip(row) {
            loss -= ((1.0 - smoothing) * q + smoothing / CLASSES as f64) * (z - log_total);
        }
    }
    loss / BATCH as f64
}

fn square(z: &[f64], goal: impl Fn(usize) -> f64) -> f64 {
    z.iter().enumerate().map(|(i, z)| (z - goal(i)).powi(2)).sum::<f64>() / z.len() as f64
}

fn mean(scores: &[Vec<f64>]) -> Vec<f64> {
    (0..BATCH * CLASSES).map(|i| scores.iter().map(|z| z[i]).sum::<f64>() / STEPS as f64).collect()
}

/// The engine's loss and its gradients `[T][B * K]`.
fn found(loss: Loss, scores: &[Vec<f64>], targets: &Targets) -> (f64, Vec<Vec<f64>>) {
    let tensor = |z: &[f64]| Tensor::from_vec(z.to_vec(), (BATCH, CLASSES), &Device::Cpu).unwrap();
    let total: Vec<f64> = mean(scores).iter().map(|z| z * STEPS as f64).collect();
    let total = tensor(&total);
    let (mut sum, mut gradients) = (0.0, Vec::new());
    for (step, z) in scores.iter().enumerate() {
        let total = (!loss.is_per_step()).then_some(&total);
        let (part, gradient) = loss.step((step, STEPS), &tensor(z), total, targets).unwrap();
        assert_eq!(gradient.dtype(), DType::F64);
        sum += part.read().unwrap();
        gradients.push(numbers(&gradient));
    }
    (sum, gradients)
}

type Equation = Box<dyn Fn(&[Vec<f64>], &[f64]) -> f64>;

fn equations() -> Vec<(Loss, Equation)> {
    let per_step = |mse, target, smoothing| Loss::PerStep { mse, target, smoothing };
    vec![
        (
            per_step(0.05, MseTarget::OneHot, 0.0),
            Box::new(|o, y| {
                let each = o.iter().map(|z| 0.95 * cross_entropy(z, y, 0.0) + 0.05 * square(z, |i| y[i]));
                each.sum::<f64>() / STEPS as f64
            }),
        ),
        (
            // TET: the mean of cross-entropies, and the mean square of everything.
            per_step(0.001, MseTarget::Constant(0.8), 0.1),
            Box::new(|o, _y| {
                let entropy = o.iter().map(|z| cross_entropy(z, _y, 0.1)).sum::<f64>() / STEPS as f64;
                0.999 * entropy + 0.001 * square(&o.concat(), |_| 0.8)
            }),
        ),
        (Loss::MeanScores { smoothing: 0.1 }, Box::new(|o, y| cross_entropy(&mean(o), y, 0.1))),
        (Loss::RateMse, Box::new(|o, y| square(&mean(o), |i| y[i]))),
        (
            // 1/4, 2/4, 3/4, and 1 + 1 at the end.
            Loss::DeepSupervision { smoothing: 0.1, last: 1.0 },
            Box::new(|o, y| {
                let weighted =
                    o.iter().zip([0.25, 0.5, 0.75, 2.0]).map(|(z, w)| w * cross_entropy(z, y, 0.1));
                weighted.sum()
            }),
        ),
    ]
}

#[test]
fn losses_are_their_equations_for_classes_and_for_mixed_labels() {
    let scores = scores();
    for targets in [Targets::from(vec![4, 0, 2]), mixed()] {
        let rows = rows(&targets);
        for (loss, equation) in equations() {
            let (sum, gradients) = found(loss, &scores, &targets);
            let place = format!("{loss:?} {targets:?}");
            assert_close(&place, &[sum], &[equation(&scores, &rows)], 1e-13);
            for step in 0..STEPS {
                let slopes: Vec<f64> = (0..BATCH * CLASSES)
                    .map(|i| {
                        let at = |by: f64| {
                            let mut moved = scores.clone();
                            moved[step][i] += by;
                            equation(&moved, &rows)
                        };
                        (at(1e-5) - at(-1e-5)) / 2e-5
                    })
                    .collect();
                // A central difference of 1e-5 in f64 is good to nine digits of the largest.
                assert_close(&format!("{place} step {step}"), &gradients[step], &slopes, 1e-8);
            }
        }
    }
}

/// 3.5 ln K at the start, as the released log of T-RevSNN shows.
#[test]
fn deep_supervision_of_even_scores_is_three_and_a_half_times_the_entropy() {
    let even = vec![vec![0.0; BATCH * CLASSES]; STEPS];
    let loss = Loss::DeepSupervision { smoothing: 0.1, last: 1.0 };
    let (sum, _) = found(loss, &even, &vec![0, 1, 2].into());
    assert!((sum - 3.5 * (CLASSES as f64).ln()).abs() < 1e-12, "{sum}");
}

#[test]
fn the_larger_share_counts_as_right() {
    let mixed = Targets::mixed(vec![4, 3, 2, 5], vec![1, 0, 3, 2], vec![0.3, 0.6, 0.5, 0.5]).unwrap();
    assert_eq!(mixed.best().collect::<Vec<_>>(), [1, 3, 2, 2]);
    assert_eq!(Targets::from(vec![7, 1]).best().collect::<Vec<_>>(), [7, 1]);
    assert_eq!(mixed.len(), 4);
    for (second, shares, rule) in [
        (vec![1], vec![0.5, 0.5], "second classes"),
        (vec![1, 1], vec![0.5], "shares"),
        (vec![1, 1], vec![0.5, 1.1], "1.1"),
    ] {
        let error = Targets::mixed(vec![0, 1], second, shares).unwrap_err().to_string();
        assert!(error.contains(rule), "{error}");
    }
}

#[test]
fn constants_out_of_range_are_refused_by_name() {
    let deep = |smoothing, last| Loss::DeepSupervision { smoothing, last };
    for (loss, place) in [
        (deep(0.1, -1.0), "loss.final must be at least 0, got -1"),
        (deep(1.5, 1.0), "loss.smoothing must be in [0, 1], got 1.5"),
        (
            Loss::PerStep { mse: 0.1, target: MseTarget::Constant(f64::NAN), smoothing: 0.0 },
            "loss.target.constant",
        ),
        (Loss::PerStep { mse: -0.1, target: MseTarget::OneHot, smoothing: 0.0 }, "loss.mse"),
    ] {
        let error = loss.check().unwrap_err().to_string();
        assert!(error.contains(place), "{error}");
    }
}
