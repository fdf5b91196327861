// Rounding to a grid of 2^-exponent with a straight-through gradient, and the reversible mixing.

// out = round(x * up) * down: the multiple nearest to x, ties to even
extern "C" __global__ void round_to_grid(const held* x, real up, real down, real* out, u64 len) {
    u64 i = element();
    if (i < len) out[i] = round_even(x[i] * up) * down;
}

// out = x + round(f * up) * down; down has the sign
extern "C" __global__ void add_rounded(const real* x, const held* f, real up, real down, real* out, u64 len) {
    u64 i = element();
    if (i < len) out[i] = x[i] + round_even(f[i] * up) * down;
}

// out = f + alpha[ch] * prev, all [n, ch, plane]
extern "C" __global__ void mix(const held* f, const real* prev, const real* alpha, u64 ch, u64 plane, real* out, u64 len) {
    u64 i = element();
    if (i < len) out[i] = f[i] + alpha[i / plane % ch] * prev[i];
}

// out = (c - f) / alpha[ch]
extern "C" __global__ void unmix(const real* c, const held* f, const real* alpha, u64 ch, u64 plane, real* out, u64 len) {
    u64 i = element();
    if (i < len) out[i] = (c[i] - f[i]) / alpha[i / plane % ch];
}
