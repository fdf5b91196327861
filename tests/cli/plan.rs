//! `harness plan`: every method has its line, and what fits is less than what does not.

use super::{printed, refused};

/// The cells of a method's first line.
fn line<'t>(told: &'t str, id: &str) -> Vec<&'t str> {
    let mut lines = told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.find(|cells| cells.first() == Some(&id)).unwrap()
}

#[test]
fn a_plan_names_every_method_and_the_reason_of_those_that_cannot() {
    let told = printed(&["plan", "tiny-conv", "--threads", "1"]);
    assert!(told.contains("tiny-conv: ") && told.contains("batch of 32"), "{told}");
    let mut refused = 0;
    for method in registry::all() {
        let cells = line(&told, method.id);
        if cells[1] == "can't:" {
            refused += 1;
            assert!(cells.len() > 5, "a reason of a few words: {cells:?}");
            continue;
        }
        let numbers: Vec<f64> = cells[1..].iter().map(|cell| cell.parse().unwrap()).collect();
        let [held @ .., peak, sample] = numbers.as_slice() else { panic!("{cells:?}") };
        assert!(held[0] > 0.0 && (held.iter().sum::<f64>() - peak).abs() < 0.2, "{cells:?}");
        assert!((peak / 32.0 - sample).abs() < 0.01, "{cells:?}");
    }
    assert!(refused > 0, "{told}");
}

#[test]
fn flags_change_a_plan() {
    let peak = |more: &[&str]| -> f64 {
        let arguments = [&["plan", "tiny-conv", "--threads", "1", "--method", "stbp"], more].concat();
        let cells = line(&printed(&arguments), "stbp").iter().map(|c| c.to_string()).collect::<Vec<_>>();
        cells[cells.len() - 2].parse().unwrap()
    };
    let plain = peak(&[]);
    for more in [["--batch", "64"], ["--steps-t", "16"], ["--width", "2"], ["--dtype", "f64"]] {
        assert!(peak(&more) > plain, "{more:?}");
    }
    for half in ["bf16", "f16"] {
        assert!(peak(&["--dtype", half]) < plain, "{half}");
    }
    let told = printed(&["plan", "tiny-conv", "--method", "stbp", "--recipe", "plain-lif"]);
    assert!(told.contains("recipe plain-lif") && !told.contains("sltt"), "{told}");
}

#[test]
fn what_fits_is_the_largest_that_fits() {
    let told = printed(&["plan", "tiny-conv", "--threads", "1", "--method", "stbp,sltt", "--fits", "64MiB"]);
    let last = told.lines().last().unwrap();
    assert!(last.starts_with("with 64 MiB: sltt trains the largest batch at T = "), "{told}");
    let batch: usize = last.rsplit(' ').next().unwrap().parse().unwrap();
    let peak = |batch: usize| -> f64 {
        let batch = batch.to_string();
        let told = printed(&["plan", "tiny-conv", "--threads", "1", "--method", "sltt", "--batch", &batch]);
        let cells = line(&told, "sltt");
        cells[cells.len() - 2].parse().unwrap()
    };
    assert!(peak(batch) <= 64.0 && peak(batch + batch / 50) > 64.0, "{told}");
    let told = printed(&["plan", "tiny-conv", "--method", "stbp", "--fits", "1KiB"]);
    assert!(told.contains("with 1 KiB: not one sample"), "{told}");
}

#[test]
fn a_plan_of_nothing_is_refused() {
    let said = refused(&["plan", "tiny-covn"]);
    assert!(said.contains("unknown model 'tiny-covn'; did you mean 'tiny-conv'? Known: "), "{said}");
    let said = refused(&["plan", "tiny-conv", "--fits", "lots"]);
    assert!(said.contains("'lots'") && said.contains("must be a size such as 512MiB"), "{said}");
    assert!(refused(&["plan", "tiny-conv", "--method", "stpb"]).contains("did you mean 'stbp'?"));
    assert!(refused(&["plan", "tiny-conv", "--recipe", "plain-lf"]).contains("did you mean 'plain-lif'?"));
    assert!(refused(&["plan", "tiny-conv", "--batch", "0"]).contains("at least 1"));
    assert!(refused(&["plan", "tiny-conv", "--steps-t", "0"]).contains("at least 1"));
}
