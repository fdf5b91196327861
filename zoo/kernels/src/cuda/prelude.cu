// What every source begins with. A source is compiled once for each number type: `real`, which is computed in, is float or
// double; `held`, which lies in memory between ops, is the same, or a half beside float: read as the float that it stands
// for, rounded to even where it is written.
// No fused multiply-add (--fmad=false) and no fast maths: a kernel without a sum over threads gives the CPU's bits.
// No atomics anywhere: a sum has one order, fixed by the shape.

typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned char u8;

#ifndef real
#define real float
#define IS_FLOAT 1
#endif

// What a half holds, and what it is read as. The host's compiler has a type for each; here are the bits.
#if defined(HELD_BF16)
__device__ __forceinline__ float widened(unsigned short bits) { return __int_as_float((int)((u32)bits << 16)); }
__device__ __forceinline__ unsigned short narrowed(float x) {
    u32 bits = (u32)__float_as_int(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (unsigned short)(bits >> 16 | 0x40u);  // a NaN stays one
    return (unsigned short)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
#elif defined(HELD_F16)
// 2^112 moves the exponents of a half to those of a float, numbers below the normal ones with them.
__device__ __forceinline__ float widened(unsigned short bits) {
    u32 sign = (u32)(bits & 0x8000u) << 16, rest = (u32)(bits & 0x7fffu) << 13;
    if (rest >= 0x0f800000u) return __int_as_float((int)(sign | rest | 0x70000000u));  // not finite
    float magnitude = __int_as_float((int)rest) * 5.192296858534828e33f;
    return __int_as_float((int)(sign | (u32)__float_as_int(magnitude)));
}
__device__ __forceinline__ unsigned short narrowed(float x) {
    u32 bits = (u32)__float_as_int(x), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return (unsigned short)(sign | 0x7e00u | rest >> 13 & 0x3ffu);
    if (rest >= 0x477ff000u) return (unsigned short)(sign | 0x7c00u);  // from 65520 on
    if (rest < 0x38800000u) {
        // Below 2^-14 a half has steps of 2^-24: adding 2^-1 leaves them in the last bits, rounded to even.
        float shifted = __int_as_float((int)rest) + 0.5f;
        return (unsigned short)(sign | ((u32)__float_as_int(shifted) - 0x3f000000u));
    }
    return (unsigned short)(sign | ((rest + 0xfffu + (rest >> 13 & 1u)) - 0x38000000u) >> 13);
}
#endif

#if defined(HELD_BF16) || defined(HELD_F16)
struct held {
    unsigned short bits;
    __device__ __forceinline__ operator float() const { return widened(bits); }
    __device__ __forceinline__ held& operator=(float x) {
        bits = narrowed(x);
        return *this;
    }
    __device__ __forceinline__ held& operator+=(float x) { return *this = widened(bits) + x; }
};
static_assert(sizeof(held) == 2, "the host fills this");
#else
#define held real
#endif

// The element of a thread in a grid of one dimension.
__device__ __forceinline__ u64 element() { return (u64)blockIdx.x * blockDim.x + threadIdx.x; }

// Value i of rows of bits, `plane` values a row; each row begins on a byte.
__device__ __forceinline__ int bit_at(const u8* bits, u64 i, u64 plane) {
    u64 row = i / plane, at = i % plane;
    return bits[row * ((plane + 7) / 8) + at / 8] >> (at % 8) & 1;
}

// Numbers as they are held, or as `real` where `wide` says so: what is summed up may stand beside halves.
__device__ __forceinline__ real number_at(const void* x, int wide, u64 i) {
    return wide ? ((const real*)x)[i] : (real)((const held*)x)[i];
}
__device__ __forceinline__ void put(void* out, int wide, u64 i, real value) {
    if (wide) ((real*)out)[i] = value;
    else ((held*)out)[i] = value;
}

// Value i of an operand: 0 numbers as they are held, 1 spikes, 2 numbers as `real`.
__device__ __forceinline__ real value_at(const void* x, int kind, u64 plane, u64 i) {
    return kind == 1 ? (real)bit_at((const u8*)x, i, plane) : number_at(x, kind == 2, i);
}

__device__ __forceinline__ bool is_nan(real x) { return x != x; }

__device__ __forceinline__ real magnitude(real x) {
#ifdef IS_FLOAT
    return fabsf(x);
#else
    return fabs(x);
#endif
}

// The nearest whole number, ties to even.
__device__ __forceinline__ real round_even(real x) {
#ifdef IS_FLOAT
    return rintf(x);
#else
    return rint(x);
#endif
}

__device__ __forceinline__ real root(real x) {
#ifdef IS_FLOAT
    return __fsqrt_rn(x);
#else
    return __dsqrt_rn(x);
#endif
}

// e^x; for float the CPU's polynomial, step by step, so that it has the CPU's bits.
__device__ __forceinline__ real power_of_e(real x) {
#ifdef IS_FLOAT
    const float shift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    float shifted = x * 1.44269504088896340736f + shift;
    float n = shifted - shift;
    float r = (x - n * 0.6933594f) + n * 2.1219444e-4f;
    float p = (1.9875691e-4f * r + 1.3981999e-3f) * r + 8.333452e-3f;
    p = ((p * r + 4.1665796e-2f) * r + 1.6666665e-1f) * r + 5.0000003e-1f;
    u32 power = ((u32)__float_as_int(shifted) - (u32)__float_as_int(shift) + 127u) << 23;
    return (p * r * r + r + 1.0f) * __int_as_float((int)power);
#else
    return exp(x);
#endif
}

// Threads of a block that sums. The host launches with the same number (see `launch.rs`).
#define THREADS 256

// Adds one number of each thread, in pairs of fixed distance; every thread gets the sum.
__device__ __forceinline__ double sum_of_block(double mine) {
    __shared__ double parts[THREADS];
    __syncthreads();
    parts[threadIdx.x] = mine;
    __syncthreads();
    for (int half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
        __syncthreads();
    }
    return parts[0];
}
