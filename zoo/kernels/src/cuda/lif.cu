// Neurons over all steps of time, with the norm before them folded in.
//
//   I_t = x_t * scale + shift        u_t = decay * v_{t-1} + gain * I_t        s_t = 1[u_t - threshold >= 0]
//   gu_t = gs_t * h(u_t) + gv_t * dv/du        dI_t = gain * gu_t        gv_{t-1} = decay * gu_t
//
// STEPS is T, known when this is compiled, so that the membranes of a neuron stay in registers: nothing is stored
// between forward and backward, and backward computes them again with the forward's own code.
// Tensors are [T, rows, plane]; the channel of row r is r % channels.

#ifndef STEPS
#define STEPS 4
#endif
// Longer sequences keep their loop: their membranes live in local memory.
#if STEPS <= 16
#define OVER_STEPS _Pragma("unroll")
#else
#define OVER_STEPS _Pragma("unroll 1")
#endif
#define STEP_BY_STEP _Pragma("unroll 1")

// The neuron's constants; the host fills the same fields in the same order.
struct Cell {
    real decay, gain, threshold, reset_to, first, second;
    int reset;       // 0 soft, 1 hard, 2 none
    int detached, strict, time_gradient, smooth;
    int surrogate;   // 0 rectangle, 1 closed rectangle, 2 triangle, 3 sigmoid, 4 arc tangent, 5 window
};

static_assert(sizeof(Cell) == 6 * sizeof(real) + 6 * 4, "the host fills this");

// What a neuron reads; scale and v0 may be missing.
struct Input {
    const void* x;
    const real *scale, *shift, *v0;
    u64 rows, plane, channels;
    int constant;        // x has one step for all
    int affine_a_step;   // scale and shift have a row for each step
    int wide;            // x is a stream, which is no half, and so is its gradient
};

static_assert(sizeof(Input) == 9 * 8, "the host fills this");

__device__ __forceinline__ real current(const Input& in, int t, u64 i) {
    u64 row = i / in.plane, frame = in.rows * in.plane;
    real x = number_at(in.x, in.wide, (in.constant ? 0 : (u64)t * frame) + i);
    if (!in.scale) return x;
    u64 k = (in.affine_a_step ? (u64)t * in.channels : 0) + row % in.channels;
    return x * in.scale[k] + in.shift[k];
}

// The surrogate's derivative at membrane u, x = u - threshold.
__device__ __forceinline__ real slope(const Cell& c, real u, real x) {
    real a = c.first, b = c.second, one = 1, far = magnitude(x);
    switch (c.surrogate) {
        case 0: return far < a ? b : (real)0;
        case 1: return far <= a ? b : (real)0;
        case 2: {
            real h = a - a * a * far;
            return h > 0 ? h : (real)0;
        }
        case 3: {
            real e = power_of_e(-magnitude(a * x));
            return a * e / ((one + e) * (one + e));
        }
        case 4: {
            real y = b * x;
            return a / (one + y * y);
        }
        default: return u >= a && u <= b ? one : (real)0;
    }
}

// A function that the derivative belongs to, for finite differences; rare, so it is kept out of the loops.
__device__ __noinline__ real primitive(const Cell& c, real u, real x) {
    real a = c.first, b = c.second, one = 1, half = (real)0.5;
    switch (c.surrogate) {
        case 0:
        case 1: return b * ((x < -a ? -a : x > a ? a : x) + a);
        case 2: {
            real y = a * x;
            if (y <= -one) return 0;
            if (y >= one) return one;
            return y < 0 ? half * (one + y) * (one + y) : one - half * (one - y) * (one - y);
        }
        case 3: {
            real e = power_of_e(-magnitude(a * x));
            return x >= 0 ? one / (one + e) : e / (one + e);
        }
        case 4: return (real)atan((double)(b * x)) / (real)3.14159265358979323846 + half;
        default: return u < a ? (real)0 : u > b ? b - a : u - a;
    }
}

__device__ __forceinline__ real spike(const Cell& c, real u) {
    real x = u - c.threshold;
    if (c.smooth) return primitive(c, u, x);
    return x > 0 || (!c.strict && x == 0) ? (real)1 : (real)0;
}

__device__ __forceinline__ real charge(const Cell& c, real v, real i) { return c.decay * v + c.gain * i; }

__device__ __forceinline__ real reset(const Cell& c, real u, real s) {
    if (c.reset == 0) return u - c.threshold * s;
    if (c.reset == 2) return u;
    if (c.smooth) return ((real)1 - s) * u + s * c.reset_to;
    return s == 1 ? c.reset_to : u;
}

// dv/du of one step.
__device__ __forceinline__ real through_reset(const Cell& c, real u, real s, real h) {
    if (c.reset == 2) return 1;
    if (c.reset == 0) return c.detached ? (real)1 : (real)1 - c.threshold * h;
    return c.detached ? (real)1 - s : (real)1 - s + (c.reset_to - u) * h;
}

