//! Tensors as addresses: checked as on the CPU, then handed to kernels as numbers.

use candle_core::cuda_backend::CudaDType;
use candle_core::{
    CudaDevice, CudaStorage, DType, Device, Shape, Storage, Tensor, WithDType, op::BackpropOp,
};
use cudarc::driver::sys::CUresult;
use cudarc::driver::{DevicePtr, DeviceRepr, DriverError};

use crate::bits::Bits;
use crate::cuda::source;
use crate::real::Real;
use crate::storage;
use crate::{Error, Operand, Result, held};

/// A number type that kernels are compiled for: `held` in the sources, what lies in memory between ops.
pub(in crate::cuda) trait Number: WithDType + DeviceRepr + CudaDType {
    /// What is computed in and summed up: `real` in the sources.
    type Real: Real + Number<Real = Self::Real>;
    const NUMBER: source::Number;
}

impl Number for f32 {
    type Real = f32;
    const NUMBER: source::Number = source::Number::F32;
}

impl Number for f64 {
    type Real = f64;
    const NUMBER: source::Number = source::Number::F64;
}

impl Number for half::bf16 {
    type Real = f32;
    const NUMBER: source::Number = source::Number::Bf16;
}

impl Number for half::f16 {
    type Real = f32;
    const NUMBER: source::Number = source::Number::F16;
}

/// Runs `$body` with `$H` the type of `$dtype`, as it is held, and `$R` the one that it is computed in.
macro_rules! by_number {
    ($op:expr, $dtype:expr, $H:ident, $R:ident => $body:expr) => {
        $crate::cuda::ops::tensor::by_number!($op, $dtype, $H => {
            type $R = <$H as $crate::cuda::ops::tensor::Number>::Real;
            $body
        })
    };
    ($op:expr, $dtype:expr, $H:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $H = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $H = f64;
                $body
            }
            candle_core::DType::BF16 => {
                type $H = half::bf16;
                $body
            }
            candle_core::DType::F16 => {
                type $H = half::f16;
                $body
            }
            got => Err($crate::Error::DType { op: $op, what: "x", expected: candle_core::DType::F32, got }),
        }
    };
}
pub(in crate::cuda) use by_number;

/// The same for what is never a half: parameters, accumulators, statistics.
macro_rules! by_real {
    ($op:expr, $dtype:expr, $R:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $R = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $R = f64;
                $body
            }
            got => Err($crate::Error::DType { op: $op, what: "x", expected: candle_core::DType::F32, got }),
        }
    };
}
pub(in crate::cuda) use by_real;

/// An address on the device, as kernels take it; 0 stands for an operand that is missing.
pub(super) type Address = u64;

/// What a kernel is told of an operand that may be spikes: address, kind, values of a row of bits.
#[derive(Clone, Copy)]
pub(super) struct Values {
    pub(super) at: Address,
    /// 0 numbers as they are held, 1 spikes, 2 numbers as they are computed in.
    pub(super) kind: i32,
    pub(super) plane: u64,
}

/// What a kernel is told of numbers that may stand beside halves: address, and whether they are in the type that is
/// computed in.
#[derive(Clone, Copy)]
pub(super) struct Beside {
    pub(super) at: Address,
    pub(super) wide: i32,
}

/// The device of one call, under the call's name.
pub(super) struct Gpu {
    op: &'static str,
    device: CudaDevice,
}

impl Gpu {
    /// The device that `t` lies on.
    pub(super) fn of(op: &'static str, t: &Tensor) -> Result<Self> {
        match t.device() {
            Device::Cuda(device) => Ok(Self { op, device: device.clone() }),
            other => Err(Error::NoKernel { op, device: format!("{:?}", other.location()) }),
        }
    }

    pub(super) fn device(&self) -> &CudaDevice {
        &self.device
    }

