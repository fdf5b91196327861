// Losses with their gradients; logits [b, k]. Each row's loss is a number of its own, and one block adds them.

// q[j] of a row: the shares of its classes, smoothed.
__device__ __forceinline__ double share(const u32* first, const u32* second, const double* shares, u64 row, u64 j) {
    double sum = 0;
    if (first[row] == j) sum += shares ? shares[row] : 1.0;
    if (shares && second[row] == j) sum += 1.0 - shares[row];
    return sum;
}

// One block a row; z is read three times and fits the cache.
extern "C" __global__ void cross_entropy(const held* z, const u32* first, const u32* second, const double* shares,
                                         double smoothing, u64 b, u64 k, double* losses, real* grad) {
    __shared__ double tops[THREADS];
    u64 row = blockIdx.x;
    const held* logits = z + row * k;
    double top = -1.0 / 0.0;
    for (u64 j = threadIdx.x; j < k; j += THREADS) top = fmax(top, (double)logits[j]);
    tops[threadIdx.x] = top;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) tops[threadIdx.x] = fmax(tops[threadIdx.x], tops[threadIdx.x + half]);
        __syncthreads();
    }
    top = tops[0];
    double total = 0, loss = 0;
    for (u64 j = threadIdx.x; j < k; j += THREADS) total += exp((double)logits[j] - top);
    total = log(sum_of_block(total));
    for (u64 j = threadIdx.x; j < k; j += THREADS) {
        double q = (1.0 - smoothing) * share(first, second, shares, row, j) + smoothing / (double)k;
        double log_p = (double)logits[j] - top - total;
        if (q != 0) loss -= q * log_p;
        grad[row * k + j] = (real)((exp(log_p) - q) / (double)b);
    }
    loss = sum_of_block(loss);
    if (threadIdx.x == 0) losses[row] = loss;
}

// Mean squared error against the classes' shares, or against `goal` where there are no classes. One block a row.
extern "C" __global__ void mse(const held* z, const u32* first, const u32* second, const double* shares, double goal,
                               u64 b, u64 k, double* losses, real* grad) {
    u64 row = blockIdx.x;
    double loss = 0;
    for (u64 j = threadIdx.x; j < k; j += THREADS) {
        double far = (double)z[row * k + j] - (first ? share(first, second, shares, row, j) : goal);
        loss += far * far;
        grad[row * k + j] = (real)(2.0 * far / ((double)b * (double)k));
    }
    loss = sum_of_block(loss);
    if (threadIdx.x == 0) losses[row] = loss;
}

// 1 for a row that is largest at its class, else 0; of equal logits the first counts. One thread a row.
extern "C" __global__ void hits(const held* z, const u32* classes, u64 b, u64 k, double* right) {
    u64 row = element();
    if (row >= b) return;
    u64 most = 0;
    for (u64 j = 1; j < k; ++j)
        if (z[row * k + j] > z[row * k + most]) most = j;
    right[row] = most == classes[row] ? 1 : 0;
}

// The sum of a number of each row, divided. One block.
extern "C" __global__ void total(const double* rows, u64 b, double divisor, double* out) {
    double sum = 0;
    for (u64 row = threadIdx.x; row < b; row += THREADS) sum += rows[row];
    sum = sum_of_block(sum);
    if (threadIdx.x == 0) *out = sum / divisor;
}
