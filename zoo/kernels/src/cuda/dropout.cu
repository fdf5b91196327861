// Dropout with one mask for all steps: draw i of a key is its own, whichever thread asks for it. One thread draws once for
// the places that it serves, at all steps.
//
//   x, out [steps, n]      out = x * mask, mask = 0 where draw i is below the bound, else 1 / (1 - rate)

// Two draws of 53 bits.
struct Draws {
    u64 even, odd;
};

// Philox4x32-10 of one counter (see zoo/keys/src/philox.rs).
__device__ __forceinline__ Draws draws(u64 key, u64 counter) {
    u32 c[4] = {(u32)counter, (u32)(counter >> 32), 0, 0}, k[2] = {(u32)key, (u32)(key >> 32)};
    for (int round = 0; round < 10; ++round) {
        u64 p0 = (u64)0xD2511F53u * c[0], p1 = (u64)0xCD9E8D57u * c[2];
        c[0] = (u32)(p1 >> 32) ^ c[1] ^ k[0];
        c[1] = (u32)p1;
        c[2] = (u32)(p0 >> 32) ^ c[3] ^ k[1];
        c[3] = (u32)p0;
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
    return {((u64)c[0] << 32 | c[1]) >> 11, ((u64)c[2] << 32 | c[3]) >> 11};
}

// Numbers, or spikes in rows of `plane`; one thread a pair of places. x may be out.
extern "C" __global__ void mask(const void* x, int spikes, u64 plane, u64 key, u64 bound, real kept, u64 steps, held* out,
                                u64 n) {
    u64 first = 2 * element();
    if (first >= n) return;
    Draws draw = draws(key, first / 2);
    real even = draw.even < bound ? (real)0 : kept, odd = draw.odd < bound ? (real)0 : kept;
    for (u64 t = 0; t < steps; ++t) {
        u64 i = t * n + first;
        out[i] = value_at(x, spikes, plane, i) * even;
        if (first + 1 < n) out[i + 1] = value_at(x, spikes, plane, i + 1) * odd;
    }
}

// The spikes that the mask keeps; one thread a byte of the `rows` rows that a step has.
extern "C" __global__ void mask_bits(const u8* x, u64 plane, u64 key, u64 bound, u64 steps, u64 rows, u8* out) {
    u64 width = (plane + 7) / 8, at = element();
    if (at >= rows * width) return;
    u64 column = at % width * 8, first = at / width * plane + column;
    u32 open = 0;
    Draws draw = {0, 0};
    for (u64 k = 0; k < 8 && column + k < plane; ++k) {
        u64 place = first + k;
        if (k == 0 || place % 2 == 0) draw = draws(key, place / 2);
        open |= (u32)((place % 2 == 0 ? draw.even : draw.odd) >= bound) << k;
    }
    for (u64 t = 0; t < steps; ++t) out[t * rows * width + at] = x[t * rows * width + at] & (u8)open;
}
