//! Convolutions through cuDNN; see [`crate::conv`].
//!
//! A plan is made once for each shape, direction and number type: descriptors, the fastest algorithm that is
//! deterministic, its workspace. Forward and rebuild use the same plan, hence the same bits. `f32` is computed in `f32`:
//! without tensor cores, which would round the factors to fewer bits. All plans of a device share one workspace, as its
//! one stream runs one convolution at a time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use candle_core::Tensor;
use candle_core::cuda_backend::DeviceId;
use cudarc::cudnn::{CudnnError, result, sys};
use cudarc::driver::CudaSlice;

use super::tensor::Address;
use super::{Gpu, Number, by_number, launch};
use crate::bits::Bits;
use crate::conv::ConvShape;
use crate::cuda::{launch as grid, source};
use crate::{Error, Operand, Result};

/// Which of the three products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Direction {
    Forward,
    Input,
    Weight,
}

/// An algorithm of a direction.
#[derive(Clone, Copy, Debug)]
enum Algorithm {
    Forward(sys::cudnnConvolutionFwdAlgo_t),
    Input(sys::cudnnConvolutionBwdDataAlgo_t),
    Weight(sys::cudnnConvolutionBwdFilterAlgo_t),
}

/// Descriptors of one call, which go with it.
struct Descriptors {
    x: sys::cudnnTensorDescriptor_t,
    w: sys::cudnnFilterDescriptor_t,
    y: sys::cudnnTensorDescriptor_t,
    conv: sys::cudnnConvolutionDescriptor_t,
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        // SAFETY: made by `Descriptors::new`, alive until here, and destroyed once; a null was never made. What cuDNN
        // says to it can't be told to anyone.
        unsafe {
            if !self.x.is_null() {
                let _ = result::destroy_tensor_descriptor(self.x);
            }
            if !self.y.is_null() {
                let _ = result::destroy_tensor_descriptor(self.y);
            }
            if !self.w.is_null() {
                let _ = result::destroy_filter_descriptor(self.w);
            }
            if !self.conv.is_null() {
                let _ = result::destroy_convolution_descriptor(self.conv);
            }
        }
    }
}

struct Plan {
    of: Descriptors,
    algorithm: Algorithm,
    workspace: usize,
}

/// What a thread keeps for a device: cuDNN's handle belongs to one thread at a time.
struct Library {
    handle: sys::cudnnHandle_t,
    plans: HashMap<(ConvShape, Direction, source::Number), Plan>,
    workspace: Option<CudaSlice<u8>>,
}

