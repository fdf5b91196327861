// One number a channel or a row, and channels put together or apart; tensors are [n, c, plane].

// out = x * scale + shift, and other on top where there is one (numbers, or spikes in rows of `spike_plane`);
// scale and shift [groups, c], or [1, c] where `one_group` says so
extern "C" __global__ void affine(const void* x, int x_wide, const real* scale, const real* shift, int one_group,
                                  const void* other, int kind, u64 spike_plane, u64 n, u64 c, u64 plane, void* out,
                                  int out_wide, u64 len) {
    u64 i = element();
    if (i >= len) return;
    u64 row = i / plane, k = (one_group ? 0 : row / (n * c) * c) + row % c;
    real y = number_at(x, x_wide, i) * scale[k] + shift[k];
    put(out, out_wide, i, other ? y + value_at(other, kind, spike_plane, i) : y);
}

// out = x * alpha[c], or * alpha[0] where c is 1
extern "C" __global__ void channel_scale(const held* x, const real* alpha, u64 c, u64 plane, held* out, u64 len) {
    u64 i = element();
    if (i < len) out[i] = x[i] * alpha[i / plane % c] + (real)0;
}

// `width` values of each image from place `from` on: out[image, k] = x[image * stride + from + k]
extern "C" __global__ void take(const held* x, u64 stride, u64 from, u64 width, held* out, u64 len) {
    u64 i = element();
    if (i < len) out[i] = x[i / width * stride + from + i % width];
}

// The other way: out[image * stride + from + k] = x[image, k]
extern "C" __global__ void put(const held* x, u64 stride, u64 from, u64 width, held* out, u64 len) {
    u64 i = element();
    if (i < len) out[i / width * stride + from + i % width] = x[i];
}

// out[r] = sum over p of a[r, p] * b[r, p]; one block a row
extern "C" __global__ void row_dot(const void* a, int a_spikes, u64 a_plane, const void* b, int b_spikes, u64 b_plane,
                                   u64 plane, held* out) {
    double sum = 0;
    for (u64 p = threadIdx.x; p < plane; p += THREADS) {
        u64 i = (u64)blockIdx.x * plane + p;
        sum += (double)value_at(a, a_spikes, a_plane, i) * (double)value_at(b, b_spikes, b_plane, i);
    }
    sum = sum_of_block(sum);
    if (threadIdx.x == 0) out[blockIdx.x] = (real)sum;
}

// out[r, p] = x[r, p] * factor[r]
extern "C" __global__ void row_scale(const void* x, int x_spikes, u64 x_plane, const void* factor, int f_spikes,
                                     u64 f_plane, u64 plane, held* out, u64 len) {
    u64 i = element();
    if (i < len) out[i] = value_at(x, x_spikes, x_plane, i) * value_at(factor, f_spikes, f_plane, i / plane);
}

// out[r, i, j] = x[r, i / factor, j / factor]; h and w are those of x
extern "C" __global__ void upsample(const held* x, u64 h, u64 w, u64 factor, held* out, u64 len) {
    u64 i = element();
    if (i >= len) return;
    u64 wide = w * factor, column = i % wide, line = i / wide;
    u64 row = line / (h * factor), inside = line % (h * factor);
    out[i] = x[(row * h + inside / factor) * w + column / factor];
}

// dx[r, i, j] = sum of the gradients of its copies, line by line
extern "C" __global__ void upsample_backward(const held* dy, u64 h, u64 w, u64 factor, held* dx, u64 len) {
    u64 i = element();
    if (i >= len) return;
    u64 column = i % w, line = i / w;
    real sum = 0;
    for (u64 p = 0; p < factor; ++p)
        for (u64 q = 0; q < factor; ++q) sum += dy[(line * factor + p) * w * factor + column * factor + q];
    dx[i] = sum;
}

// y += b[c], all [n, c, plane]
extern "C" __global__ void add_bias(held* y, const real* b, u64 c, u64 plane, u64 len) {
    u64 i = element();
    if (i < len) y[i] += b[i / plane % c];
}

// The same from a result that is not rounded yet: out = y + b[c]
extern "C" __global__ void biased(const real* y, const real* b, u64 c, u64 plane, held* out, u64 len) {
    u64 i = element();
    if (i < len) out[i] = y[i] + b[i / plane % c];
}
