//! The suites that come in two sizes: a quick one for a processor and `-full`, the papers' budgets.

use ::harness::{Selection, plan, shelf};

const TWO_SIZES: [&str; 4] = ["imagenet", "cifar", "neuromorphic", "temporal"];

#[test]
fn every_suite_of_two_sizes_can_be_planned_in_both_without_data() {
    for name in TWO_SIZES {
        for size in [name.to_owned(), format!("{name}-full")] {
            let suite = shelf::suite(&size).unwrap().cases.unwrap();
            let trials =
                plan(&suite, &Selection::default()).unwrap_or_else(|error| panic!("{size}: {error}"));
            for trial in trials {
                assert_eq!(trial.unsupported, None, "{}", trial.key);
                assert!(trial.batches > 0 && trial.test_samples > 0, "{}", trial.key);
            }
        }
    }
}

#[test]
fn a_full_case_is_trained_as_long_as_its_recipes_paper_trains() {
    for name in TWO_SIZES {
        let suite = shelf::suite(&format!("{name}-full")).unwrap().cases.unwrap();
        for case in &suite.cases {
            let Some(paper) = shelf::recipe(&case.recipe, None).unwrap().paper else { continue };
            let own = (case.steps, case.budget.epochs, case.budget.batch);
            assert_eq!(own, (paper.steps, paper.epochs, paper.batch), "{}: {}", suite.id, case.id);
            assert_eq!(case.samples, None, "{}: {}", suite.id, case.id);
        }
    }
}

#[test]
fn a_full_size_is_dry_run_and_says_what_it_stands_on() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let said = super::printed(&["--suite", "cifar-full", "--dry-run", "--out", out.to_str().unwrap()]);
    assert!(said.contains("cifar-full/vgg11-ws-cifar10/ottt-a/t6/s1"), "{said}");
    assert!(said.contains("run on stand-in synth-100"), "{said}");
    assert!(!out.exists());
}
