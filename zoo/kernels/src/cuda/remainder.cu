// Carried states on a grid of 2^-bits: whole numbers of grid steps, kept in floating point.
//
//   C[0] = round(f)        C[t] = round(f) + floor(n C[t-1] / 64)        n = round(64 alpha[ch]), not 0, sign kept
//
// What the floor loses is written in the code of remainder/code.rs, in streams of RUN elements: one thread writes or reads
// one stream from its first element to its last. `starts` are their places and the end of the last.

// Elements of a stream; `launch.rs` has the same number.
#define RUN 1024

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
extern "C" __global__ void start(const held* f, real up, real down, real* out, u64 len) {
    u64 i = element();
    if (i < len) out[i] = round_even(f[i] * up) * down + (real)0;
}

// Products with |n| <= 64 fit an int; larger factors take double. A factor that is no number, or 512 and above, gives
// states that are no numbers, for the caller to refuse.
extern "C" __global__ void carry(const held* f, const real* prev, const real* alpha, u64 ch, u64 plane, real up, real down,
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

// Symbols of an interval, |n| = a < 64: the first u of them take k bits, the others k + 1.
struct Span {
    u32 k, u;
};

__device__ __forceinline__ Span span_of(u32 first, u32 a) {
    u32 m = (64 - first + a - 1) / a, k = 0;
    while (m >> (k + 1)) ++k;
    return {k, (2u << k) - m};
}

// A word, its first bit lowest.
struct Word {
    u32 bits, length;
};

__device__ __forceinline__ Word word_of(u32 residue, u32 a) {
    u32 i = residue / a;
    Span s = span_of(residue % a, a);
    if (i < s.u) return {i, s.k};
    return {(i + s.u) >> 1 | ((i + s.u) & 1) << s.k, s.k + 1};
}

// |n| where the product loses something, else 0.
__device__ __forceinline__ u32 losing(int n) { return n < 64 && n > -64 ? (u32)(n < 0 ? -n : n) : 0; }

__device__ __forceinline__ u32 residue(real state, real up, int n) { return (u32)whole(state * up) * (u32)n & 63; }

__device__ __forceinline__ u64 lesser(u64 a, u64 b) { return a < b ? a : b; }

// Bytes that each stream takes.
extern "C" __global__ void stream_bytes(const real* prev, const real* alpha, u64 ch, u64 plane, real up, u32* bytes,
                                        u64 len) {
    u64 stream = element(), i = stream * RUN;
    if (i >= len) return;
    u64 to = lesser(i + RUN, len);
    u32 bits = 0;
    while (i < to) {
        u64 row = i / plane, end = lesser((row + 1) * plane, to);
        int n = units(alpha[row % ch]);
        u32 a = losing(n);
        for (; a != 0 && i < end; ++i) bits += word_of(residue(prev[i], up, n), a).length;
        i = end;
    }
    bytes[stream] = (bits + 7) / 8;
}

extern "C" __global__ void encode(const real* prev, const real* alpha, u64 ch, u64 plane, real up, const u32* starts,
                                  u8* out, u64 len) {
    u64 stream = element(), i = stream * RUN;
    if (i >= len) return;
    u64 to = lesser(i + RUN, len);
    u8* at = out + starts[stream];
    u32 pending = 0, fill = 0;
    while (i < to) {
        u64 row = i / plane, end = lesser((row + 1) * plane, to);
        int n = units(alpha[row % ch]);
        u32 a = losing(n);
        for (; a != 0 && i < end; ++i) {
            Word word = word_of(residue(prev[i], up, n), a);
            pending |= word.bits << fill;
            fill += word.length;
            for (; fill >= 8; fill -= 8) {
                *at++ = (u8)pending;
                pending >>= 8;
            }
        }
        i = end;
    }
    if (fill > 0) *at = (u8)pending;
}

// The first state ceil(64 q / a) of the interval of q; 64 q as a whole number. See spans.rs for its rounding.
__device__ __forceinline__ int first_state(int q64, u32 a) {
    double state = ceil((double)q64 * (1.0 / (double)a) - 1.0 / 262144.0);
    state = state > -1073741824.0 ? state : -1073741824.0;
    return (int)(state < 1073741824.0 ? state : 1073741824.0);
}

// States from those they led to; `misfits` is 1 for a stream that does not end where its states do, or whose factors no
// state has. Without streams (no `starts`) they are empty.
extern "C" __global__ void recover(const real* c, const held* f, const real* alpha, u64 ch, u64 plane, real up, real down,
                                   const u8* bytes, const u32* starts, u8* misfits, real* out, u64 len) {
    u64 stream = element(), i = stream * RUN;
    if (i >= len) return;
    u64 to = lesser(i + RUN, len);
    const u8* from = starts ? bytes + starts[stream] : bytes;
    u64 size = starts ? starts[stream + 1] - starts[stream] : 0, at = 0;
    bool fits = true;
    while (i < to) {
        u64 row = i / plane, end = lesser((row + 1) * plane, to);
        real factor = alpha[row % ch];
        fits = fits && magnitude(factor) < (real)512;
        int n = units(factor), sign = n < 0 ? -1 : 1;
        u32 a = losing(n);
        for (; i < end; ++i) {
            if (a == 0) {
                double q = (double)(c[i] * up) - (double)round_even(f[i] * up);
                out[i] = (real)(ceil(64.0 * q / (double)(n < 0 ? -n : n)) * (double)sign + 0.0) * down;
                continue;
            }
            int q64 = (int)(((u32)whole(c[i] * up) - (u32)whole(round_even(f[i] * up))) * 64u);
            int state = first_state(q64, a);
            Span s = span_of((u32)state * a - (u32)q64 & 63, a);
            u64 byte = at / 8;
            u32 pending = (u32)(byte < size ? from[byte] : 0) | (u32)(byte + 1 < size ? from[byte + 1] : 0) << 8;
            pending >>= at % 8;
            u32 index = pending & ((1u << s.k) - 1), more = index >= s.u;
            if (more) index = 2 * index + (pending >> s.k & 1) - s.u;
            at += s.k + more;
            out[i] = (real)(int)(((u32)state + index) * (u32)sign) * down;
        }
    }
    misfits[stream] = (u8)!(fits && (at + 7) / 8 == size);
}
