// Pools over windows of a plane; x [rows, h, w]. Forward: one thread an output. Backward: one thread an input, which
// adds the windows that hold it in the order of their outputs, so that no two threads write one place.

// Sizes of a pool; the host fills the same fields in the same order.
struct Pool {
    u64 h, w, kernel, stride, pad, out_h, out_w;
};

static_assert(sizeof(Pool) == 7 * 8, "the host fills this");

// Places of window i inside an axis of `len`.
__device__ __forceinline__ void window(const Pool& s, u64 i, u64 len, u64* from, u64* to) {
    u64 start = i * s.stride, end = start + s.kernel;
    start = start > s.pad ? start - s.pad : 0;
    end = end > s.pad ? end - s.pad : 0;
    *from = start < len ? start : len;
    *to = end < len ? end : len;
}

// Windows that may hold place p of an axis: first and one behind the last.
__device__ __forceinline__ void holders(const Pool& s, u64 p, u64 outputs, u64* from, u64* to) {
    u64 at = p + s.pad;
    *from = at + 1 > s.kernel ? (at + 1 - s.kernel + s.stride - 1) / s.stride : 0;
    u64 end = at / s.stride + 1;
    *to = end < outputs ? end : outputs;
}

// A later value takes the place of the best so far if it is larger; a NaN does and stays.
__device__ __forceinline__ bool beats(real x, real best) { return x > best || (is_nan(x) && !is_nan(best)); }

// Place in its plane of the first maximum of window (i, j).
__device__ __forceinline__ u64 first_maximum(const Pool& s, const void* x, int spikes, u64 plane, u64 row, u64 i, u64 j) {
    u64 top, bottom, left, right;
    window(s, i, s.h, &top, &bottom);
    window(s, j, s.w, &left, &right);
    u64 first = row * s.h * s.w, best = top * s.w + left;
    real most = value_at(x, spikes, plane, first + best);
    for (u64 p = top; p < bottom; ++p)
        for (u64 q = left; q < right; ++q) {
            real now = value_at(x, spikes, plane, first + p * s.w + q);
            if (beats(now, most)) {
                most = now;
                best = p * s.w + q;
            }
        }
    return best;
}

__device__ __forceinline__ real places(const Pool& s, u64 rows, u64 columns, int count_pad) {
    u64 inside = rows * columns > 0 ? rows * columns : 1;
    return (real)(double)(count_pad ? s.kernel * s.kernel : inside);
}

extern "C" __global__ void avg_forward(Pool s, const void* x, int spikes, u64 plane, int count_pad, held* y, u64 len) {
    u64 o = element();
    if (o >= len) return;
    u64 j = o % s.out_w, i = o / s.out_w % s.out_h, row = o / s.out_w / s.out_h;
    u64 top, bottom, left, right;
    window(s, i, s.h, &top, &bottom);
    window(s, j, s.w, &left, &right);
    real sum = 0;
    for (u64 p = top; p < bottom; ++p)
        for (u64 q = left; q < right; ++q) sum += value_at(x, spikes, plane, (row * s.h + p) * s.w + q);
    y[o] = sum / places(s, bottom - top, right - left, count_pad);
}

extern "C" __global__ void avg_backward(Pool s, const held* dy, int count_pad, held* dx, u64 len) {
    u64 at = element();
    if (at >= len) return;
    u64 q = at % s.w, p = at / s.w % s.h, row = at / s.w / s.h, i0, i1, j0, j1;
    holders(s, p, s.out_h, &i0, &i1);
    holders(s, q, s.out_w, &j0, &j1);
    real sum = 0;
    for (u64 i = i0; i < i1; ++i)
        for (u64 j = j0; j < j1; ++j) {
            u64 top, bottom, left, right;
            window(s, i, s.h, &top, &bottom);
            window(s, j, s.w, &left, &right);
            sum += dy[(row * s.out_h + i) * s.out_w + j] / places(s, bottom - top, right - left, count_pad);
        }
    dx[at] = sum;
}

extern "C" __global__ void max_forward(Pool s, const void* x, int spikes, u64 plane, held* y, u64 len) {
    u64 o = element();
    if (o >= len) return;
    u64 j = o % s.out_w, i = o / s.out_w % s.out_h, row = o / s.out_w / s.out_h;
    y[o] = value_at(x, spikes, plane, row * s.h * s.w + first_maximum(s, x, spikes, plane, row, i, j));
}