    pub(super) fn op(&self) -> &'static str {
        self.op
    }

    /// The address of the `len` elements of contiguous `t`, called `what` in errors.
    pub(super) fn at<T: Number>(&self, what: &'static str, t: &Tensor, len: usize) -> Result<Address> {
        let range = storage::extent::<T>(self.op, what, t, len)?;
        self.address::<T>(t, range.start)
    }

    /// See [`Gpu::at`]; as `H` is held or in the type that it is computed in.
    pub(super) fn beside<H: Number>(&self, what: &'static str, t: &Tensor, len: usize) -> Result<Beside> {
        if t.dtype() == H::DTYPE {
            return Ok(Beside { at: self.at::<H>(what, t, len)?, wide: 0 });
        }
        Ok(Beside { at: self.at::<H::Real>(what, t, len)?, wide: 1 })
    }

    /// See [`Gpu::at`]; of a type that no kernel computes in.
    pub(super) fn at_plain<T: CudaDType + WithDType>(
        &self,
        what: &'static str,
        t: &Tensor,
        len: usize,
    ) -> Result<Address> {
        let range = storage::extent::<T>(self.op, what, t, len)?;
        self.address::<T>(t, range.start)
    }

    /// See [`Gpu::at`]; 0 for a tensor that is missing.
    pub(super) fn at_opt<T: Number>(
        &self,
        what: &'static str,
        t: Option<&Tensor>,
        len: usize,
    ) -> Result<Address> {
        t.map_or(Ok(0), |t| self.at::<T>(what, t, len))
    }

    /// The address of packed spikes.
    pub(super) fn bits(&self, bits: &Bits) -> Result<Address> {
        let range = storage::extent::<u8>(self.op, "spikes", bits.tensor(), bits.bytes())?;
        self.address::<u8>(bits.tensor(), range.start)
    }

    /// An operand of `len` values.
    pub(super) fn values<H: Number>(&self, x: Operand, len: usize) -> Result<Values> {
        match x {
            Operand::Dense(x) => {
                let Beside { at, wide } = self.beside::<H>("x", x, len)?;
                Ok(Values { at, kind: 2 * wide, plane: 1 })
            }
            Operand::Spikes(bits) => {
                crate::error::ensure(
                    bits.rows() * bits.plane() == len,
                    self.op,
                    "the spikes must match the shape",
                    || format!("{} rows of {}, expected {len} values", bits.rows(), bits.plane()),
                )?;
                Ok(Values { at: self.bits(bits)?, kind: 1, plane: bits.plane().max(1) as u64 })
            }
        }
    }

    fn address<T: CudaDType>(&self, t: &Tensor, first: usize) -> Result<Address> {
        let (guard, _) = t.storage_and_layout();
        let Storage::Cuda(storage) = &*guard else { return Err(self.elsewhere(t)) };
        if !same(&storage.device, &self.device) {
            return Err(self.elsewhere(t));
        }
        let slice = storage.as_cuda_slice::<T>()?;
        // Nothing to synchronise with: all work is on this one stream.
        let (address, _) = slice.device_ptr(slice.stream());
        Ok(address + (first * size_of::<T>()) as u64)
    }

    fn elsewhere(&self, t: &Tensor) -> Error {
        Error::NoKernel {
            op: self.op,
            device: format!("tensors on two devices ({:?})", t.device().location()),
        }
    }

    /// A tensor whose elements are not set yet: the caller's kernel writes them all.
    pub(super) fn fresh<T: Number>(&self, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        let buffer = self.buffer::<T>(shape.elem_count())?;
        let storage = CudaStorage::wrap_cuda_slice(buffer, self.device.clone());
        Ok(Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false))
    }

    /// The same in the type `dtype`: the one that `H` is held in, or the one that it is computed in.
    pub(super) fn fresh_beside<H: Number>(&self, dtype: DType, shape: impl Into<Shape>) -> Result<Tensor> {
        if dtype == H::DTYPE {
            return self.fresh::<H>(shape);
        }
        let expected = <H::Real as WithDType>::DTYPE;
        if dtype != expected {
            return Err(Error::DType { op: self.op, what: "result", expected, got: dtype });
        }
        self.fresh::<H::Real>(shape)
    }

    /// Packed spikes whose bytes are not set yet.
    pub(super) fn fresh_bits(&self, rows: usize, plane: usize) -> Result<Bits> {
        let buffer = self.buffer::<u8>(Bits::bytes_for(rows, plane))?;
        let storage = CudaStorage::wrap_cuda_slice(buffer, self.device.clone());
        let shape = Shape::from((rows, plane.div_ceil(8)));
        Bits::of_tensor(
            Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false),
            rows,
            plane,
        )
    }

    /// A tensor of `len` bytes that are not set yet.
    pub(super) fn fresh_bytes(&self, len: usize) -> Result<Tensor> {
        Ok(self.wrapped(self.buffer::<u8>(len)?, len))
    }

    /// The first `len` elements of a buffer, as a tensor.
    pub(super) fn wrapped<T: CudaDType>(&self, buffer: cudarc::driver::CudaSlice<T>, len: usize) -> Tensor {
        let storage = CudaStorage::wrap_cuda_slice(buffer, self.device.clone());
        Tensor::from_storage(Storage::Cuda(storage), len, BackpropOp::none(), false)
    }

    /// A buffer of the stream's pool.
    pub(super) fn buffer<T: DeviceRepr>(&self, len: usize) -> Result<cudarc::driver::CudaSlice<T>> {
        // SAFETY: all bit patterns of the number types are values, and the caller's kernel writes before anyone reads.
        // At least one element, for the driver refuses an empty allocation.
        unsafe { self.device.cuda_stream().alloc::<T>(len.max(1)) }
            .map_err(|e| out_of_memory(self.op, len.max(1) * size_of::<T>(), &e))
    }

    /// Numbers of the host on the device.
    pub(super) fn upload<T: DeviceRepr>(&self, values: &[T]) -> Result<cudarc::driver::CudaSlice<T>> {
        self.device
            .cuda_stream()
            .clone_htod(values)
            .map_err(|e| out_of_memory(self.op, size_of_val(values), &e))
    }

    /// Numbers of the device on the host; waits for the device.
    pub(super) fn download<T: DeviceRepr>(&self, values: &cudarc::driver::CudaSlice<T>) -> Result<Vec<T>> {
        self.device.cuda_stream().clone_dtoh(values).map_err(|e| driver(self.op, &e))
    }

    /// The address of a whole buffer.
    pub(super) fn of_buffer<T>(&self, buffer: &cudarc::driver::CudaSlice<T>) -> Address {
        buffer.device_ptr(buffer.stream()).0
    }
}

fn same(a: &CudaDevice, b: &CudaDevice) -> bool {
    a.id() == b.id()
}

/// What the driver said to a call.
pub(super) fn driver(op: &'static str, error: &DriverError) -> Error {
    Error::Driver { op, message: error.to_string() }
}

/// An allocation that failed: out of memory with the bytes asked for, or whatever else the driver said.
pub(super) fn out_of_memory(op: &'static str, bytes: usize, error: &DriverError) -> Error {
    if error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY {
        Error::OutOfMemory { op, bytes }
    } else {
        driver(op, error)
    }
}

/// The type that an op on numbers of both is compiled for: the half, if one is.
pub(super) fn narrower(a: DType, b: DType) -> DType {
    if held::is_half(b) { b } else { a }
}

/// The type that an op computes in when its operand may be spikes.
pub(super) fn dtype_of(x: Operand, spikes: DType) -> DType {
    x.dtype_or(spikes)
}
