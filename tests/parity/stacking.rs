//! Reversal in time, in depth, and both stacked, on the network that has both structures.

use candle_core::DType;
use engine::ledger::Category;
use engine::method::Outcome;
use engine::model::ModelSpec;
use engine::region::Grid;
use tests::{Gradients, batch, gradients, per_step, spec, trainer};

const MODEL: &str = "tiny-trev-rev";

struct Step {
    outcome: Outcome,
    gradients: Gradients,
    flips: u64,
    rebuilt: u64,
    /// Saved activations and states at their most.
    held: [usize; 2],
    in_laws: usize,
}

fn step(method: &str, spec: &ModelSpec) -> Step {
    let mut trainer = trainer(method, MODEL, spec, DType::F32, per_step()).unwrap();
    let batch = batch(trainer.session(), spec, 4).unwrap();
    trainer.session().watch();
    let (outcome, gradients) = gradients(&mut *trainer, &batch).unwrap();
    let (flips, rebuilt) = trainer.session().take_journal().unwrap_or_default().flips().unwrap();
    // Unwatched, and from the second step on: a journal holds copies, and running statistics live between steps.
    let ledger = trainer.session().ledger().clone();
    ledger.restart();
    trainer.step(&batch, &mut tests::Hold).unwrap();
    let held = [Category::Saved, Category::State].map(|category| ledger.most(category));
    Step { outcome, gradients, flips, rebuilt, held, in_laws: ledger.peak_in_laws() }
}

fn on_grid(steps: usize, depth: usize) -> ModelSpec {
    let grid = Some(Grid { bits: 16, range: 8 });
    ModelSpec { image: [2, 16, 16], steps, depth: Some(depth), grid, ..spec() }
}

#[test]
fn every_stack_is_bit_equal_to_stored_activations() {
    for (steps, depth) in [(1, 1), (2, 3), (4, 2), (6, 1)] {
        let spec = on_grid(steps, depth);
        let stored = step("stbp", &spec);
        for method in ["spatial-rev", "temporal-rev", "temporal-spatial-rev", "stbp-bits"] {
            let place = format!("{method}, T = {steps}, {depth} blocks");
            let rebuilt = step(method, &spec);
            assert_eq!(rebuilt.outcome, stored.outcome, "{place}");
            assert_eq!(rebuilt.gradients, stored.gradients, "{place}");
            assert_eq!(rebuilt.flips, 0, "{place}: of {}", rebuilt.rebuilt);
            assert_eq!(rebuilt.rebuilt > 0, method.ends_with("-rev"), "{place}");
        }
    }
}

#[test]
fn the_stack_grows_with_neither_time_nor_depth() {
    println!("method                 T  blocks  saved  state  law bytes");
    let measured = |method: &str, steps, depth| {
        // Without a grid there are no remainders, which grow by a bit a state and step.
        let found = step(method, &ModelSpec { grid: None, ..on_grid(steps, depth) });
        println!(
            "{method:<21} {steps:>2} {depth:>7} {:>6} {:>6} {:>10}",
            found.held[0], found.held[1], found.in_laws
        );
        found.in_laws
    };
    let stacked =
        [(2, 2), (4, 2), (8, 2), (4, 4), (4, 8)].map(|(t, d)| measured("temporal-spatial-rev", t, d));
    assert_eq!(stacked, [stacked[0]; 5], "T, then blocks");
    let temporal = [(2, 2), (4, 2), (4, 4)].map(|(t, d)| measured("temporal-rev", t, d));
    assert!(temporal[0] == temporal[1] && temporal[2] > temporal[1], "{temporal:?}");
    let spatial = [(2, 2), (4, 2), (4, 4)].map(|(t, d)| measured("spatial-rev", t, d));
    assert!(spatial[1] > spatial[0] && spatial[2] == spatial[1], "{spatial:?}");
    let stored = [(2, 2), (4, 2), (4, 4)].map(|(t, d)| measured("stbp", t, d));
    assert!(stored[1] > stored[0] && stored[2] > stored[1], "{stored:?}");
    assert!(stacked[0] < temporal[1] && stacked[0] < spatial[1], "{stacked:?}, {temporal:?}, {spatial:?}");
}