// The maximum of bits is their OR. One thread a byte of a row of outputs.
extern "C" __global__ void max_bits(Pool s, const u8* x, u64 plane, u64 rows, u8* y) {
    u64 at = element(), out = s.out_h * s.out_w, width = (out + 7) / 8;
    if (at >= rows * width) return;
    u64 row = at / width;
    u32 byte = 0;
    for (u64 k = 0; k < 8; ++k) {
        u64 o = at % width * 8 + k, top, bottom, left, right;
        if (o >= out) break;
        window(s, o / s.out_w, s.h, &top, &bottom);
        window(s, o % s.out_w, s.w, &left, &right);
        int any = 0;
        for (u64 p = top; p < bottom; ++p)
            for (u64 q = left; q < right; ++q) any |= bit_at(x, (row * s.h + p) * s.w + q, plane);
        byte |= (u32)any << k;
    }
    y[at] = (u8)byte;
}

extern "C" __global__ void max_backward(Pool s, const void* x, int spikes, u64 plane, const held* dy, held* dx, u64 len) {
    u64 at = element();
    if (at >= len) return;
    u64 q = at % s.w, p = at / s.w % s.h, row = at / s.w / s.h, i0, i1, j0, j1;
    holders(s, p, s.out_h, &i0, &i1);
    holders(s, q, s.out_w, &j0, &j1);
    real sum = 0;
    for (u64 i = i0; i < i1; ++i)
        for (u64 j = j0; j < j1; ++j)
            if (first_maximum(s, x, spikes, plane, row, i, j) == p * s.w + q)
                sum += dy[(row * s.out_h + i) * s.out_w + j];
    dx[at] = sum;
}

// Bin i of `bins` on an axis of n places: floor(i n / bins) .. ceil((i + 1) n / bins).
__device__ __forceinline__ u64 bin_from(u64 i, u64 n, u64 bins) { return i * n / bins; }
__device__ __forceinline__ u64 bin_to(u64 i, u64 n, u64 bins) { return ((i + 1) * n + bins - 1) / bins; }

extern "C" __global__ void adaptive_forward(const void* x, int spikes, u64 plane, u64 h, u64 w, u64 oh, u64 ow, held* y, u64 len) {
    u64 o = element();
    if (o >= len) return;
    u64 j = o % ow, i = o / ow % oh, row = o / ow / oh;
    u64 top = bin_from(i, h, oh), bottom = bin_to(i, h, oh), left = bin_from(j, w, ow), right = bin_to(j, w, ow);
    real sum = 0;
    for (u64 p = top; p < bottom; ++p)
        for (u64 q = left; q < right; ++q) sum += value_at(x, spikes, plane, (row * h + p) * w + q);
    y[o] = sum / (real)(double)((bottom - top) * (right - left));
}

extern "C" __global__ void adaptive_backward(const held* dy, u64 h, u64 w, u64 oh, u64 ow, held* dx, u64 len) {
    u64 at = element();
    if (at >= len) return;
    u64 q = at % w, p = at / w % h, row = at / w / h;
    real sum = 0;
    // Bins grow with their index: from the first that ends behind the place to the last that begins before it.
    for (u64 i = 0; i < oh && bin_from(i, h, oh) <= p; ++i) {
        u64 bottom = bin_to(i, h, oh), top = bin_from(i, h, oh);
        if (bottom <= p) continue;
        for (u64 j = 0; j < ow && bin_from(j, w, ow) <= q; ++j) {
            u64 right = bin_to(j, w, ow), left = bin_from(j, w, ow);
            if (right <= q) continue;
            sum += dy[(row * oh + i) * ow + j] / (real)(double)((bottom - top) * (right - left));
        }
    }
    dx[at] = sum;
}

// The mean of each row; one block a row.
extern "C" __global__ void global_avg_forward(const void* x, int spikes, u64 spike_plane, u64 plane, held* y) {
    double sum = 0;
    for (u64 p = threadIdx.x; p < plane; p += THREADS)
        sum += (double)value_at(x, spikes, spike_plane, (u64)blockIdx.x * plane + p);
    sum = sum_of_block(sum);
    if (threadIdx.x == 0) y[blockIdx.x] = (real)(sum / (double)plane);
}

extern "C" __global__ void global_avg_backward(const held* dy, u64 plane, real share, held* dx, u64 len) {
    u64 i = element();
    if (i < len) dx[i] = dy[i / plane] * share;
}