impl Drop for Library {
    fn drop(&mut self) {
        self.plans.clear();
        // SAFETY: made by `Library::new` and destroyed once, after the plans.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

thread_local! {
    static LIBRARIES: RefCell<HashMap<DeviceId, Library>> = RefCell::new(HashMap::new());
}

fn failed(op: &'static str) -> impl Fn(CudnnError) -> Error {
    move |e| Error::Driver { op, message: format!("cuDNN: {e}") }
}

fn size(op: &'static str, value: usize) -> Result<c_int> {
    c_int::try_from(value).map_err(|_| Error::Rule {
        op,
        rule: "cuDNN's sizes are below 2^31",
        got: value.to_string(),
    })
}

impl Library {
    fn new(gpu: &Gpu) -> Result<Self> {
        let stream = gpu.device().cuda_stream();
        stream.context().bind_to_thread().map_err(|e| super::tensor::driver(gpu.op(), &e))?;
        let handle = result::create_handle().map_err(failed(gpu.op()))?;
        let library = Library { handle, plans: HashMap::new(), workspace: None };
        // SAFETY: both are alive; the stream lives as long as the device, whose id is the key of this library.
        unsafe { result::set_stream(handle, stream.cu_stream().cast()) }.map_err(failed(gpu.op()))?;
        Ok(library)
    }
}

impl Descriptors {
    fn new(op: &'static str, s: &ConvShape, number: source::Number) -> Result<Self> {
        use sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW as NCHW;
        let kind = match number {
            source::Number::F32 => sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
            source::Number::F64 => sys::cudnnDataType_t::CUDNN_DATA_DOUBLE,
            half @ (source::Number::Bf16 | source::Number::F16) => {
                return Err(Error::NoKernel { op, device: format!("CUDA in {half:?}") });
            }
        };
        let of = |values: [usize; 4]| -> Result<[c_int; 4]> {
            let mut all = [0; 4];
            for (to, value) in all.iter_mut().zip(values) {
                *to = size(op, value)?;
            }
            Ok(all)
        };
        let x = of([s.n, s.c_in, s.h, s.w])?;
        let y = of([s.n, s.c_out, s.out_h(), s.out_w()])?;
        let w = of([s.c_out, s.c_in / s.groups, s.kernel.0, s.kernel.1])?;
        let (pad, stride, groups) = (size(op, s.pad)?, size(op, s.stride)?, size(op, s.groups)?);
        let mut all = Descriptors { x: null_mut(), w: null_mut(), y: null_mut(), conv: null_mut() };
        all.x = result::create_tensor_descriptor().map_err(failed(op))?;
        all.y = result::create_tensor_descriptor().map_err(failed(op))?;
        all.w = result::create_filter_descriptor().map_err(failed(op))?;
        all.conv = result::create_convolution_descriptor().map_err(failed(op))?;
        let fill = || -> std::result::Result<(), CudnnError> {
            // SAFETY: the descriptors have just been made.
            unsafe {
                result::set_tensor4d_descriptor(all.x, NCHW, kind, x)?;
                result::set_tensor4d_descriptor(all.y, NCHW, kind, y)?;
                result::set_filter4d_descriptor(all.w, kind, NCHW, w)?;
                let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
                result::set_convolution2d_descriptor(all.conv, pad, pad, stride, stride, 1, 1, mode, kind)?;
                result::set_convolution_group_count(all.conv, groups)?;
                result::set_convolution_math_type(all.conv, sys::cudnnMathType_t::CUDNN_FMA_MATH)
            }
        };
        fill().map_err(failed(op))?;
        Ok(all)
    }
}

/// Asks cuDNN's heuristics, and takes the first answer that works, is deterministic and multiplies in full precision.
macro_rules! fastest {
    ($op:expr, $kind:ident, $algorithm:expr, |$many:ident, $found:ident, $answers:ident| $ask:expr) => {{
        // More than any direction has algorithms.
        const MANY: usize = 16;
        let mut answers = [std::mem::MaybeUninit::<sys::$kind>::uninit(); MANY];
        let mut found: c_int = 0;
        let ($many, $found, $answers) =
            (MANY as c_int, &raw mut found, answers.as_mut_ptr().cast::<sys::$kind>());
        $ask.map_err(failed($op))?;
        let found = usize::try_from(found).unwrap_or(0).min(MANY);
        answers[..found]
            .iter()
            // SAFETY: cuDNN has written as many answers as it says.
            .map(|answer| unsafe { answer.assume_init() })
            .find(|answer| {
                answer.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS
                    && answer.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC
                    // The default is told of algorithms that have no other way.
                    && matches!(
                        answer.mathType,
                        sys::cudnnMathType_t::CUDNN_FMA_MATH | sys::cudnnMathType_t::CUDNN_DEFAULT_MATH
                    )
            })
            .map(|answer| ($algorithm(answer.algo), answer.memory))
    }};
}

impl Plan {
    fn new(
        op: &'static str,
        handle: sys::cudnnHandle_t,
        s: &ConvShape,
        direction: Direction,
        number: source::Number,
    ) -> Result<Self> {
        let of = Descriptors::new(op, s, number)?;
        let chosen = match direction {
            Direction::Forward => {
                fastest!(op, cudnnConvolutionFwdAlgoPerf_t, Algorithm::Forward, |many, found, answers| {
                    // SAFETY: handle and descriptors are alive, and `answers` has room for `many`.
                    unsafe {
                        result::get_convolution_forward_algorithm(
                            handle, of.x, of.w, of.conv, of.y, many, found, answers,
                        )
                    }
                })
            }
            Direction::Input => {
                fastest!(op, cudnnConvolutionBwdDataAlgoPerf_t, Algorithm::Input, |many, found, answers| {
                    // SAFETY: handle and descriptors are alive, and `answers` has room for `many`.
                    unsafe {
                        result::get_convolution_backward_data_algorithm(
                            handle, of.w, of.y, of.conv, of.x, many, found, answers,
                        )
                    }
                })
            }
            Direction::Weight => fastest!(
                op,
                cudnnConvolutionBwdFilterAlgoPerf_t,
                Algorithm::Weight,
                |many, found, answers| {
                    // SAFETY: handle and descriptors are alive, and `answers` has room for `many`.
                    unsafe {
                        result::get_convolution_backward_filter_algorithm(
                            handle, of.x, of.y, of.conv, of.w, many, found, answers,
                        )
                    }
                }
            ),
        };
        let (algorithm, workspace) = chosen.ok_or_else(|| Error::Rule {
            op,
            rule: "cuDNN must have a deterministic algorithm in full precision",
            got: format!("none for {s:?}"),
        })?;
        Ok(Plan { of, algorithm, workspace })
    }
}

/// Runs one product on addresses; `beta` is 0 to write the result and 1 to add it.
fn run<T: Number>(
    gpu: &Gpu,
    s: &ConvShape,
    [x, w, y]: [Address; 3],
    direction: Direction,
    beta: f64,
) -> Result<()> {
    let op = gpu.op();
    LIBRARIES.with_borrow_mut(|libraries| {
        let Library { handle, plans, workspace } = match libraries.entry(gpu.device().id()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(first) => first.insert(Library::new(gpu)?),
        };
        let plan = match plans.entry((*s, direction, T::NUMBER)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(first) => first.insert(Plan::new(op, *handle, s, direction, T::NUMBER)?),
        };
        if workspace.as_ref().map_or(0, CudaSlice::len) < plan.workspace {
            // The old one first, so that the two are never held together.
            *workspace = None;
            *workspace = Some(gpu.buffer::<u8>(plan.workspace)?);
        }
        let room = workspace.as_ref().map_or(0, |room| gpu.of_buffer(room)) as *mut c_void;
        let (x, w, y) = (x as *mut c_void, w as *mut c_void, y as *mut c_void);
        let scalars = [<T as crate::real::Real>::ONE, <T as crate::real::Real>::of(beta)];
        let [one, beta] =
            [(&raw const scalars[0]).cast::<c_void>(), (&raw const scalars[1]).cast::<c_void>()];
        let (handle, of, bytes) = (*handle, &plan.of, plan.workspace);
        // SAFETY: the addresses are those of tensors with the shape's lengths on this device; the workspace has the
        // bytes of the plan; factors are of the type that cuDNN takes for the number type, and are read at once.
        unsafe {
            match plan.algorithm {
                Algorithm::Forward(algorithm) => result::convolution_forward(
                    handle, one, of.x, x, of.w, w, of.conv, algorithm, room, bytes, beta, of.y, y,
                ),
                Algorithm::Input(algorithm) => result::convolution_backward_data(
                    handle, one, of.w, w, of.y, y, of.conv, algorithm, room, bytes, beta, of.x, x,
                ),
                Algorithm::Weight(algorithm) => result::convolution_backward_filter(
                    handle, one, of.x, x, of.y, y, of.conv, algorithm, room, bytes, beta, of.w, w,
                ),
            }
        }
        .map_err(failed(op))
    })
}

/// Numbers for cuDNN: spikes are expanded for the length of a call.
pub(super) fn expanded(op: &'static str, x: Operand, like: &Tensor) -> Result<Tensor> {
    match x {
        Operand::Dense(x) => Ok(x.clone()),
        Operand::Spikes(bits) => super::bits::unpack(op, bits as &Bits, like.dtype()),
    }
}

pub(crate) fn forward(
    op: &'static str,
    s: &ConvShape,
    x: Operand,
    w: &Tensor,
    b: Option<&Tensor>,
) -> Result<Tensor> {
    let (gpu, x) = (Gpu::of(op, w)?, expanded(op, x, w)?);
    by_number!(op, w.dtype(), T => {
        let y = gpu.fresh::<T>((s.n, s.c_out, s.out_h(), s.out_w()))?;
        let to = gpu.at::<T>("y", &y, s.output_len())?;
        let at = [gpu.at::<T>("x", &x, s.input_len())?, gpu.at::<T>("w", w, s.weight_len())?, to];
        if s.output_len() > 0 {
            run::<T>(&gpu, s, at, Direction::Forward, 0.0)?;
        }
        if let Some(b) = b {
            add_bias::<T>(&gpu, to, b, (s.c_out, s.out_h() * s.out_w()), s.output_len())?;
        }
        Ok(y)
    })
}

/// `y += b` for each channel.
pub(super) fn add_bias<T: Number>(
    gpu: &Gpu,
    y: Address,
    b: &Tensor,
    (c, plane): (usize, usize),
    len: usize,
) -> Result<()> {
    let b = gpu.at::<T>("b", b, c)?;
    launch!(
        gpu,
        CHANNELS,
        T,
        0,
        "add_bias",
        grid::elements(gpu.op(), len)?,
        [y, b, c as u64, plane.max(1) as u64, len as u64]
    );
    Ok(())
}

pub(crate) fn backward_input(op: &'static str, s: &ConvShape, dy: &Tensor, w: &Tensor) -> Result<Tensor> {
    let gpu = Gpu::of(op, w)?;
    by_number!(op, w.dtype(), T => {
        let dx = gpu.fresh::<T>((s.n, s.c_in, s.h, s.w))?;
        let at = [
            gpu.at::<T>("dx", &dx, s.input_len())?,
            gpu.at::<T>("w", w, s.weight_len())?,
            gpu.at::<T>("dy", dy, s.output_len())?,
        ];
        if s.input_len() > 0 {
            run::<T>(&gpu, s, at, Direction::Input, 0.0)?;
        }
        Ok(dx)
    })
}

pub(crate) fn backward_weight(
    op: &'static str,
    s: &ConvShape,
    x: Operand,
    dy: &Tensor,
    into: &Tensor,
    accumulate: bool,
) -> Result<()> {
    let (gpu, x) = (Gpu::of(op, dy)?, expanded(op, x, dy)?);
    by_number!(op, dy.dtype(), T => {
        let at = [
            gpu.at::<T>("x", &x, s.input_len())?,
            gpu.at::<T>("into", into, s.weight_len())?,
            gpu.at::<T>("dy", dy, s.output_len())?,
        ];
        if s.n == 0 {
            return if accumulate { Ok(()) } else { super::elementwise::scale_assign(op, into, 0.0) };
        }
        run::<T>(&gpu, s, at, Direction::Weight, if accumulate { 1.0 } else { 0.0 })
    })
}
