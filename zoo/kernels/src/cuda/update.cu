// Parameter updates in place, one thread an element.
//
//   sgd   g' = g + wd * p;  v = momentum * v + g';  p -= lr * v       (nesterov: p -= lr * (g' + momentum * v))
//   adam  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= lr * (m / c1) / (sqrt(v / c2) + eps)
//   lamb  u = the same direction + wd * p;  p -= lr * r * u

extern "C" __global__ void descend(real* p, const real* g, real lr, real decay, u64 len) {
    u64 i = element();
    if (i < len) p[i] -= lr * (g[i] + decay * p[i]);
}

extern "C" __global__ void sgd(real* p, const real* g, real* v, real lr, real momentum, real decay, int nesterov, u64 len) {
    u64 i = element();
    if (i >= len) return;
    real pull = g[i] + decay * p[i];
    real speed = momentum * v[i] + pull;
    v[i] = speed;
    p[i] -= lr * (nesterov ? pull + momentum * speed : speed);
}

// The constants of the moving averages at one update; the host fills the same fields in the same order.
struct Moving {
    real b1, b2, rest1, rest2, unbias1, unbias2, eps;
};

static_assert(sizeof(Moving) == 7 * sizeof(real), "the host fills this");

__device__ __forceinline__ real direction(const Moving& k, real* m, real* v, real g) {
    *m = k.b1 * *m + k.rest1 * g;
    *v = k.b2 * *v + k.rest2 * g * g;
    return (*m * k.unbias1) / (root(*v * k.unbias2) + k.eps);
}

extern "C" __global__ void adam(real* p, const real* g, real* m, real* v, Moving k, real lr, real pull, real keep, u64 len) {
    u64 i = element();
    if (i >= len) return;
    real u = direction(k, m + i, v + i, g[i] + pull * p[i]);
    p[i] = p[i] * keep - lr * u;
}

extern "C" __global__ void lamb_direction(const real* p, const real* g, real* m, real* v, Moving k, real decay, real* u, u64 len) {
    u64 i = element();
    if (i < len) u[i] = direction(k, m + i, v + i, g[i]) + decay * p[i];
}

// LAMB's step by the sums of squares of p and u, in `blocks` parts each; trust: 0 off, 1 free, 2 at most 1
extern "C" __global__ void lamb_step(real* p, const real* u, const double* squares_p, const double* squares_u, u64 blocks,
                                     double lr, int trust, u64 len) {
    u64 i = element();
    if (i >= len) return;
    double ratio = 1;
    if (trust) {
        double weight = 0, change = 0;
        for (u64 k = 0; k < blocks; ++k) weight += squares_p[k];
        for (u64 k = 0; k < blocks; ++k) change += squares_u[k];
        weight = sqrt(weight);
        change = sqrt(change);
        ratio = weight > 0 && change > 0 ? weight / change : 1.0;
        if (trust == 2 && ratio > 1) ratio = 1;
    }
    real rate = (real)(lr * ratio);
    p[i] -= rate * (u[i] + (real)0 * p[i]);
}

// Scales units of g, `each` values long, down to `factor` times the norm of the same unit of p. One block a unit.
extern "C" __global__ void clip_units(const real* p, real* g, u64 each, double factor, double eps) {
    const real* weights = p + (u64)blockIdx.x * each;
    real* pulls = g + (u64)blockIdx.x * each;
    double weight = 0, pull = 0;
    for (u64 i = threadIdx.x; i < each; i += THREADS) {
        weight += (double)weights[i] * (double)weights[i];
        pull += (double)pulls[i] * (double)pulls[i];
    }
    weight = sqrt(sum_of_block(weight));
    pull = sqrt(sum_of_block(pull));
    double most = (weight > eps ? weight : eps) * factor;
    if (pull < most) return;  // the same for all threads of the block; a NaN goes on and stays to be seen
    real scale = (real)(most / (pull > 1e-6 || pull != pull ? pull : 1e-6));
    for (u64 i = threadIdx.x; i < each; i += THREADS) pulls[i] *= scale;
}

// average = keep * average + take * x
extern "C" __global__ void average(real* average, const real* x, real keep, real take, u64 len) {
    u64 i = element();
    if (i < len) average[i] = keep * average[i] + take * x[i];
}

extern "C" __global__ void swap(real* a, real* b, u64 len) {
    u64 i = element();
    if (i >= len) return;
    real kept = a[i];
    a[i] = b[i];
    b[i] = kept;
}

// Sums of squares, one part a block.
extern "C" __global__ void squares(const real* x, double* parts, u64 len) {
    double sum = 0;
    for (u64 i = element(); i < len; i += (u64)gridDim.x * blockDim.x) sum += (double)x[i] * (double)x[i];
    sum = sum_of_block(sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// The norm whose squares are summed up in parts. One block.
extern "C" __global__ void root_of_parts(const double* parts, u64 len, double* out) {
    double sum = 0;
    for (u64 i = threadIdx.x; i < len; i += THREADS) sum += parts[i];
    sum = sum_of_block(sum);
    if (threadIdx.x == 0) *out = sqrt(sum);
}

// x *= min(1, most / (norm + eps)), by a norm that lies here; a NaN leaves x as it is
extern "C" __global__ void shorten(real* x, const double* norm, double most, double eps, u64 len) {
    u64 i = element();
    double factor = most / (*norm + eps);
    if (i < len && factor < 1) x[i] *= (real)factor;
}
