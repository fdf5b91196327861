//! The self-test: every kind of kernel on a device beside the processor, with the same numbers.
//!
//! A kernel that sums in the processor's order must give its bits; one that sums over threads or in a library its numbers
//! up to rounding, of halves to that of its results. On the device each runs twice, and the second time must give the bits of the first. On the processor
//! itself the test compares it with itself, which shows that the test can run.

mod halves;
mod kinds;

use std::io::Write;

use candle_core::{Device, Tensor};

use crate::device::DeviceKind;
use crate::error::Result;
use kinds::{ALL, Agreement, Kind};

/// What a kind of kernel came to.
#[derive(Clone, Debug, PartialEq)]
enum Finding {
    /// The largest difference, relative to the largest value of its tensor.
    Agrees(f64),
    /// What does not agree, or what went wrong.
    Differs(String),
}

/// Runs all kinds, prints a line each, and says whether all agree.
///
/// # Errors
/// When the device is missing, or nothing can be printed.
pub(crate) fn run(kind: DeviceKind, output: &mut dyn Write) -> Result<bool> {
    let device = kind.open()?;
    let mut passes = true;
    for of in ALL {
        let (word, rest) = match compared(of, &device) {
            Finding::Agrees(worst) => ("ok", format!("{worst:.1e}")),
            Finding::Differs(what) => {
                passes = false;
                ("DIFFERS", what)
            }
        };
        writeln!(output, "{:<24} {:<8} {word:<8} {rest}", of.name, of.agreement.words())?;
    }
    let verdict = if passes { "agrees with" } else { "DIFFERS from" };
    writeln!(output, "\n{} kinds of kernel: {} {verdict} the processor", ALL.len(), kind.id())?;
    Ok(passes)
}

fn compared(of: &Kind, device: &Device) -> Finding {
    let found = (|| {
        let expected = (of.run)(&Device::Cpu)?;
        let twice = [(of.run)(device)?, (of.run)(device)?];
        Ok::<_, engine::Error>((numbers(&expected)?, numbers(&twice[0])?, numbers(&twice[1])?))
    })();
    match found {
        Err(error) => Finding::Differs(error.to_string()),
        Ok((_, first, second)) if bits(&first) != bits(&second) => {
            Finding::Differs("from itself, run twice".to_owned())
        }
        Ok((expected, found, _)) => against(of.agreement, &expected, &found),
    }
}

/// Compares tensors with those of the processor.
fn against(agreement: Agreement, expected: &[Vec<f64>], found: &[Vec<f64>]) -> Finding {
    if expected.iter().map(Vec::len).ne(found.iter().map(Vec::len)) {
        return Finding::Differs("in shape".to_owned());
    }
    let mut worst = 0.0_f64;
    for (place, (expected, found)) in expected.iter().zip(found).enumerate() {
        let largest = expected.iter().fold(f64::MIN_POSITIVE, |most, x| most.max(x.abs()));
        for (i, (a, b)) in expected.iter().zip(found).enumerate() {
            let error = (a - b).abs() / largest;
            // A NaN is no agreement either.
            let near = a == b || error <= agreement.allowed();
            if !near {
                return Finding::Differs(format!(
                    "tensor {place}, value {i}: {b:e} and on the processor {a:e}"
                ));
            }
            worst = worst.max(error);
        }
    }
    Finding::Agrees(worst)
}

fn numbers(tensors: &[Tensor]) -> engine::Result<Vec<Vec<f64>>> {
    let each = |tensor: &Tensor| -> engine::Result<Vec<f64>> {
        let home = tensor.to_device(&Device::Cpu)?.flatten_all()?;
        Ok(home.to_dtype(candle_core::DType::F64)?.to_vec1()?)
    };
    tensors.iter().map(each).collect()
}

fn bits(tensors: &[Vec<f64>]) -> Vec<Vec<u64>> {
    tensors.iter().map(|tensor| tensor.iter().map(|x| x.to_bits()).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_agrees_with_itself() {
        let mut text = Vec::new();
        let passes = run(DeviceKind::Cpu, &mut text).unwrap();
        assert!(passes, "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn what_differs_is_told() {
        let expected = [vec![1.0, -8.0]];
        let differs = |agreement, found: &[f64]| {
            matches!(against(agreement, &expected, &[found.to_vec()]), Finding::Differs(_))
        };
        assert!(!differs(Agreement::Same, &[1.0, -8.0]));
        assert!(differs(Agreement::Same, &[1.0, -8.000_001]));
        assert!(!differs(Agreement::Close, &[1.0, -8.000_001]));
        assert!(differs(Agreement::Close, &[1.0, -8.1]));
        assert!(differs(Agreement::Close, &[f64::NAN, -8.0]));
        assert!(differs(Agreement::Close, &[1.0]));
    }

    #[test]
    fn a_kernel_that_differs_from_itself_is_told() {
        use std::sync::atomic::{AtomicU32, Ordering};
        static CALLS: AtomicU32 = AtomicU32::new(0);
        fn restless(device: &Device) -> engine::Result<Vec<Tensor>> {
            let call = CALLS.fetch_add(1, Ordering::Relaxed);
            Ok(vec![Tensor::new(&[f64::from(call) * 1e-9 + 1.0], device)?])
        }
        let kind = Kind { name: "restless", agreement: Agreement::Close, run: restless };
        assert_eq!(compared(&kind, &Device::Cpu), Finding::Differs("from itself, run twice".to_owned()));
    }
}
