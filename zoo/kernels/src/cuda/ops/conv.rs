//! Convolutions through cuDNN; see [`crate::conv`].
//!
//! A plan is made once for each shape, direction and lane: descriptors, the fastest algorithm that is
//! deterministic, its workspace. Forward and rebuild use the same plan, hence the same bits. `f32` is computed in `f32`:
//! without tensor cores, which would round the factors to fewer bits. How halves are computed stands in [`crate::cuda::plan`].
//! All plans of a device share one workspace, as its one stream runs one convolution at a time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use candle_core::Tensor;
use candle_core::cuda_backend::DeviceId;
use cudarc::cudnn::{CudnnError, result, sys};
use cudarc::driver::CudaSlice;

use super::tensor::{Address, Values};
use super::{Gpu, Number, by_number, launch};
use crate::bits::Bits;
use crate::conv::ConvShape;
use crate::cuda::launch as grid;
use crate::cuda::plan::{Data, Direction, Lane, Math, Offer, images_of_a_piece};
use crate::{Error, Operand, Result};

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
    plans: HashMap<(ConvShape, Direction, Lane), Plan>,
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
    fn new(op: &'static str, s: &ConvShape, lane: Lane) -> Result<Self> {
        use sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW as NCHW;
        let (kind, sums) = (data_type(lane.data()), data_type(lane.sums()));
        let math = match lane {
            Lane::Plain(_) if lane.by_tensor_cores() => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
            Lane::Plain(_) => sys::cudnnMathType_t::CUDNN_FMA_MATH,
            // Of `f32` it allows tensor cores, with factors of 11 bits.
            Lane::Widened => sys::cudnnMathType_t::CUDNN_DEFAULT_MATH,
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
                result::set_convolution2d_descriptor(all.conv, pad, pad, stride, stride, 1, 1, mode, sums)?;
                result::set_convolution_group_count(all.conv, groups)?;
                result::set_convolution_math_type(all.conv, math)
            }
        };
        fill().map_err(failed(op))?;
        Ok(all)
    }
}

fn data_type(data: Data) -> sys::cudnnDataType_t {
    match data {
        Data::Float => sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
        Data::Double => sys::cudnnDataType_t::CUDNN_DATA_DOUBLE,
        Data::Half => sys::cudnnDataType_t::CUDNN_DATA_HALF,
        Data::Bfloat16 => sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16,
    }
}

fn math_of(math: sys::cudnnMathType_t) -> Math {
    match math {
        sys::cudnnMathType_t::CUDNN_FMA_MATH => Math::Full,
        sys::cudnnMathType_t::CUDNN_DEFAULT_MATH => Math::Default,
        sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH => Math::TensorCores,
        sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION => Math::Converted,
    }
}

impl Algorithm {
    /// Whether it transforms its inputs first: by Fourier's or Winograd's.
    fn transforms(self) -> bool {
        use sys::cudnnConvolutionBwdDataAlgo_t as Data;
        use sys::cudnnConvolutionBwdFilterAlgo_t as Filter;
        use sys::cudnnConvolutionFwdAlgo_t as Forward;
        match self {
            Self::Forward(of) => matches!(
                of,
                Forward::CUDNN_CONVOLUTION_FWD_ALGO_FFT
                    | Forward::CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING
                    | Forward::CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD
                    | Forward::CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED
            ),
            Self::Input(of) => matches!(
                of,
                Data::CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT
                    | Data::CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING
                    | Data::CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD
                    | Data::CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED
            ),
            Self::Weight(of) => matches!(
                of,
                Filter::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT
                    | Filter::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING
                    | Filter::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD
                    | Filter::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED
            ),
        }
    }
}

/// Asks cuDNN's heuristics, and takes the first answer that the lane may take: the algorithm, and how it multiplies.
macro_rules! fastest {
    ($op:expr, $lane:expr, $kind:ident, $algorithm:expr, |$many:ident, $found:ident, $answers:ident| $ask:expr) => {{
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
                $lane.takes(Offer {
                    works: answer.status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS,
                    deterministic: answer.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC,
                    math: math_of(answer.mathType),
                    transforms: $algorithm(answer.algo).transforms(),
                })
            })
            .map(|answer| ($algorithm(answer.algo), answer.mathType))
    }};
}

