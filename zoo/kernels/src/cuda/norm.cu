// Sums over images and places, and the norms made of them.
//
//   x, y [groups * n, c, plane]; a channel is one of groups * c
//   m = mean(x)  v = mean(x^2) - m^2                                     moments
//   scale = gain * gamma / sqrt(v + eps)  shift = beta - m * scale       fold
//   dx = scale * (dy - mean(dy) - xh * mean(dy * xh))                    backward
//
// The values of a channel are cut in `splits` equal parts, one block each; then one thread a channel adds the parts in
// order. Both numbers come from the shape, so the order of a sum does too. All sums are double.

// parts[channel, split] = [sum a, sum a * b]; grid (channels, splits)
extern "C" __global__ void sum_channels(const held* a, const held* b, u64 n, u64 c, u64 plane, double* parts) {
    u64 channel = blockIdx.x, group = channel / c, ch = channel % c;
    u64 values = n * plane, each = (values + gridDim.y - 1) / gridDim.y;
    u64 from = blockIdx.y * each, to = from + each < values ? from + each : values;
    double single = 0, both = 0;
    for (u64 i = from + threadIdx.x; i < to; i += THREADS) {
        u64 at = ((group * n + i / plane) * c + ch) * plane + i % plane;
        single += (double)a[at];
        both += (double)a[at] * (double)b[at];
    }
    single = sum_of_block(single);
    both = sum_of_block(both);
    if (threadIdx.x == 0) {
        u64 out = (channel * gridDim.y + blockIdx.y) * 2;
        parts[out] = single;
        parts[out + 1] = both;
    }
}

__device__ __forceinline__ void add_parts(const double* parts, u64 channel, u64 splits, double* single, double* both) {
    *single = 0;
    *both = 0;
    for (u64 k = 0; k < splits; ++k) {
        *single += parts[(channel * splits + k) * 2];
        *both += parts[(channel * splits + k) * 2 + 1];
    }
}

// Mean and biased variance of each channel.
extern "C" __global__ void moments(const double* parts, u64 splits, double count, real* mean, real* var, u64 channels) {
    u64 i = element();
    if (i >= channels) return;
    double sum, square;
    add_parts(parts, i, splits, &sum, &square);
    double m = sum / count, v = square / count - m * m;
    mean[i] = (real)m;
    var[i] = (real)(v > 0 || v != v ? v : 0);
}

// Scale and shift of each channel; gamma and beta [c] may be missing.
extern "C" __global__ void fold(const real* mean, const real* var, double eps, double gain, const real* gamma,
                                const real* beta, u64 c, real* scale, real* shift, u64 channels) {
    u64 i = element();
    if (i >= channels) return;
    double inverse = 1.0 / sqrt((double)var[i] + eps);
    double slope = gain * (gamma ? (double)gamma[i % c] : 1.0) * inverse;
    scale[i] = (real)slope;
    shift[i] = (real)((beta ? (double)beta[i % c] : 0.0) - (double)mean[i] * slope);
}

// From the sums of dy and dy * x: the four numbers of a channel that bend dy, and [sum dy, sum dy * xh].
extern "C" __global__ void bend(const double* parts, u64 splits, double count, const real* mean, const real* var,
                                double eps, double gain, const real* gamma, u64 c, real* four, double* sums, u64 channels) {
    u64 i = element();
    if (i >= channels) return;
    double sum, dot, m = (double)mean[i];
    add_parts(parts, i, splits, &sum, &dot);
    double inverse = 1.0 / sqrt((double)var[i] + eps);
    dot = (dot - m * sum) * inverse;
    four[i * 4] = (real)(gain * (gamma ? (double)gamma[i % c] : 1.0) * inverse);
    four[i * 4 + 1] = (real)(sum / count);
    four[i * 4 + 2] = (real)m;
    four[i * 4 + 3] = (real)(dot / count * inverse);
    sums[i * 2] = sum;
    sums[i * 2 + 1] = dot;
}

// dy becomes dx.
extern "C" __global__ void bend_apply(const held* x, held* dy, const real* four, u64 n, u64 c, u64 plane, u64 len) {
    u64 i = element();
    if (i >= len) return;
    u64 row = i / plane;
    const real* k = four + (row / (n * c) * c + row % c) * 4;
    dy[i] = k[0] * (dy[i] - k[1] - (x[i] - k[2]) * k[3]);
}

// into[ch] (+)= factor * sum over groups of sums[group, ch, which], over the `stride` numbers a channel has
extern "C" __global__ void over_groups(const double* sums, u64 groups, u64 stride, u64 which, double factor, real* into,
                                       int accumulate, u64 c) {
    u64 ch = element();
    if (ch >= c) return;
    double sum = 0;
    for (u64 g = 0; g < groups; ++g) sum += sums[(g * c + ch) * stride + which];
    sum *= factor;
    into[ch] = (real)(accumulate ? (double)into[ch] + sum : sum);
}

// One number a channel from its parts: into[ch] (+)= sum of a (which 0) or of a * b (which 1).
extern "C" __global__ void store_channels(const double* parts, u64 splits, u64 which, real* into, int accumulate, u64 c) {
    u64 ch = element();
    if (ch >= c) return;
    double two[2];
    add_parts(parts, ch, splits, &two[0], &two[1]);
    into[ch] = (real)(accumulate ? (double)into[ch] + two[which] : two[which]);
}

// The same over all channels, into one number. One thread.
extern "C" __global__ void store_total(const double* parts, u64 splits, u64 which, real* into, int accumulate, u64 c) {
    if (element() != 0) return;
    double total = 0;
    for (u64 ch = 0; ch < c; ++ch) {
        double two[2];
        add_parts(parts, ch, splits, &two[0], &two[1]);
        total += two[which];
    }
    into[0] = (real)(accumulate ? (double)into[0] + total : total);
}

// Running statistics move towards those of one group.
extern "C" __global__ void update_running(real* running, const real* batch, double factor, double momentum, u64 c) {
    u64 i = element();
    if (i < c) running[i] = (real)((double)running[i] + momentum * ((double)batch[i] * factor - (double)running[i]));
}
