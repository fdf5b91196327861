// Carried states on a grid of 2^-bits: whole numbers of grid steps, kept in floating point.
//
//   C[0] = round(f)        C[t] = round(f) + floor(n C[t-1] / 64)        n = round(64 alpha[ch]), not 0, sign kept
//
// What the floor loses is written as a code on the host only (see remainder/code.rs): no kernel for it yet.

// n of a factor; halves go away from zero.
__device__ __forceinline__ int units(real alpha) {
    int n = (int)round((double)alpha * 64.0);
    return n != 0 ? n : (double)alpha * 64.0 < 0 ? -1 : 1;
}

// The integer of a whole number, cut to 2^30; a NaN is cut too.
__device__ __forceinline__ int whole(real x) {
    const real most = (real)1073741824;
    x = x > -most ? x : -most;
    x = x < most ? x : most;
    return (int)x;
}

// The factors n / 64 that stand for alpha.
extern "C" __global__ void factors(const real* alpha, real* out, u64 len) {
    u64 i = element();
    if (i < len) out[i] = (real)((double)units(alpha[i]) / 64.0);
}

// Zero is added so that there is one zero.
extern "C" __global__ void start(const real* f, real up, real down, real* out, u64 len) {
    u64 i = element();
    if (i < len) out[i] = round_even(f[i] * up) * down + (real)0;
}

// Products with |n| <= 64 fit an int; larger factors take double. A factor that is no number, or 512 and above, gives
// states that are no numbers, for the caller to refuse.
extern "C" __global__ void carry(const real* f, const real* prev, const real* alpha, u64 ch, u64 plane, real up, real down,
                                 real* out, u64 len) {
    u64 i = element();
    if (i >= len) return;
    real a = alpha[i / plane % ch], rounded = round_even(f[i] * up);
    if (!(magnitude(a) < (real)512)) {
        out[i] = a - a + (real)0 / (a - a);
        return;
    }
    int n = units(a);
    if (n <= 64 && n >= -64) {
        // An arithmetic shift is a floor.
        int kept = (int)((u32)whole(prev[i] * up) * (u32)n) >> 6;
        out[i] = ((real)kept + rounded) * down;
    } else {
        double kept = floor((double)(prev[i] * up) * (double)n / 64.0);
        out[i] = (real)(kept + (double)rounded + 0.0) * down;
    }
}
