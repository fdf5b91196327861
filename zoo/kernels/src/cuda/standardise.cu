// Scaled weight standardisation. One block an output of n weights.
//
//   what = gain * (w - mean) * r      r = 1 / sqrt(var * n + eps)      var = sum (w - mean)^2 / freedom
//   dw = gain * r * (g - mean(g) - z * (g . z) * n / freedom)      dgain = g . z      z = (w - mean) * r

__device__ __forceinline__ void statistics(const real* w, u64 n, double freedom, double eps, double* mean, double* r) {
    double sum = 0;
    for (u64 i = threadIdx.x; i < n; i += THREADS) sum += (double)w[i];
    *mean = sum_of_block(sum) / (double)n;
    double square = 0;
    for (u64 i = threadIdx.x; i < n; i += THREADS) square += ((double)w[i] - *mean) * ((double)w[i] - *mean);
    double var = sum_of_block(square) / freedom;
    *r = 1.0 / sqrt(var * (double)n + eps);
}

extern "C" __global__ void forward(const real* w, const real* gain, u64 n, double freedom, double eps, real* out) {
    u64 o = blockIdx.x;
    double mean, r;
    statistics(w + o * n, n, freedom, eps, &mean, &r);
    double slope = (gain ? (double)gain[o] : 1.0) * r;
    for (u64 i = threadIdx.x; i < n; i += THREADS) out[o * n + i] = (real)(((double)w[o * n + i] - mean) * slope);
}

extern "C" __global__ void backward(const real* w, const real* gain, const real* g, u64 n, double freedom, double eps,
                                    real* dw, int accumulate, real* dgain, int accumulate_gain) {
    u64 o = blockIdx.x;
    const real *weights = w + o * n, *pulls = g + o * n;
    double mean, r, factor = gain ? (double)gain[o] : 1.0;
    statistics(weights, n, freedom, eps, &mean, &r);
    double sum = 0, dot = 0;
    for (u64 i = threadIdx.x; i < n; i += THREADS) {
        sum += (double)pulls[i];
        dot += (double)pulls[i] * ((double)weights[i] - mean) * r;
    }
    sum = sum_of_block(sum) / (double)n;
    dot = sum_of_block(dot);
    double bend = dot * (double)n / freedom;
    for (u64 i = threadIdx.x; i < n; i += THREADS) {
        double grad = factor * r * ((double)pulls[i] - sum - ((double)weights[i] - mean) * r * bend);
        dw[o * n + i] = (real)(accumulate ? (double)dw[o * n + i] + grad : grad);
    }
    if (dgain && threadIdx.x == 0) dgain[o] = (real)(accumulate_gain ? (double)dgain[o] + dot : dot);
}
