//! Where an op chooses its kernel: first by device, then by number type.

/// Runs the `f32` or the `f64` arm of op `$op` for the device and type of `$tensor`; halves are computed in `f32`.
///
/// A CUDA device has been asked for before (`on_cuda!`); one that arrives here has no kernel of the op.
macro_rules! dispatch {
    ($op:expr, $tensor:expr, $T:ident => $body:expr) => {
        $crate::dispatch::dispatch!($op, $tensor,
            f32 => { type $T = f32; $body },
            f64 => { type $T = f64; $body })
    };
    ($op:expr, $tensor:expr, f32 => $fast:expr, f64 => $plain:expr) => {
        match ($tensor.device(), $crate::held::real($tensor.dtype())) {
            (candle_core::Device::Cpu, candle_core::DType::F32) => $fast,
            (candle_core::Device::Cpu, candle_core::DType::F64) => $plain,
            (device, _) => Err($crate::dispatch::refusal($op, device, $tensor.dtype())),
        }
    };
}
pub(crate) use dispatch;

/// Says why no arm of `op` fits.
#[cold]
pub(crate) fn refusal(
    op: &'static str,
    device: &candle_core::Device,
    dtype: candle_core::DType,
) -> crate::Error {
    match device {
        candle_core::Device::Cpu => {
            crate::Error::DType { op, what: "x", expected: candle_core::DType::F32, got: dtype }
        }
        other => crate::Error::NoKernel { op, device: format!("{:?}", other.location()) },
    }
}