impl Plan {
    fn new(
        op: &'static str,
        handle: sys::cudnnHandle_t,
        s: &ConvShape,
        direction: Direction,
        lane: Lane,
    ) -> Result<Self> {
        let of = Descriptors::new(op, s, lane)?;
        let chosen = match direction {
            Direction::Forward => {
                fastest!(
                    op,
                    lane,
                    cudnnConvolutionFwdAlgoPerf_t,
                    Algorithm::Forward,
                    |many, found, answers| {
                        // SAFETY: handle and descriptors are alive, and `answers` has room for `many`.
                        unsafe {
                            result::get_convolution_forward_algorithm(
                                handle, of.x, of.w, of.conv, of.y, many, found, answers,
                            )
                        }
                    }
                )
            }
            Direction::Input => {
                fastest!(
                    op,
                    lane,
                    cudnnConvolutionBwdDataAlgoPerf_t,
                    Algorithm::Input,
                    |many, found, answers| {
                        // SAFETY: handle and descriptors are alive, and `answers` has room for `many`.
                        unsafe {
                            result::get_convolution_backward_data_algorithm(
                                handle, of.w, of.y, of.conv, of.x, many, found, answers,
                            )
                        }
                    }
                )
            }
            Direction::Weight => fastest!(
                op,
                lane,
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
        let (algorithm, math) = chosen.ok_or_else(|| Error::Rule {
            op,
            rule: "cuDNN must have a deterministic algorithm that rounds nothing but its output",
            got: format!("none for {s:?} in {lane:?}"),
        })?;
        let room = || -> std::result::Result<usize, CudnnError> {
            // SAFETY: handle and descriptors are alive.
            unsafe {
                // In full precision the descriptor says so already, whatever the default would allow.
                if lane.by_tensor_cores() {
                    result::set_convolution_math_type(of.conv, math)?;
                }
                match algorithm {
                    Algorithm::Forward(algorithm) => result::get_convolution_forward_workspace_size(
                        handle, of.x, of.w, of.conv, of.y, algorithm,
                    ),
                    Algorithm::Input(algorithm) => result::get_convolution_backward_data_workspace_size(
                        handle, of.w, of.y, of.conv, of.x, algorithm,
                    ),
                    Algorithm::Weight(algorithm) => result::get_convolution_backward_filter_workspace_size(
                        handle, of.x, of.y, of.conv, of.w, algorithm,
                    ),
                }
            }
        };
        let workspace = room().map_err(failed(op))?;
        Ok(Plan { of, algorithm, workspace })
    }
}

/// Runs one product on addresses of numbers in the lane's type, and writes the result or adds it.
fn run(
    gpu: &Gpu,
    s: &ConvShape,
    [x, w, y]: [Address; 3],
    (direction, lane): (Direction, Lane),
    add: bool,
) -> Result<()> {
    let op = gpu.op();
    LIBRARIES.with_borrow_mut(|libraries| {
        let Library { handle, plans, workspace } = match libraries.entry(gpu.device().id()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(first) => first.insert(Library::new(gpu)?),
        };
        let plan = match plans.entry((*s, direction, lane)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(first) => first.insert(Plan::new(op, *handle, s, direction, lane)?),
        };
        if workspace.as_ref().map_or(0, CudaSlice::len) < plan.workspace {
            // The old one first, so that the two are never held together.
            *workspace = None;
            *workspace = Some(gpu.buffer::<u8>(plan.workspace)?);
        }
        let room = workspace.as_ref().map_or(0, |room| gpu.of_buffer(room)) as *mut c_void;
        let (x, w, y) = (x as *mut c_void, w as *mut c_void, y as *mut c_void);
        // Factors in the type of the sums.
        let beta = u8::from(add);
        let (floats, doubles) = ([1.0f32, f32::from(beta)], [1.0f64, f64::from(beta)]);
        let [one, beta] = [0, 1].map(|i| match lane.sums() {
            Data::Double => (&raw const doubles[i]).cast::<c_void>(),
            _ => (&raw const floats[i]).cast::<c_void>(),
        });
        let (handle, of, bytes) = (*handle, &plan.of, plan.workspace);
        // SAFETY: the addresses are those of tensors with the shape's lengths on this device; the workspace has the
        // bytes of the plan; factors are of the type that cuDNN takes for the lane, and are read at once.
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
    let gpu = Gpu::of(op, w)?;
    by_number!(op, w.dtype(), H => {
        let lane = Lane::of(H::NUMBER, Direction::Forward, b.is_some());
        if let (Lane::Widened, Some(b)) = (lane, b) {
            return forward_widened::<H>(&gpu, s, x, w, b);
        }
        let x = expanded(op, x, w)?;
        let y = gpu.fresh::<H>((s.n, s.c_out, s.out_h(), s.out_w()))?;
        let to = gpu.at::<H>("y", &y, s.output_len())?;
        let at = [gpu.at::<H>("x", &x, s.input_len())?, gpu.at::<H>("w", w, s.weight_len())?, to];
        if s.output_len() > 0 {
            run(&gpu, s, at, (Direction::Forward, lane), false)?;
        }
        if let Some(b) = b {
            add_bias::<H>(&gpu, to, b, (s.c_out, s.out_h() * s.out_w()), s.output_len())?;
        }
        Ok(y)
    })
}

/// `y += b` for each channel.
pub(super) fn add_bias<H: Number>(
    gpu: &Gpu,
    y: Address,
    b: &Tensor,
    (c, plane): (usize, usize),
    len: usize,
) -> Result<()> {
    let b = gpu.at::<H::Real>("b", b, c)?;
    launch!(
        gpu,
        CHANNELS,
        H,
        0,
        "add_bias",
        grid::elements(gpu.op(), len)?,
        [y, b, c as u64, plane.max(1) as u64, len as u64]
    );
    Ok(())
}

/// `out = y + b` for each channel, rounded once: `y` is not rounded yet.
pub(super) fn biased<H: Number>(
    gpu: &Gpu,
    y: Address,
    b: Address,
    (c, plane): (usize, usize),
    (out, len): (Address, usize),
) -> Result<()> {
    launch!(
        gpu,
        CHANNELS,
        H,
        0,
        "biased",
        grid::elements(gpu.op(), len)?,
        [y, b, c as u64, plane.max(1) as u64, out, len as u64]
    );
    Ok(())
}

/// Writes `len` values of an operand from value `from` on to `to`, widened.
fn widen<H: Number>(gpu: &Gpu, x: Values, (from, len): (usize, usize), to: &CudaSlice<f32>) -> Result<()> {
    launch!(
        gpu,
        ELEMENTWISE,
        H,
        0,
        "widen_part",
        grid::elements(gpu.op(), len)?,
        [x.at, x.kind, x.plane, from as u64, gpu.of_buffer(to), len as u64]
    );
    Ok(())
}

/// The pieces of a convolution on widened halves: the first image of each, and its shape.
fn pieces(s: &ConvShape) -> impl Iterator<Item = (usize, ConvShape)> + use<> {
    let (s, each) = (*s, images_of_a_piece(s));
    (0..s.n).step_by(each).map(move |first| (first, ConvShape { n: each.min(s.n - first), ..s }))
}

/// A convolution of halves with a bias: nothing is rounded before the bias is on.
fn forward_widened<H: Number>(
    gpu: &Gpu,
    s: &ConvShape,
    x: Operand,
    w: &Tensor,
    b: &Tensor,
) -> Result<Tensor> {
    let y = gpu.fresh::<H>((s.n, s.c_out, s.out_h(), s.out_w()))?;
    if s.output_len() == 0 {
        return Ok(y);
    }
    let (to, b) = (gpu.at::<H>("y", &y, s.output_len())?, gpu.at::<H::Real>("b", b, s.c_out)?);
    let (x, w) = (gpu.values::<H>(x, s.input_len())?, gpu.values::<H>(Operand::Dense(w), s.weight_len())?);
    let [inputs, outputs] = [s.input_len(), s.output_len()].map(|len| len / s.n);
    let each = images_of_a_piece(s);
    let wide = [each * inputs, s.weight_len(), each * outputs].map(|len| gpu.buffer::<f32>(len));
    let [wide_x, wide_w, wide_y] = wide;
    let (wide_x, wide_w, wide_y) = (wide_x?, wide_w?, wide_y?);
    widen::<H>(gpu, w, (0, s.weight_len()), &wide_w)?;
    let at = [&wide_x, &wide_w, &wide_y].map(|wide| gpu.of_buffer(wide));
    for (first, piece) in pieces(s) {
        widen::<H>(gpu, x, (first * inputs, piece.input_len()), &wide_x)?;
        run(gpu, &piece, at, (Direction::Forward, Lane::Widened), false)?;
        let place = to + (first * outputs * size_of::<H>()) as u64;
        let plane = s.out_h() * s.out_w();
        biased::<H>(gpu, at[2], b, (s.c_out, plane), (place, piece.output_len()))?;
    }
    Ok(y)
}

pub(crate) fn backward_input(op: &'static str, s: &ConvShape, dy: &Tensor, w: &Tensor) -> Result<Tensor> {
    let gpu = Gpu::of(op, w)?;
    by_number!(op, w.dtype(), H => {
        let dx = gpu.fresh::<H>((s.n, s.c_in, s.h, s.w))?;
        let at = [
            gpu.at::<H>("dx", &dx, s.input_len())?,
            gpu.at::<H>("w", w, s.weight_len())?,
            gpu.at::<H>("dy", dy, s.output_len())?,
        ];
        if s.input_len() > 0 {
            let lane = Lane::of(H::NUMBER, Direction::Input, false);
            run(&gpu, s, at, (Direction::Input, lane), false)?;
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
    let gpu = Gpu::of(op, dy)?;
    by_number!(op, dy.dtype(), H, R => {
        let to = gpu.at::<R>("into", into, s.weight_len())?;
        if s.n == 0 {
            return if accumulate { Ok(()) } else { super::elementwise::scale_assign(op, into, 0.0) };
        }
        let lane = Lane::of(H::NUMBER, Direction::Weight, false);
        if lane == Lane::Widened {
            return weight_widened::<H>(&gpu, s, x, dy, to, accumulate);
        }
        let x = expanded(op, x, dy)?;
        let at = [gpu.at::<H>("x", &x, s.input_len())?, to, gpu.at::<H>("dy", dy, s.output_len())?];
        run(&gpu, s, at, (Direction::Weight, lane), accumulate)
    })
}

/// The gradient of weights from halves, into an accumulator that is none: piece after piece on top of it.
fn weight_widened<H: Number>(
    gpu: &Gpu,
    s: &ConvShape,
    x: Operand,
    dy: &Tensor,
    into: Address,
    accumulate: bool,
) -> Result<()> {
    let (x, dy) = (gpu.values::<H>(x, s.input_len())?, gpu.values::<H>(Operand::Dense(dy), s.output_len())?);
    let [inputs, outputs] = [s.input_len(), s.output_len()].map(|len| len / s.n);
    let each = images_of_a_piece(s);
    let (wide_x, wide_dy) = (gpu.buffer::<f32>(each * inputs)?, gpu.buffer::<f32>(each * outputs)?);
    let at = [gpu.of_buffer(&wide_x), into, gpu.of_buffer(&wide_dy)];
    for (first, piece) in pieces(s) {
        widen::<H>(gpu, x, (first * inputs, piece.input_len()), &wide_x)?;
        widen::<H>(gpu, dy, (first * outputs, piece.output_len()), &wide_dy)?;
        run(gpu, &piece, at, (Direction::Weight, Lane::Widened), accumulate || first > 0)?;
    }
    Ok(())
}