// Spikes as bits, and the last membrane where asked for. One thread a byte: eight neurons of a row.
extern "C" __global__ void forward(Cell c, Input in, u8* spikes, real* last) {
    u64 at = element(), width = (in.plane + 7) / 8;
    if (at >= in.rows * width) return;
    u64 row = at / width, first = at % width * 8;
    u64 many = in.plane - first < 8 ? in.plane - first : 8;
    real v[8];
#pragma unroll
    for (int k = 0; k < 8; ++k) v[k] = in.v0 && k < many ? in.v0[row * in.plane + first + k] : (real)0;
    STEP_BY_STEP for (int t = 0; t < STEPS; ++t) {
        u32 byte = 0;
#pragma unroll
        for (int k = 0; k < 8; ++k) {
            if (k < many) {
                real u = charge(c, v[k], current(in, t, row * in.plane + first + k));
                real s = spike(c, u);
                v[k] = reset(c, u, s);
                byte |= (u32)(s == 1) << k;
            }
        }
        spikes[((u64)t * in.rows + row) * width + at % width] = (u8)byte;
    }
    if (!last) return;
#pragma unroll
    for (int k = 0; k < 8; ++k)
        if (k < many) last[row * in.plane + first + k] = v[k];
}

// The smooth stand-in as numbers. One thread a neuron.
extern "C" __global__ void forward_smooth(Cell c, Input in, held* out, real* last) {
    u64 i = element(), frame = in.rows * in.plane;
    if (i >= frame) return;
    real v = in.v0 ? in.v0[i] : (real)0;
    STEP_BY_STEP for (int t = 0; t < STEPS; ++t) {
        real u = charge(c, v, current(in, t, i));
        real s = spike(c, u);
        v = reset(c, u, s);
        out[(u64)t * frame + i] = s;
    }
    if (last) last[i] = v;
}

// The gradient of the current, one frame a step where `per_step`, else their sum; ds and di may be one buffer.
extern "C" __global__ void backward(Cell c, Input in, const held* ds, const real* dlast, int per_step, void* di,
                                    real* dv0) {
    u64 i = element(), frame = in.rows * in.plane;
    if (i >= frame) return;
    real u[STEPS];
    real v = in.v0 ? in.v0[i] : (real)0;
    OVER_STEPS for (int t = 0; t < STEPS; ++t) {
        u[t] = charge(c, v, current(in, t, i));
        v = reset(c, u[t], spike(c, u[t]));
    }
    real gv = dlast ? dlast[i] : (real)0, sum = 0;
    OVER_STEPS for (int t = STEPS - 1; t >= 0; --t) {
        real h = slope(c, u[t], u[t] - c.threshold);
        real gu = ds[(u64)t * frame + i] * h + gv * through_reset(c, u[t], spike(c, u[t]), h);
        gv = c.time_gradient ? c.decay * gu : (real)0;
        if (per_step) put(di, in.wide, (u64)t * frame + i, c.gain * gu);
        else sum += c.gain * gu;
    }
    if (!per_step) put(di, in.wide, i, sum);
    if (dv0) dv0[i] = gv;
}

// y = max(I, 0), and where it is positive. One thread a byte.
extern "C" __global__ void relu_forward(Input in, held* y, u8* sign) {
    u64 at = element(), width = (in.plane + 7) / 8;
    if (at >= STEPS * in.rows * width) return;
    u64 row = at / width, first = at % width * 8;
    int t = (int)(row / in.rows);
    u32 byte = 0;
    for (u64 k = 0; k < 8 && first + k < in.plane; ++k) {
        u64 i = row % in.rows * in.plane + first + k;
        real now = current(in, t, i);
        y[(u64)t * in.rows * in.plane + i] = now > 0 ? now : (real)0;
        byte |= (u32)(now > 0) << k;
    }
    sign[at] = (u8)byte;
}

// Where low <= I <= high. One thread a byte.
extern "C" __global__ void window(Input in, real low, real high, u8* open) {
    u64 at = element(), width = (in.plane + 7) / 8;
    if (at >= STEPS * in.rows * width) return;
    u64 row = at / width, first = at % width * 8;
    u32 byte = 0;
    for (u64 k = 0; k < 8 && first + k < in.plane; ++k) {
        real now = current(in, (int)(row / in.rows), row % in.rows * in.plane + first + k);
        byte |= (u32)(now >= low && now <= high) << k;
    }
    open[at] = (u8)byte;
}

// A presynaptic trace: a = decay * a + s.
extern "C" __global__ void trace(held* a, const u8* s, u64 plane, real decay, u64 len) {
    u64 i = element();
    if (i < len) a[i] = decay * a[i] + (real)bit_at(s, i, plane);
}
