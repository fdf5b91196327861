// Sums, products and scalings, element by element. One thread an element.

// out = a + b
extern "C" __global__ void add(const void* a, int a_wide, const void* b, int b_wide, void* out, int out_wide, u64 len) {
    u64 i = element();
    if (i < len) put(out, out_wide, i, number_at(a, a_wide, i) + number_at(b, b_wide, i));
}

// out = a * b
extern "C" __global__ void mul(const held* a, const held* b, held* out, u64 len) {
    u64 i = element();
    if (i < len) out[i] = a[i] * b[i];
}

// dst += factor * src
extern "C" __global__ void add_assign(void* dst, int dst_wide, const void* src, int src_wide, real factor, u64 len) {
    u64 i = element();
    if (i < len) put(dst, dst_wide, i, number_at(dst, dst_wide, i) + factor * number_at(src, src_wide, i));
}

// out = factor * x; x may be spikes, and may be out
extern "C" __global__ void scale(const void* x, int spikes, u64 plane, real factor, held* out, u64 len) {
    u64 i = element();
    if (i < len) out[i] = value_at(x, spikes, plane, i) * factor;
}

// Every magnitude below floor is raised to it; a zero becomes floor.
extern "C" __global__ void floor_magnitude(held* x, real floor, u64 len) {
    u64 i = element();
    if (i >= len) return;
    if (x[i] >= 0 && x[i] < floor) x[i] = floor;
    else if (x[i] < 0 && x[i] > -floor) x[i] = -floor;
}

// out[i] = sum over t of x[t, i], in order
extern "C" __global__ void sum_steps(const held* x, u64 steps, held* out, u64 n) {
    u64 i = element();
    if (i >= n) return;
    real sum = x[i];
    for (u64 t = 1; t < steps; ++t) sum += x[t * n + i];
    out[i] = sum;
}

// The larger of two magnitudes; a NaN wins and stays.
__device__ __forceinline__ real larger(real a, real b) { return a >= b || is_nan(a) ? a : b; }

// The largest of one magnitude of each thread; every thread gets it.
__device__ __forceinline__ real largest_of_block(real mine) {
    __shared__ real parts[THREADS];
    parts[threadIdx.x] = mine;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) parts[threadIdx.x] = larger(parts[threadIdx.x], parts[threadIdx.x + half]);
        __syncthreads();
    }
    return parts[0];
}

// The largest magnitude of each block's elements, by one block.
extern "C" __global__ void max_abs(const held* x, real* most, u64 len) {
    real best = 0;
    for (u64 i = element(); i < len; i += (u64)gridDim.x * blockDim.x) best = larger(best, magnitude(x[i]));
    best = largest_of_block(best);
    if (threadIdx.x == 0) most[blockIdx.x] = best;
}

// The largest of what the blocks found. One block.
extern "C" __global__ void largest(const real* parts, u64 len, double* out) {
    real best = 0;
    for (u64 i = threadIdx.x; i < len; i += THREADS) best = larger(best, parts[i]);
    best = largest_of_block(best);
    if (threadIdx.x == 0) *out = (double)best;
}

// out = x, from one type to the other or in the same: a half is widened, a number rounded to the nearest half, ties to even.
extern "C" __global__ void convert(const void* x, int x_wide, void* out, int out_wide, u64 len) {
    u64 i = element();
    if (i < len) put(out, out_wide, i, number_at(x, x_wide, i));
}

// `len` values from value `from` on, widened; x may be spikes.
extern "C" __global__ void widen_part(const void* x, int kind, u64 plane, u64 from, real* out, u64 len) {
    u64 i = element();
    if (i < len) out[i] = value_at(x, kind, plane, from + i);
}
